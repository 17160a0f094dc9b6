"""From cached rows to objects of a session, without a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from .. import private
from ..region import Region
from ..row import Row
from ..shape import Hydration
from .events_seen import only_own_listeners


def hydrate(
    session: Session,
    region: Region,
    row: Row,
    shard: Any,
    load_path: Any,
    options: tuple[Any, ...] = (),
) -> Any:
    """The object of a cached row, None where SQLAlchemy's own loading has to see the row.

    The caller knows that the object is not in the session.
    """
    mapper = region.mapper if region.only_class else region.concrete(row)
    if mapper is None or not only_own_listeners(mapper.class_manager.dispatch.load):
        return None
    key = (private.identity_class(mapper), row.identity, shard)
    plan = region.hydration(mapper)
    rows = ((key, _attributes(region, plan, row)),)
    return private.add_instances(session, mapper, load_path, plan.expired, rows, options)[0]


def hydrate_all(
    session: Session,
    region: Region,
    rows: Sequence[Row],
    shard: Any,
    load_path: Any,
    options: tuple[Any, ...] = (),
) -> list[Any] | None:
    """The objects of cached rows, in their order, those of the session among them.

    None where SQLAlchemy's own loading has to see a row: a listener wants to know the query, or an
    object of the session lacks attributes, which it would take from its row.
    """
    if region.only_class:
        made = _all_fresh(session, region, rows, shard, load_path, options)
        if made is not None:
            return made
    return _mixed(session, region, rows, shard, load_path, options)


def _all_fresh(
    session: Session,
    region: Region,
    rows: Sequence[Row],
    shard: Any,
    load_path: Any,
    options: tuple[Any, ...],
) -> list[Any] | None:
    """The objects of rows that are all of the region's own class, none of them in the session."""
    mapper = region.mapper
    if not only_own_listeners(mapper.class_manager.dispatch.load):
        return None
    kind = private.identity_class(mapper)
    keys = [(kind, row.identity, shard) for row in rows]
    if len(keys) != len(set(keys)) or not private.none_present(session, keys):
        return None
    plan = region.hydration(mapper)
    found = [row.attributes or _attributes(region, plan, row) for row in rows]
    made = zip(keys, found, strict=True)
    return private.add_instances(session, mapper, load_path, plan.expired, made, options)


def _mixed(
    session: Session,
    region: Region,
    rows: Sequence[Row],
    shard: Any,
    load_path: Any,
    options: tuple[Any, ...],
) -> list[Any] | None:
    """The objects of rows of several classes, some in the session, some in several rows."""
    known = session.identity_map
    found: list[Any] = []
    fresh: dict[Any, dict[Any, tuple[Row, list[int]]]] = {}
    kinds: dict[Any, Any] = {}
    for index, row in enumerate(rows):
        mapper = region.concrete(row)
        if mapper is None:
            return None
        kind = kinds.get(mapper)
        if kind is None:
            kind = kinds[mapper] = private.identity_class(mapper)
            fresh[mapper] = {}
        key = (kind, row.identity, shard)
        instance = known.get(key)
        if instance is None:
            fresh[mapper].setdefault(key, (row, []))[1].append(index)
        elif _lacks(region, instance):
            return None
        found.append(instance)
    if not all(_may_be_made(mapper) for mapper in fresh):
        return None
    for mapper, entries in fresh.items():
        plan = region.hydration(mapper)
        pairs = [(key, plan.attributes(row)) for key, (row, _) in entries.items()]
        made = private.add_instances(session, mapper, load_path, plan.expired, pairs, options)
        for (_, indexes), instance in zip(entries.values(), made, strict=True):
            for index in indexes:
                found[index] = instance
    return found


def _attributes(region: Region, plan: Hydration, row: Row) -> dict[str, Any]:
    """A row's values by attribute: kept with it where all rows become objects of one class."""
    found = row.attributes
    if found is None:
        found = plan.attributes(row)
        if region.only_class:
            row.attributes = found
    return found


def _may_be_made(mapper: Any) -> bool:
    """Does nobody but SQLAlchemy listen to loads of a class?

    An object of the session with deferred attributes is told of a refresh by each row.
    """
    listeners = mapper.class_manager.dispatch
    return only_own_listeners(listeners.load) and only_own_listeners(listeners.refresh)


def _lacks(region: Region, instance: Any) -> bool:
    """Would a row of this object, which is in the session, fill attributes that it lacks?"""
    plan = region.hydration(private.mapper_of_instance(instance))
    attributes = instance.__dict__
    return any(name not in attributes for name, _ in plan.loaded)
