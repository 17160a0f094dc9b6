"""What a flush wrote: rows with their new values where those are certain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstanceState, Mapper, Session

from .. import private
from ..codec import INEXACT
from ..keys import Place
from ..models import tables_of
from ..region import Region
from ..write_path import RowWrite
from .access import Services
from .engines import EngineInfo
from .events_seen import may_change_what_was_sent
from .plans import Emptied, Plans, WritePlan
from .tagging import TagColumn, note_tags, tag_columns
from .triggers import none_on, replace_on
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
        kinds: dict[Mapper[Any], _Kind] = {}
        columns: dict[Mapper[Any], frozenset[str]] = {}
        flushed = list(private.flushed_states(context))
        mappers = {state.mapper for state, _ in flushed}
        unsure = may_change_what_was_sent(mappers, len(flushed))
        for state, deleted in flushed:
            mapper = state.mapper
            changed = private.changed_attributes(state)
            untold = False
            if state.key is not None and not deleted:
                names = columns.get(mapper)
                if names is None:
                    names = columns[mapper] = _sent_attributes(mapper)
                untold = names.isdisjoint(changed)
                if untold and (mapper.version_id_col is None or not unit.sent):
                    continue
                # What is expired now the database made, or it was so before the flush.
                if not unit.sent and changed <= state.expired_attributes:
                    continue
            kind = kinds.get(mapper)
            if kind is None:
                kind = self._kind(session, unit, self._engine(session, mapper, state), mapper)
                if session.connection_callable is None:  # else each object has its database
                    kinds[mapper] = kind
            # An UPDATE of a version alone leaves no trace: there may have been one.
            if untold or unsure:
                kind = kind._replace(published=None, sent=kind.sent and not unsure)
            _note(unit, kind, state, deleted=deleted, changed=changed)

    def _engine(
        self, session: Session, mapper: Mapper[Any], state: InstanceState[Any]
    ) -> EngineInfo:
        bind: Any
        if private.own_bindings(session):
            bind = session.bind
        elif session.connection_callable is not None:  # sharded
            bind = session.connection_callable(mapper, state.obj())
        else:
            bind = session.get_bind(mapper=mapper)
        return self._services.engine(bind.engine)

    def _kind(self, session: Session, unit: Unit, engine: EngineInfo, mapper: Mapper[Any]) -> _Kind:
        unit.is_async = engine.is_async
        plan = self._plans.plan(mapper, engine)
        schema_map = self._services.schema_map(unit, engine)
        namespace = self._services.namespace(session)
        scope = (namespace, tuple(schema_map.items()) if schema_map else None)
        kind: _Kind | None = plan.kinds.get(scope)
        if kind is None:
            kind = plan.kinds[scope] = _made(plan, engine, mapper, namespace, schema_map)
        if not kind.sent:
            return kind
        connection = self._connection(session, unit, engine, mapper)
        tables = tables_of(mapper)
        if connection is None or not none_on(connection, engine, tables):
            replaces = connection is not None and replace_on(connection, engine, tables)
            beside = (kind.place, *kind.on_delete) if replaces and kind.place else ()
            kind = kind._replace(published=None, sent=False, beside=(*kind.beside, *beside))
        return kind

    def _connection(
        self, session: Session, unit: Unit, engine: EngineInfo, mapper: Mapper[Any]
    ) -> Connection | None:
        """What the flush sends a class's rows through; None where it is one of several."""
        if session.connection_callable is not None:
            return None
        connections = unit.connections
        if len(connections) == 1 and self._services.engine(connections[0].engine) is engine:
            return connections[0]
        return session.connection(bind_arguments={"mapper": mapper})


def _sent_attributes(mapper: Mapper[Any]) -> frozenset[str]:
    """The attributes that a flush sends; it sends nothing for one of an SQL expression."""
    return frozenset(
        one.key
        for one in mapper.column_attrs
        if any(isinstance(column, Column) for column in one.columns)
    )


