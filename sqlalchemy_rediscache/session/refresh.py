"""Expired attributes of an object, from its cached row."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.base import PassiveFlag

from .. import private
from .access import Services
from .events_seen import only_own_listeners
from .unit import known_unit, unit_of


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
        if state.key is None or state.load_options or private.other_listeners(session):
            return False
        mapper = state.mapper
        services = self._services
        access = services.reading(session, mapper, known_unit(session))
        if access is None or not access.region.direct or private.session_options(session):
            return False
        if not only_own_listeners(state.manager.dispatch.refresh):
            return False
        region = access.region
        places = dict(region.hydration(mapper).loaded)
        wanted = names.intersection(mapper.column_attrs.keys())
        if not wanted <= places.keys():
            return False
        token = region.identity.token(state.key[1])
        if token is None or not private.begin(session):
            return False
        if private.dirty(session) and private.flushes(passive):
            private.autoflush(session)
        name = token.encode()
        unit = known_unit(session)
        permit = services.permit(session, unit, access)
        if permit is None or (unit is not None and unit.writes.wrote(access.place, name)):
            services.counters.add("bypassed")
            return False
        outcome = services.reads.read_row(access.scripts, region, access.place, name, permit)
        values = outcome.values
        if values is None:
            unit_of(session).leases[access.place, name, region.field] = outcome.lease
            return False
        if region.concrete(values) is not mapper:
            return False
        loaded = {key: values[places[key]] for key in wanted}
        private.refresh_instance(state, loaded, names)
        return True
