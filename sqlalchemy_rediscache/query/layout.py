"""`Layout`: what the columns of a query's result are: entities, kept once as rows, and values.

The entry of a query holds, for each of its rows, the primary key of each entity and the other
values. The entities' columns come from the row cache, so that an entity has one copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from sqlalchemy import Column, String, Table, null, type_coerce
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.selectable import Alias
from sqlalchemy.types import NullType

from ..codec import RowCodec, uncacheable
from ..errors import EncodeError
from ..region import Region, shows_withheld
from ..stats import Reason
from .refusal import Refusal

_EXACT = frozenset({
    NoneType, bool, int, float, str, bytes, Decimal, date, datetime, time, timedelta, UUID,
})  # fmt: skip
"""Types of values that are kept exactly, whatever is known of their column."""

_ANY = type_coerce(null(), String())
"""A column in the place of one without a type: its values are packed by their own."""


@dataclass(frozen=True)
class Entity:
    """An entity among a result's columns.

    Args:
        region: How its rows are cached.
        keys: Where the primary key's values are in a row of the result.
        places: For each column of the region where it is in a row of the result.
        columns: For each place in the result that the entity fills, the region's column there.
        nullable: A row may be without it (an outer join): all its columns are NULL then.
    """

    region: Region
    keys: tuple[int, ...]
    places: tuple[int, ...]
    columns: tuple[tuple[int, int], ...]

    def values(self, row: Sequence[Any]) -> list[Any] | None:
        """The region's values in a row of the result; None where the row has no such entity.

        Raises:
            EncodeError: A part of its primary key is NULL: it has no name in Redis.
        """
        if any(row[place] is None for place in self.keys):
            if any(row[place] is not None for place in self.places):
                raise EncodeError("a primary key in the result is NULL in part")
            return None
        return [row[place] for place in self.places]


@dataclass(frozen=True)
class Layout:
    """The columns of a result.

    Args:
        width: How many there are.
        entities: The entities among them.
        others: Where the columns are that belong to none.
        codec: Packs those others; None where there are none.
        untyped: Those of the others whose type SQLAlchemy does not know.
    """

    width: int
    entities: tuple[Entity, ...]
    others: tuple[int, ...]
    codec: RowCodec | None
    untyped: tuple[int, ...] = ()

    @property
    def shareable(self) -> bool:
        """May a result be given to several readers, since nobody can change its values?"""
        codecs = [entity.region.codec for entity in self.entities]
        if self.codec is not None:
            codecs.append(self.codec)
        return not self.untyped and all(codec.shareable for codec in codecs)

    @property
    def single(self) -> Entity | None:
        """The entity, when every row is one entity of which every column was selected once."""
        if len(self.entities) != 1 or self.codec is not None:
            return None
        only = self.entities[0]
        return only if len(only.columns) == self.width else None

    def split(
        self, rows: Sequence[Sequence[Any]]
    ) -> tuple[list[list[bytes | None]], list[dict[bytes, list[Any]]], list[bytes]]:
        """Take a result apart: for each entity the keys in its rows and its rows by key; the rest.

        Raises:
            EncodeError: A value can't be stored exactly, or a key has no text; the rows have other
                columns than the compiler knew of.
        """
        if rows and len(rows[0]) != self.width:
            raise EncodeError(f"{len(rows[0])} columns were returned where {self.width} are known")
        keys: list[list[bytes | None]] = []
        found: list[dict[bytes, list[Any]]] = []
        for entity in self.entities:
            own: list[bytes | None] = []
            by_key: dict[bytes, list[Any]] = {}
            for row in rows:
                values = entity.values(row)
                if values is None:
                    if self.single is not None:  # `joined` could not tell it among the others
                        raise EncodeError("a row of the result has no entity")
                    own.append(None)
                    continue
                key = entity.region.key_of(values)
                if key is None:
                    raise EncodeError("a primary key in the result has no exact text")
                by_key[key] = values
                own.append(key)
            keys.append(own)
            found.append(by_key)
        codec, others = self.codec, self.others
        for place in self.untyped:
            strange = {type(row[place]) for row in rows} - _EXACT
            if strange:
                raise EncodeError(f"values of {strange} in a column without a type")
        rest = [] if codec is None else [codec.encode([row[i] for i in others]) for row in rows]
        return keys, found, rest

    def joined(
        self,
        keys: Sequence[Sequence[bytes | None]],
        rows: Sequence[Mapping[bytes, Sequence[Any]]],
        rest: Sequence[bytes],
        *,
        direct: bool,
    ) -> list[Sequence[Any]] | None:
        """The rows of the result that `split` took apart; None where `rest` won't decode.

        With `direct`, of a `single` layout, the values of the entities in their region's order.
        """
        if direct:
            own = rows[0]
            return [own[key] for key in keys[0] if key is not None]
        others: Sequence[list[Any] | None] = []
        if self.codec is not None:
            others = self.codec.decode_many(rest)
            if None in others:
                return None
        result: list[Sequence[Any]] = []
        for index in range(len(keys[0]) if keys else len(others)):
            row: list[Any] = [None] * self.width
            for entity, own_keys, own in zip(self.entities, keys, rows, strict=True):
                key = own_keys[index]
                if key is not None:
                    values = own[key]
                    for place, column in entity.columns:
                        row[place] = values[column]
            if others:
                for place, value in zip(self.others, others[index] or (), strict=True):
                    row[place] = value
            result.append(tuple(row))
        return result

    def raw(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Rows of the result, from a `single` entity's values."""
        columns = self.entities[0].columns
        order = [column for _, column in sorted(columns)]
        return [tuple([values[column] for column in order]) for values in rows]


