"""Lookups by primary key, answered before SQLAlchemy builds a statement.

`session.get()` and lazy many-to-one loads first ask the session for the object
(``_identity_lookup``, as ``sqlalchemy.ext.horizontal_shard`` overrides it). What is not in the
identity map is looked up in Redis here. Anything that could make the load mean more than "this row,
as it is" is left to the statement that SQLAlchemy then builds: see `statements`.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty, Session
from sqlalchemy.orm.base import PassiveFlag

from .. import private
from ..options import CacheOption, only_ask
from .access import Access, Services
from .hydrate import hydrate
from .loads import ABSENT, Asked, Loads
from .unit import checked_unit, known_unit, unit_of


class Lookups:
    """Answers key lookups of one cache's sessions.

    Args:
        services: The parts of the cache.
        loads: Loads what is missed.
    """

    def __init__(self, services: Services, loads: Loads) -> None:
        self._services = services
        self._loads = loads
        self._caches = services.models.caches
        self._relationships: weakref.WeakKeyDictionary[
            Mapper[Any], dict[Mapper[Any], list[RelationshipProperty[Any]]]
        ] = weakref.WeakKeyDictionary()

    def concerned(self, statement: Any) -> bool:
        """May this be a statement about a cached class?

        Asked for every statement of every session.
        """
        mapper = private.subject(statement)
        if mapper is not None and self._caches(mapper):
            return True
        options = private.options_given(statement)
        return bool(options) and any(isinstance(one, CacheOption) for one in options)

    def lookup(
        self,
        session: Session,
        mapper: Any,
        identity: Sequence[Any],
        shard: Any,
        passive: PassiveFlag,
        parent: InstanceState[Any] | None,
    ) -> Any:
        """The object, `ABSENT`, or None to have it loaded from the database."""
        if not isinstance(mapper, Mapper) or not self._caches(mapper):
            return None
        if not private.may_load(passive):
            return None
        if self._services.bypassing():
            return None
        unit = known_unit(session)
        access = self._services.reading(session, mapper, unit)
        if access is None or not self._plain(session, access, parent):
            return None
        load_path = private.path_of(mapper)
        options: tuple[Any, ...] = ()
        if parent is not None:
            relationship = self._relationship(parent, mapper)
            if relationship is None:
                return None
            load_path = private.path_through(parent, relationship, mapper)
            options = parent.load_options
        token = access.region.identity.key(identity)
        if token is None or not private.begin(session):
            return None
        if private.dirty(session) and private.flushes(passive):
            private.autoflush(session)
            key = mapper.identity_key_from_primary_key(tuple(identity), identity_token=shard)
            flushed = session.identity_map.get(key)
            if flushed is not None:
                return flushed
        return self._read(
            session, access, Asked(mapper, identity, token, shard, load_path, options)
        )

    @staticmethod
    def _plain(session: Session, access: Access, parent: InstanceState[Any] | None) -> bool:
        if not access.region.direct or private.other_listeners(session):
            return False
        if private.session_options(session):
            return False
        # An object's options go on to what it loads lazily; a pending one's load does not flush.
        return parent is None or (parent.key is not None and only_ask(parent.load_options))

    def _read(self, session: Session, access: Access, asked: Asked) -> Any:
        unit = checked_unit(session)  # the flush may have made one
        services, token, region = self._services, asked.token, access.region
        permit = services.permit(session, unit, access)
        if permit is None or (unit is not None and unit.writes.wrote(access.place, token)):
            reason = services.reason(session, unit, access.engine, access.place)
            services.counters.because("bypassed", reason)
            if permit is not None:
                unit_of(session).leases[access.place, token, region.field] = None
            return None
        outcome = services.reads.read_row(access.scripts, region, access.place, token, permit)
        if outcome.absent:
            return ABSENT
        if outcome.row is None:
            return self._loads.load(session, access, asked, outcome.lease)
        return hydrate(session, region, outcome.row, asked.shard, asked.path, asked.options)

    def _relationship(
        self, parent: InstanceState[Any], target: Mapper[Any]
    ) -> RelationshipProperty[Any] | None:
        """The relationship of `parent` that is being loaded, None where several could be meant.

        SQLAlchemy does not say which one it is. It decides what the loaded object remembers as its
        load path, and whether the load is allowed at all (``raise_on_sql``).
        """
        kept = self._relationships.setdefault(parent.mapper, {})
        candidates = kept.get(target)
        if candidates is None:
            candidates = kept[target] = _candidates(parent.mapper, target)
        attributes = parent.dict
        open_ = [one for one in candidates if one.key not in attributes]
        if len(open_) != 1 or open_[0].lazy not in ("select", True):
            return None
        return open_[0]


def _candidates(parent: Mapper[Any], target: Mapper[Any]) -> list[RelationshipProperty[Any]]:
    """The relationships of a class that are loaded by the primary key of another."""
    return [
        one
        for one in parent.relationships
        if one.entity is target
        and not one.uselist
        and getattr(cast(Any, one).strategy, "use_get", False)
    ]