class _Kind(NamedTuple):
    """What the rows of one class mean to one tenant, under one schema map."""

    region: Region | None
    place: Place | None
    published: Region | None
    """How their values are published; None to publish nothing."""
    keys: frozenset[str]
    """The attributes of the primary key."""
    beside: tuple[Place, ...]
    on_delete: tuple[Place, ...]
    on_key_change: tuple[Place, ...]
    tagged: tuple[TagColumn, ...]
    """The columns whose values are tags of its rows, but for the key's."""
    sent: bool
    """The database stores what the flush sends."""


def _made(
    plan: WritePlan, engine: EngineInfo, mapper: Mapper[Any], namespace: object, schema_map: Any
) -> _Kind:
    def places(regions: Iterable[Emptied]) -> tuple[Place, ...]:
        return tuple(engine.place(region, namespace, schema_map) for region in regions)

    published: Region | None = None
    if plan.region is not None and plan.region.policy.write == "through":
        own = engine.region(mapper)
        if own is not None and own.whole:
            published = own
    return _Kind(
        region=plan.region,
        place=None if plan.region is None else places((plan.region,))[0],
        published=published,
        keys=plan.keys,
        beside=places(plan.beside),
        on_delete=places(plan.on_delete),
        on_key_change=places(plan.on_key_change),
        tagged=() if plan.region is None else tag_columns(plan.region, mapper),
        sent=plan.region is not None,
    )


def _note(
    unit: Unit, kind: _Kind, state: InstanceState[Any], *, deleted: bool, changed: set[str]
) -> None:
    regions = unit.writes.regions
    regions.update(kind.beside)
    if deleted:
        regions.update(kind.on_delete)
    if kind.region is None or kind.place is None:
        return
    identities: tuple[Any, ...]
    if state.key is not None and kind.keys.isdisjoint(changed):
        identities = (state.key[1],)
    else:
        now = tuple(state.mapper.primary_key_from_instance(state.obj()))
        before = state.key[1] if state.key is not None else now
        identities = (now,) if before == now else (before, now)
        if before != now:
            regions.update(kind.on_key_change)
    write = None
    if kind.published is not None and not deleted and len(identities) == 1:
        write = _row_write(kind.published, state, changed)
    note_tags(
        unit.writes.tag_writes(kind.place), kind.region, state,
        identities=identities, columns=kind.tagged, changed=changed, deleted=deleted,
        sent=kind.sent,
    )  # fmt: skip
    for identity in identities:
        token = kind.region.identity.key(identity)
        if token is None:  # a key whose type is not the column's: its row can't be named
            regions.add(kind.place)
        else:
            unit.writes.row(kind.place, token, write)


def _row_write(region: Region, state: InstanceState[Any], changed: set[str]) -> RowWrite | None:
    """The new values of a row that a flush wrote, None unless all of them are certain."""
    if not region.says_its_class(state.mapper, state.dict):
        return None  # it is a row of another class now
    fresh = state.key is None
    values = _inserted(region, state, changed) if fresh else _updated(region, state, changed)
    return None if values is None else RowWrite(region, fresh, values)


def _updated(region: Region, state: InstanceState[Any], changed: set[str]) -> dict[int, Any] | None:
    if region.follows_apart:
        return None
    attributes, stored = state.dict, region.codec.stored
    values: dict[int, Any] = {}
    names = changed | region.followers if region.followers else changed
    for name in names:
        for place, attribute, certain, _, _ in region.written_by.get(name, ()):
            if not certain or attribute not in attributes:
                return None  # the database made the value
            value = values[place] = stored(place, attributes[attribute])
            if value is INEXACT:
                return None
    return values


def _inserted(
    region: Region, state: InstanceState[Any], changed: set[str]
) -> dict[int, Any] | None:
    attributes, stored = state.dict, region.codec.stored
    values: dict[int, Any] = {}
    for place, attribute, certain, _, null_when_unset in region.written:
        if not certain:
            return None
        if attribute in attributes:
            value = stored(place, attributes[attribute])
        elif null_when_unset and attribute not in changed:
            value = stored(place, None)
        else:
            return None  # the database made the value
        if value is INEXACT:
            return None
        values[place] = value
    return values