def layout_of(
    columns: Sequence[Any],
    region_of: Callable[[Table], Region | None],
    dialect: Dialect,
    max_bytes: int,
) -> Layout | Refusal:
    """The layout of a result with these columns, or why its rows can't be cached.

    Args:
        columns: What each result column is (`private.result_columns`).
        region_of: The region whose plain rows are rows of a table, None where there is none.
        dialect: Whose values they are.
        max_bytes: Rows larger than this are not stored.
    """
    owners: dict[Any, list[int]] = {}
    for place, column in enumerate(columns):
        refusal = _objection(column)
        if refusal is not None:
            return refusal
        if isinstance(column, Column):
            owners.setdefault(column.table, []).append(place)
    entities = []
    taken: set[int] = set()
    for owner, places in owners.items():
        entity = _entity(owner, places, columns, region_of)
        if entity is not None:
            entities.append(entity)
            taken.update(place for place, _ in entity.columns)
    others = tuple(place for place in range(len(columns)) if place not in taken)
    untyped = tuple(place for place in others if isinstance(columns[place].type, NullType))
    for place in others:
        reason = None if place in untyped else uncacheable(columns[place], dialect)
        if reason is not None:
            return Refusal(f"{columns[place]}: {reason}", Reason.COLUMN_TYPE)
    codec = None
    if others:
        packed = [_ANY if place in untyped else columns[place] for place in others]
        codec = RowCodec(packed, dialect, compress_over=None, max_bytes=max_bytes)
    return Layout(len(columns), tuple(entities), others, codec, untyped)


def _objection(column: Any) -> Refusal | None:
    """Why a column of a result can't be kept, whatever its type."""
    if isinstance(column, str):
        text = f"{column}: a column that is selected twice is rendered without its source"
        return Refusal(text, Reason.UNKNOWN_CONSTRUCT)
    if getattr(column, "is_literal", False) and column.name == "*":
        text = "a * stands for columns that the cache does not know: select them by name"
        return Refusal(text, Reason.TEXT)
    if shows_withheld(column):
        text = f"{column} is kept out of Redis (info={{'cache': False}})"
        return Refusal(text, Reason.WITHHELD_COLUMN)
    return None


def _entity(
    owner: Any,
    places: Sequence[int],
    columns: Sequence[Any],
    region_of: Callable[[Table], Region | None],
) -> Entity | None:
    table = owner.element if isinstance(owner, Alias) else owner
    region = region_of(table) if isinstance(table, Table) else None
    if region is None:
        return None
    at: dict[Any, int] = {}
    filled = []
    for place in places:
        column = columns[place]
        base = column if owner is table else table.c.get(column.key)
        index = region.index.get(base)
        if index is not None:
            filled.append((place, index))
            at.setdefault(base, place)
    if len(at) != len(region.columns):
        return None  # not the whole entity: its columns are values like others
    own = tuple(at[column] for column in region.columns)
    return Entity(region, tuple(own[place] for place in region.key_places), own, tuple(filled))
