"""What a flush wrote: rows with their new values where those are certain."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import InstanceState, Mapper, Session

from .. import private
from ..codec import INEXACT
from ..region import Region
from ..write_path import RowWrite
from .access import Services
from .engines import EngineInfo
from .plans import Plans, WritePlan
from .triggers import none_on
from .unit import Unit, unit_of


class Flushes:
    """Collects what the flushes of one cache's sessions write."""

    def __init__(self, services: Services, plans: Plans) -> None:
        self._services = services
        self._plans = plans

    def after_flush(self, session: Session, context: Any) -> None:
        """Note the written rows: identities and changes are still known, values are final."""
        unit = unit_of(session)
        unit.wrote = True
        engines: dict[Mapper[Any], EngineInfo] = {}
        for state, deleted in private.flushed_states(context):
            mapper = state.mapper
            changed = frozenset(state.committed_state)
            if state.key is not None and not deleted and not _touches_columns(mapper, changed):
                continue
            engine = engines.get(mapper)
            if engine is None:
                engine = engines[mapper] = self._engine(session, mapper)
            plan = self._plans.plan(mapper, engine)
            self._note(session, unit, engine, plan, state, deleted, changed)

    def _engine(self, session: Session, mapper: Mapper[Any]) -> EngineInfo:
        bind: Engine | Connection = session.get_bind(mapper)
        return self._services.engine(bind.engine)

    def _note(
        self,
        session: Session,
        unit: Unit,
        engine: EngineInfo,
        plan: WritePlan,
        state: InstanceState[Any],
        deleted: bool,
        changed: frozenset[str],
    ) -> None:
        unit.is_async = engine.is_async
        for region in plan.beside:
            unit.writes.region(self._place(session, unit, engine, region, state))
        if deleted:
            for region in plan.on_delete:
                unit.writes.region(self._place(session, unit, engine, region, state))
        region_ = plan.region
        if region_ is None:
            return
        place = self._place(session, unit, engine, region_, state)
        mapper = state.mapper
        now = tuple(mapper.primary_key_from_instance(state.obj()))
        before = state.key[1] if state.key is not None else now
        moved = before != now
        if moved:
            for region in plan.on_key_change:
                unit.writes.region(self._place(session, unit, engine, region, state))
        for identity in {before, now}:
            token = region_.identity.token(identity)
            if token is None:  # a key whose type is not the column's: its row can't be named
                unit.writes.region(place)
                continue
            write = None
            if not deleted and not moved and region_.policy.write == "through":
                own = engine.region(mapper)
                if own is not None and own.whole and self._as_sent(session, engine, mapper):
                    write = _row_write(own, state, changed)
            unit.writes.row(place, token.encode(), write)

    @staticmethod
    def _as_sent(session: Session, engine: EngineInfo, mapper: Mapper[Any]) -> bool:
        return none_on(session.connection(bind_arguments={"mapper": mapper}), engine, mapper)

    def _place(
        self,
        session: Session,
        unit: Unit,
        engine: EngineInfo,
        region: Region,
        state: InstanceState[Any],
    ) -> Any:
        schema_map = self._services.schema_map(unit, engine)
        namespace = self._services.namespace(session)
        return engine.place(region, namespace, schema_map, state.identity_token)


def _touches_columns(mapper: Mapper[Any], changed: frozenset[str]) -> bool:
    return any(name in mapper.column_attrs for name in changed)


def _row_write(
    region: Region, state: InstanceState[Any], changed: frozenset[str]
) -> RowWrite | None:
    """The new values of a row that a flush wrote, None unless all of them are certain."""
    attributes = state.dict
    fresh = state.key is None
    write = RowWrite(region, whole=fresh)
    for column, place in region.index.items():
        prop = region.property_of(column)
        if prop is None or not region.stored_as_given(column):
            if fresh or prop is None or prop.key in changed or region.follows(column):
                return None
            continue
        if not fresh and prop.key not in changed and not region.follows(column):
            continue
        if prop.key not in attributes:
            return None  # the database made the value
        value = region.codec.stored(place, attributes[prop.key])
        if value is INEXACT:
            return None
        write.values[place] = value
    return write
