"""Expired attributes of an object, from its cached row."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.base import PassiveFlag

from .. import private
from ..options import only_ask
from .access import Access, Services
from .events_seen import only_own_listeners
from .unit import checked_unit, expect_statement, known_unit


class Refreshes:
    """Loads expired attributes for one cache's sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def load(
        self, session: Session, state: InstanceState[Any], names: set[str], passive: PassiveFlag
    ) -> bool:
        """Put the attributes in the object; False to have SQLAlchemy load them.

        Left to SQLAlchemy: objects whose load had options, classes that load more than columns,
        attributes that are not in the cached row, users' ``refresh`` listeners.
        """
        found = self._asked(session, state, names)
        if found is None or not private.begin(session):
            return False
        access, token, wanted = found
        if private.dirty(session) and private.flushes(passive):
            private.autoflush(session)
        services, region = self._services, access.region
        unit = checked_unit(session)
        permit = services.permit(session, unit, access)
        if permit is None or (unit is not None and unit.writes.wrote(access.place, token)):
            reason = services.reason(session, unit, access.engine, access.place)
            services.counters.because("bypassed", reason)
            return False
        whole = private.loads_by_key(state.mapper, wanted)
        if not whole:  # the statement to come asks for less than a row: it can't fill one
            permit = permit._replace(lease=False, wait=False)
        outcome = services.reads.read_row(access.scripts, region, access.place, token, permit)
        values = outcome.row
        if values is None:
            if whole:
                expected = (access.place, token, region.field)
                expect_statement(session, expected, outcome.lease, is_async=access.engine.is_async)
            return False
        if region.concrete(values) is not state.mapper:
            return False
        places = dict(region.hydration(state.mapper).loaded)
        loaded = {name: values[places[name]] for name in wanted}
        private.refresh_instance(state, loaded, names)
        return True

    def _asked(
        self, session: Session, state: InstanceState[Any], names: set[str]
    ) -> tuple[Access, bytes, set[str]] | None:
        """Where the row is, its key, and which columns are wanted; None to keep out."""
        if state.key is None or private.other_listeners(session):
            return None
        if state.load_options and not _loads_alike(state):
            return None
        mapper = state.mapper
        access = self._services.reading(session, mapper, known_unit(session))
        if access is None or not access.region.direct or private.session_options(session):
            return None
        if not only_own_listeners(state.manager.dispatch.refresh):
            return None
        region = access.region
        wanted = names.intersection(mapper.column_attrs.keys())
        if not wanted <= region.hydration(mapper).names_loaded:
            return None
        token = region.identity.key(state.key[1])
        return None if token is None else (access, token, wanted)


def _loads_alike(state: InstanceState[Any]) -> bool:
    """Do an object's options ask for nothing but the cache, and would a load leave its path?"""
    return only_ask(state.load_options) and private.loaded_as_its_class(state)
