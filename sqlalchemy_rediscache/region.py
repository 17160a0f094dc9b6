"""`Region`: one mapper, compiled for one dialect: its rows in Redis and in a session."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import ColumnProperty, Mapper
from sqlalchemy.sql import visitors

from .codec import IdentityCodec, RowCodec, uncacheable
from .errors import UncacheableModel
from .keys import scope_digest
from .policy import CachePolicy
from .shape import Hydration, Shape, hydration_of, shape_of


class Region:
    """How the rows of one mapper are cached with one dialect.

    A region is compiled at first use. Regions of one inheritance hierarchy, and of classes mapped
    to one table, share their keys: the name is the root table's. What each loads is a field of its
    own in a row's hash, so that a lock on the row clears them all.

    Raises:
        UncacheableModel: No row of this class can be cached; the message says why.
    """

    def __init__(self, mapper: Mapper[Any], policy: CachePolicy, dialect: Dialect) -> None:
        self.mapper = mapper
        self.policy = policy
        self.dialect = dialect
        root = root_table(mapper)
        self.table = root
        self.name = policy.region or root.fullname
        keys = key_columns(mapper)
        natural = [root.c.get(column.key) for column in keys] == list(root.primary_key)
        if not natural:  # another idea of the primary key: other tokens, so other keys
            self.name += "-by-" + "-".join(column.name for column in keys)
        try:
            self.identity = IdentityCodec(keys, dialect)
        except Exception as error:
            raise UncacheableModel(
                f"{mapper.class_.__name__} can't be cached by its primary key: {error}"
            ) from error
        self.shape: Shape = shape_of(mapper, dialect)
        cached = [
            index
            for index, column in enumerate(self.shape.columns)
            if not withheld(column) and uncacheable(column, dialect) is None
        ]
        self.left_out: dict[str, str] = {
            column.name: uncacheable(column, dialect) or 'info={"cache": False}'
            for index, column in enumerate(self.shape.columns)
            if index not in set(cached)
        }
        self.columns: Sequence[Any] = [self.shape.columns[index] for index in cached]
        self.places = cached
        """For each column of the codec, its index in the rows that the database returns."""
        self.index = {column: place for place, column in enumerate(self.columns)}
        self.codec = RowCodec(self.columns, dialect, compress_over=policy.compress_over)
        self.field = b"row:" + self.codec.fingerprint.encode()
        if mapper.inherits is not None and not mapper.concrete:
            # the same columns, but only the rows of some classes: another answer
            names = sorted(repr(sub.polymorphic_identity) for sub in mapper.self_and_descendants)
            self.field += b"-" + scope_digest(names).encode()
        self._hydrations: dict[Mapper[Any], Hydration] = {}
        self._discriminator = self._discriminator_place()
        self.whole = self.shape.whole
        self.direct = self.whole and all(
            self.hydration(sub).direct for sub in mapper.self_and_descendants
        )
        self.key_places = self._key_places(mapper)
        self.negative_ms = int(policy.negative_ttl * 1000) if self.identity.negative_ok else 0

    def _discriminator_place(self) -> int:
        if self.shape.discriminator is None:
            return -1
        try:
            return self.places.index(self.shape.discriminator)
        except ValueError:
            raise UncacheableModel(
                f"{self.mapper.class_.__name__}: the column that tells the class of a row is kept "
                "out of the cache: cache the column, or don't register the class"
            ) from None

    def _key_places(self, mapper: Mapper[Any]) -> list[int]:
        try:
            return [self.index[column] for column in key_columns(mapper)]
        except KeyError as error:
            raise UncacheableModel(
                f"{mapper.class_.__name__} can't be cached: its primary key column {error} is kept "
                'out of the cache, by info={"cache": False} or by its type. Cache the column, or '
                "don't register the class"
            ) from error

    def concrete(self, values: Sequence[Any]) -> Mapper[Any] | None:
        """The class of a row, None where it is none that this region's loads return."""
        if self.shape.discriminator is None:
            return self.mapper
        value = values[self._discriminator]
        found = self.mapper.polymorphic_map.get(value)
        return found if found is not None and found.isa(self.mapper) else None

    def hydration(self, mapper: Mapper[Any]) -> Hydration:
        """How rows of a class become objects."""
        found = self._hydrations.get(mapper)
        if found is None:
            found = self._hydrations[mapper] = hydration_of(mapper, self.index)
        return found

    def ttl_ms(self) -> int:
        """Milliseconds for a row filled now: the policy's TTL, shortened at random."""
        spread = 1.0 - self.policy.jitter * random.random()  # noqa: S311 (not a secret)
        return max(1, int(self.policy.ttl * 1000 * spread))

    def key_of(self, values: Sequence[Any]) -> str | None:
        """The key token of a row that was read or decoded, from its values."""
        return self.identity.token([values[place] for place in self.key_places])

    def follows(self, column: Any) -> bool:
        """Does the column get a value on UPDATE that nobody assigned?"""
        return (
            column is self.mapper.version_id_col
            or getattr(column, "onupdate", None) is not None
            or getattr(column, "server_onupdate", None) is not None
            or not isinstance(column, Column)
        )

    def stored_as_given(self, column: Any) -> bool:
        """Is what the session holds after a flush what it sent to the database?

        Not for computed columns and for expressions over columns, which the database makes.
        """
        return isinstance(column, Column) and column.computed is None

    def property_of(self, column: Column[Any]) -> ColumnProperty[Any] | None:
        """The attribute that a column of the mapper is mapped to."""
        try:
            found = self.mapper.get_property_by_column(column)
        except Exception:  # noqa: BLE001 (SQLAlchemy raises several kinds: not mapped)
            return None
        return found if isinstance(found, ColumnProperty) else None


def withheld(column: Any) -> bool:
    """Did the model say that this column must never reach Redis?"""
    return any(
        getattr(part, "info", {}).get("cache", True) is False
        for part in visitors.iterate(column)  # an expression over such a column shows its value
    )


def root_table(mapper: Mapper[Any]) -> Table:
    """The table whose row names the object: the mapper's own if concrete, else the root's.

    Raises:
        UncacheableModel: The class is mapped to a join, a subquery or anything but tables.
    """
    own = mapper if mapper.concrete else mapper.base_mapper
    while own.inherits is not None and not own.concrete:
        own = own.inherits
    if not isinstance(own.local_table, Table) or not isinstance(mapper.local_table, Table):
        raise UncacheableModel(
            f"{mapper.class_.__name__} is mapped to {own.local_table.__class__.__name__}, not to a "
            "table, so that writes to it can't be recognised: don't register it"
        )
    return own.local_table


def key_columns(mapper: Mapper[Any]) -> list[Column[Any]]:
    """The primary key of the mapper, in the order of its identity keys."""
    columns = [column for column in mapper.primary_key if isinstance(column, Column)]
    if not columns or len(columns) != len(mapper.primary_key):
        raise UncacheableModel(
            f"{mapper.class_.__name__} has no primary key of table columns: it can't be cached"
        )
    return columns
