"""Bulk statements that name their rows by primary key: what they write is known row by row."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapper

from .. import private
from ..region import Region
from .engines import EngineInfo
from .foreign_keys import reached_by_delete
from .plans import Plans
from .triggers import none_on

_BY_KEY = "_rediscache_by_key"
_MOST_KEYS = 1_000
"""A statement that names more rows than this empties the region."""


class KeyedRows(NamedTuple):
    """The rows of one region that a statement writes.

    Args:
        region: The region.
        names: Their keys.
        words: The tags that their keys are; None where one has none.
    """

    region: Region
    names: Sequence[bytes]
    words: Sequence[bytes] | None


def rows_by_key(
    context: Any, plans: Plans, engine: EngineInfo, connection: Connection
) -> KeyedRows | None:
    """The rows of the table's own region that a bulk UPDATE or DELETE names by primary key.

    Args:
        context: The statement, compiled, and its parameters.
        plans: Tells the region of the table.
        engine: Where it is sent.
        connection: The writer's.

    Returns:
        None where any row may be written: the rows are not named, or by values that the database
        may take for others; a key, or a column that tells queries apart, is set; the database
        changes other rows of the region along with these.
    """
    compiled = context.compiled
    if _BY_KEY not in compiled.__dict__:
        compiled.__dict__[_BY_KEY] = private.by_key(compiled)
    found: private.ByKey | None = compiled.__dict__[_BY_KEY]
    if found is None:
        return None
    region = _region(found, plans, engine)
    if region is None or not none_on(connection, engine, region.mapper):
        return None
    identities = private.named_keys(context, found)
    if identities is None or len(identities) > _MOST_KEYS:
        return None
    names = [region.identity.key(one) for one in identities]
    if None in names:
        return None  # only the database can say which row it means
    words: list[bytes] | None = []
    for one in identities:
        own = region.tagset.key_words(region.key_columns, one)
        words = None if own is None or words is None else words + own
    return KeyedRows(region, [name for name in names if name is not None], words)


def _region(found: private.ByKey, plans: Plans, engine: EngineInfo) -> Region | None:
    """The region whose rows are the table's, one by one; None where that is not all of it.

    Remembered by its class, held weakly: what a table is the key of must not lead to the table.
    """
    kept = engine.reached.setdefault(found.table, {})
    key = ("by key", found.changed)
    state = (plans.version, len(found.table.metadata.tables))
    known = kept.get(key)
    if known is None or known[0] != state:
        region = _sure_region(found, plans, engine)
        known = kept[key] = (state, None if region is None else weakref.ref(region.mapper))
    mapper: Mapper[Any] | None = None if known[1] is None else known[1]()
    return None if mapper is None else engine.region(mapper)


def _sure_region(found: private.ByKey, plans: Plans, engine: EngineInfo) -> Region | None:
    table = found.table
    source = plans.source(table, engine)
    region = None if source is None else source.region
    if region is None or not region.identity.negative_ok:
        return None  # a key may be written in several ways
    if list(table.primary_key.columns) != list(region.key_columns):
        return None
    telling = {*_keyish(table), *region.tagset.columns}
    if any(column.key in found.changed or _follows(column) for column in telling):
        return None
    followers = plans.of_tables(reached_by_delete((table,)), engine)
    return None if region.name in {one.name for one in followers} else region


def _follows(column: Column[Any]) -> bool:
    """May an UPDATE change it that does not set it?"""
    return (
        column.onupdate is not None
        or column.server_onupdate is not None
        or column.computed is not None
    )


def _keyish(table: Table) -> set[Column[Any]]:
    """The columns that foreign keys may refer to, and those that refer to others."""
    found = set(table.primary_key.columns)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            found.update(constraint.columns)
    for index in table.indexes:
        found.update(index.columns)
    found.update(key.parent for key in table.foreign_keys)
    return found
