"""Bulk statements whose rows are known one by one, by their primary keys."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapper

from .. import private
from ..codec import INEXACT
from ..keys import Place
from ..models import tables_of
from ..region import Region
from ..tags import MADE, MEMBERS
from ..write_path import WriteSet
from .defaults import null_when_unsent
from .engines import EngineInfo
from .foreign_keys import reached_by_delete
from .plans import AssociationSpace, Emptied, Plans
from .triggers import none_on

_KEPT = "_rediscache_by_key"
_MOST_KEYS = 1_000
"""Of a statement that names more rows than this none is looked at."""
_GENERATES = frozenset({"mysql", "mariadb"})
"""Databases that make a key of their own in the place of a 0."""

logger = logging.getLogger("sqlalchemy_rediscache")


class KeyedRows(NamedTuple):
    """The rows of one region that a statement writes.

    Args:
        space: The region, or the table between two classes: its rows have no names.
        names: Their keys.
        words: Tags that they get, or that their keys are; None where one has none.
        new: None of them was there before.
        unnamed: New rows are made whose keys are not known, and are not among the names.
    """

    space: Region | AssociationSpace
    names: Sequence[bytes]
    words: Sequence[bytes] | None
    new: bool
    unnamed: bool = False


def _understood(compiled: Any) -> private.ByKey | private.Inserted | None:
    try:
        return private.inserted(compiled) or private.by_key(compiled)
    except Exception as error:  # noqa: BLE001 (no write may fail for want of its rows' names)
        logger.warning("a write's rows can't be told, which is a fault of the cache: %r", error)
        return None


def rows_by_key(
    context: Any, plans: Plans, engine: EngineInfo, connection: Connection
) -> KeyedRows | None:
    """The rows of the table's own region that a bulk statement names by primary key.

    Args:
        context: The statement, compiled, and its parameters.
        plans: Tells the region of the table.
        engine: Where it is sent.
        connection: The writer's.

    Returns:
        None where any row may be written: the rows are not named, or by values that the database
        may take for others; an UPDATE sets a key, or a column that tells queries apart; the
        database changes other rows of the region along with these.
    """
    compiled = context.compiled
    if _KEPT not in compiled.__dict__:
        compiled.__dict__[_KEPT] = _understood(compiled)
    found: private.ByKey | private.Inserted | None = compiled.__dict__[_KEPT]
    if found is None or not _asks_here(context, connection):
        return None
    if isinstance(found, private.Inserted):
        return _made(context, found, plans, engine, connection)
    region = _region(found, plans, engine)
    if region is None or not none_on(connection, engine, tables_of(region.mapper)):
        return None
    identities = private.named_keys(context, found)
    if identities is None or len(identities) > _MOST_KEYS:
        return None
    names, words = _names(region, identities), _key_words(region, identities)
    if words is not None and compiled.isdelete:
        words.append(MEMBERS)
    return None if names is None else KeyedRows(region, names, words, new=False)


def _asks_here(context: Any, connection: Connection) -> bool:
    """Is the catalog asked about the table that is written, and not about one of another schema?"""
    of_statement = context.execution_options.get("schema_translate_map")
    of_connection = connection.get_execution_options().get("schema_translate_map")
    return (of_statement or None) == (of_connection or None)


def _names(region: Region, identities: Sequence[Sequence[Any]]) -> list[bytes] | None:
    """The names of rows; None where only the database can say which one is meant."""
    names = []
    for one in identities:
        name = region.identity.key(one)
        if name is None:
            return None
        names.append(name)
    return names


def _key_words(region: Region, identities: Sequence[Sequence[Any]]) -> list[bytes] | None:
    words: list[bytes] = []
    for one in identities:
        own = region.tagset.key_words(region.key_columns, one)
        if own is None:
            return None
        words += own
    return words


# -- new rows ---------------------------------------------------------------------------------


def _made(
    context: Any,
    found: private.Inserted,
    plans: Plans,
    engine: EngineInfo,
    connection: Connection,
) -> KeyedRows | None:
    """The rows that an INSERT makes, which changes none that is there."""
    rows: list[Mapping[str, Any]] | None = None
    if found.rows and len(found.rows) * len(context.compiled_parameters) <= _MOST_KEYS:
        rows = list(private.inserted_values(context, found))
    source = plans.source(found.table, engine)
    if source is not None and isinstance(source.space, AssociationSpace):
        return _related(source.space, rows, engine, connection)
    region = _region(found, plans, engine)
    if region is None or not none_on(connection, engine, tables_of(region.mapper)):
        return None
    if rows is None:
        return KeyedRows(region, (), None, new=True, unnamed=True)
    if engine.dialect.name in _GENERATES:
        rows = [_without_zeros(region, row) for row in rows]
    names = _new_names(region, rows)
    unsent = dict.fromkeys(null_when_unsent(connection, engine, found.table) - found.named)
    words = _new_words(region, [{**unsent, **row} for row in rows], named=names is not None)
    return KeyedRows(region, names or (), words, new=True, unnamed=names is None)


def _without_zeros(region: Region, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row without what of its key the database may make another of."""
    keys = {column.key for column in region.key_columns}
    return {key: value for key, value in row.items() if key not in keys or value != 0}


