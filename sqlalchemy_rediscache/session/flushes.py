"""What a flush wrote: rows with their new values where those are certain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import InstanceState, Mapper, Session

from .. import private
from ..codec import INEXACT
from ..keys import Place
from ..region import Region
from ..write_path import RowWrite
from .access import Services
from .engines import EngineInfo
from .events_seen import may_change_what_was_sent
from .plans import Emptied, Plans
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
        kinds: dict[tuple[Mapper[Any], EngineInfo], _Kind] = {}
        engines: dict[Mapper[Any], EngineInfo] = {}
        flushed = list(private.flushed_states(context))
        mappers = {state.mapper for state, _ in flushed}
        unsure = may_change_what_was_sent(mappers, len(flushed))
        for state, deleted in flushed:
            mapper = state.mapper
            changed = private.changed_attributes(state)
            untold = state.key is not None and not deleted and not _touches_columns(mapper, changed)
            if untold and mapper.version_id_col is None:
                continue
            engine = engines.get(mapper)
            if engine is None:
                engine = self._engine(session, mapper, state)
                if session.connection_callable is None:
                    engines[mapper] = engine
            kind = kinds.get((mapper, engine))
            if kind is None:
                kind = kinds[mapper, engine] = self._kind(session, unit, engine, mapper)
            # An UPDATE of a version alone leaves no trace: there may have been one.
            if untold or unsure:
                kind = kind._replace(published=None)
            _note(unit, kind, state, deleted=deleted, changed=changed)

    def _engine(
        self, session: Session, mapper: Mapper[Any], state: InstanceState[Any]
    ) -> EngineInfo:
        bind: Engine | Connection
        if session.connection_callable is not None:  # sharded: each object has its database
            bind = session.connection_callable(mapper, state.obj())
        else:
            bind = session.get_bind(mapper=mapper)
        return self._services.engine(bind.engine)

    def _kind(self, session: Session, unit: Unit, engine: EngineInfo, mapper: Mapper[Any]) -> _Kind:
        unit.is_async = engine.is_async
        plan = self._plans.plan(mapper, engine)
        schema_map = self._services.schema_map(unit, engine)
        namespace = self._services.namespace(session)

        def places(regions: Iterable[Emptied]) -> tuple[Place, ...]:
            return tuple(engine.place(region, namespace, schema_map) for region in regions)

        published: Region | None = None
        if plan.region is not None and plan.region.policy.write == "through":
            own = engine.region(mapper)
            if own is not None and own.whole and self._as_sent(session, engine, mapper):
                published = own
        return _Kind(
            region=plan.region,
            place=None if plan.region is None else places((plan.region,))[0],
            published=published,
            beside=places(plan.beside),
            on_delete=places(plan.on_delete),
            on_key_change=places(plan.on_key_change),
        )

    @staticmethod
    def _as_sent(session: Session, engine: EngineInfo, mapper: Mapper[Any]) -> bool:
        if session.connection_callable is not None:
            return False
        return none_on(session.connection(bind_arguments={"mapper": mapper}), engine, mapper)


class _Kind(NamedTuple):
    """What the rows of one class mean in one flush."""

    region: Region | None
    place: Place | None
    published: Region | None
    """How their values are published; None to publish nothing."""
    beside: tuple[Place, ...]
    on_delete: tuple[Place, ...]
    on_key_change: tuple[Place, ...]


def _note(
    unit: Unit, kind: _Kind, state: InstanceState[Any], *, deleted: bool, changed: set[str]
) -> None:
    regions = unit.writes.regions
    regions.update(kind.beside)
    if deleted:
        regions.update(kind.on_delete)
    if kind.region is None or kind.place is None:
        return
    now = tuple(state.mapper.primary_key_from_instance(state.obj()))
    before = state.key[1] if state.key is not None else now
    moved = before != now
    if moved:
        regions.update(kind.on_key_change)
    for identity in {before, now}:
        token = kind.region.identity.token(identity)
        if token is None:  # a key whose type is not the column's: its row can't be named
            regions.add(kind.place)
            continue
        write = None
        if kind.published is not None and not deleted and not moved:
            write = _row_write(kind.published, state, changed)
        unit.writes.row(kind.place, token.encode(), write)


def _touches_columns(mapper: Mapper[Any], changed: set[str]) -> bool:
    return any(name in mapper.column_attrs for name in changed)


def _row_write(region: Region, state: InstanceState[Any], changed: set[str]) -> RowWrite | None:
    """The new values of a row that a flush wrote, None unless all of them are certain."""
    attributes = state.dict
    fresh = state.key is None
    stored = region.codec.stored
    values: dict[int, Any] = {}
    if not fresh and region.follows_apart:
        return None
    for place, attribute, certain, follows, null_when_unset in region.written:
        if not fresh and not follows and attribute not in changed:
            continue
        if not certain:
            return None
        if attribute in attributes:
            value = stored(place, attributes[attribute])
        elif fresh and null_when_unset and attribute not in changed:
            value = stored(place, None)
        else:
            return None  # the database made the value
        if value is INEXACT:
            return None
        values[place] = value
    return RowWrite(region, fresh, values)