def _new_names(region: Region, rows: Sequence[Mapping[str, Any]]) -> list[bytes] | None:
    """The names of new rows; None where the key of one is not known, or has several names."""
    keys = [column.key for column in region.key_columns]
    if not region.identity.negative_ok or not all(key in row for row in rows for key in keys):
        return None
    return _names(region, [tuple(row[key] for key in keys) for row in rows])


def _new_words(
    region: Region, rows: Sequence[Mapping[str, Any]], *, named: bool
) -> list[bytes] | None:
    """The tags that new rows get; None where one of them is not known.

    `MADE` stands for those of a key that the database makes.
    """
    found = {MEMBERS: None}
    for row in rows:
        for column in region.tagset.columns:
            word = _new_word(region, row, column, named=named)
            if word is None and column in region.tagset.made:
                word = MADE
            if word is None:
                return None
            found[word] = None
    return list(found)


def _new_word(
    region: Region, row: Mapping[str, Any], column: Column[Any], *, named: bool
) -> bytes | None:
    """The tag of one value of a new row; None where the database may have another value."""
    if column.key not in row or (row[column.key] is None and not column.nullable):
        return None
    value = row[column.key]
    if not (named and column.primary_key):  # such a value has been looked at
        value = region.codec.stored(region.index[column], value)
    return None if value is INEXACT else region.tagset.tag(column, value)


def _related(
    space: AssociationSpace,
    rows: Sequence[Mapping[str, Any]] | None,
    engine: EngineInfo,
    connection: Connection,
) -> KeyedRows | None:
    """New rows of a table between two classes."""
    if not none_on(connection, engine, (space.table,)):
        return None
    words: list[bytes] | None = None if rows is None else []
    for row in rows or ():
        own = space.words(row)
        words = None if own is None or words is None else words + own
    return KeyedRows(space, (), words, new=True)


# -- the region -------------------------------------------------------------------------------


def _region(
    found: private.ByKey | private.Inserted, plans: Plans, engine: EngineInfo
) -> Region | None:
    """The region whose rows are the table's, one by one; None where that is not all of it.

    Remembered by its class, held weakly: what a table is the key of must not lead to the table.
    """
    changed = found.changed if isinstance(found, private.ByKey) else None
    kept = engine.reached.setdefault(found.table, {})
    key = ("by key", changed)
    state = (plans.version, len(found.table.metadata.tables))
    known = kept.get(key)
    if known is None or known[0] != state:
        source = plans.source(found.table, engine)
        if source is None:
            return None  # for now: its class may not be configured yet
        region = _sure_region(found.table, source.region, changed, plans, engine)
        known = kept[key] = (state, None if region is None else weakref.ref(region.mapper))
    mapper: Mapper[Any] | None = None if known[1] is None else known[1]()
    return None if mapper is None else engine.region(mapper)


def _sure_region(
    table: Table,
    region: Region | None,
    changed: frozenset[str] | None,
    plans: Plans,
    engine: EngineInfo,
) -> Region | None:
    """See `_region`; with None as `changed` for new rows, which nothing follows."""
    if region is None or list(table.primary_key.columns) != list(region.key_columns):
        return None
    if changed is None:
        return region
    if not region.identity.negative_ok:
        return None  # a key may be written in several ways
    telling = {*_keyish(table), *region.tagset.columns}
    if any(column.key in changed or _follows(column) for column in telling):
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


def note_places(
    writes: WriteSet, places: Iterable[Place], region: Emptied, keyed: KeyedRows | None
) -> None:
    """Note that a statement writes a region in these places: the rows that it names, or all."""
    if keyed is None or region.name != keyed.space.name:
        writes.regions.update(places)
        return
    for place in places:
        tags = writes.tag_writes(place)
        tags.add(keyed.space.tagset.name, keyed.words)
        tags.unnamed = tags.unnamed or keyed.unnamed
        if not keyed.new and keyed.space.tagset.kept:
            tags.had.update(keyed.names)  # the others that they have are in their hashes
        for name in keyed.names:
            writes.row(place, name, None)
