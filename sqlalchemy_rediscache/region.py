"""`Region`: one mapper, compiled for one dialect: its rows in Redis and in a session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors

from . import private
from .codec import IdentityCodec, uncacheable
from .errors import ConfigurationError, UncacheableModel
from .group import Group
from .keys import scope_digest
from .policy import CachePolicy
from .shape import Hydration, Shape, hydration_of, shape_of
from .tags import TagSet


class WrittenColumn(NamedTuple):
    """What a flush tells of one column's new value."""

    place: int
    """Its place among the region's columns."""
    attribute: str
    certain: bool
    """The database stores what is sent: the column is not computed by it."""
    follows: bool
    """It may get a value on UPDATE that nobody assigned."""
    null_when_unset: bool
    """An INSERT sends NULL for it when nothing was assigned."""


class KeySpace:
    """What the keys of a class's rows are called: all that a writer needs who empties them.

    Unlike a `Region` it compiles nothing, so that it may be made while the classes that the
    mapper's relationships name are not imported yet.

    Args:
        mapper: The mapper.
        policy: Its policy.

    Raises:
        UncacheableModel: No row of this class can be cached.
    """

    def __init__(self, mapper: Mapper[Any], policy: CachePolicy) -> None:
        root = root_table(mapper)
        keys = key_columns(mapper)
        self.name = policy.region or root.fullname
        if [root.c.get(column.key) for column in keys] != list(root.primary_key):
            # another idea of the primary key: other tokens, so other keys
            self.name += "-by-" + "-".join(column.name for column in keys)


class Region(Group):
    """How the rows of one mapper are cached with one dialect.

    A region is compiled at first use. Regions of one inheritance hierarchy, and of classes mapped
    to one table, share their keys: the name is the root table's. What each loads is a field of its
    own in a row's hash, so that a lock on the row clears them all. The region itself is the group
    of the columns that a plain load returns; deferred columns have groups of their own.

    Args:
        mapper: The mapper.
        policy: Its policy.
        dialect: Whose values the rows hold.
        max_bytes: Larger rows are not stored.

    Raises:
        UncacheableModel: No row of this class can be cached; the message says why.
    """

    def __init__(
        self, mapper: Mapper[Any], policy: CachePolicy, dialect: Dialect, max_bytes: int
    ) -> None:
        self.mapper = mapper
        self.dialect = dialect
        self.name = KeySpace(mapper, policy).name
        keys = key_columns(mapper)
        self.key_columns = keys
        self._only = _set_apart(mapper, policy)
        self._max_bytes = max_bytes
        self.shape: Shape = shape_of(mapper, dialect)
        columns = [column for column in self.shape.columns if cacheable(column, dialect)]
        self.complete = len(columns) == len(self.shape.columns)
        """The rows have all that a plain load returns: no column is kept out of the cache."""
        self.left_out = {
            str(column): uncacheable(column, dialect) or ""
            for column in self.shape.columns
            if not withheld(column) and uncacheable(column, dialect) is not None
        }
        """Columns whose types can't be stored exactly, and why."""
        try:
            identity = IdentityCodec(keys, dialect)
            super().__init__("row", columns, keys, identity, dialect, policy, self._only, max_bytes)
        except ConfigurationError as error:
            raise UncacheableModel(f"{mapper.class_.__name__} can't be cached: {error}") from error
        self._hydrations: dict[Mapper[Any], Hydration] = {}
        self._groups: dict[frozenset[Any], Group | None] = {}
        self._discriminator = self._discriminator_place()
        self.only_class = self._discriminator < 0
        """Every row is an object of the mapper's own class."""
        self.tagset = TagSet(
            root_table(mapper), policy, dialect, lambda column: column not in self.index
        )
        kept = [self.index[column] for column in self.tagset.kept]
        self.words_field = self.tagset.field
        self.words = self.tagset.row_words(kept)
        self.whole = self.shape.whole
        self.direct = self.whole and all(
            self.hydration(sub).direct for sub in private.with_subclasses(mapper)
        )
        self.written = tuple(self._written())
        self.written_by = _by_attribute(self.written)
        """The columns that a change of an attribute writes."""
        self.followers = frozenset(one.attribute for one in self.written if one.follows)
        """The attributes that an UPDATE may write though nobody changed them."""
        self.follows_apart = self._follows_apart()
        """An UPDATE of one of several tables: which columns follow it, can't be told."""

    def _discriminator_place(self) -> int:
        if self.shape.discriminator is None:
            return -1
        place = self.index.get(self.shape.columns[self.shape.discriminator])
        if place is None:
            raise UncacheableModel(
                f"{self.mapper.class_.__name__}: the column that tells the class of a row is kept "
                "out of the cache: cache the column, or don't register the class"
            )
        return place

    def group(self, columns: Sequence[Any]) -> Group | None:
        """The group that answers a statement with these result columns; None if none can.

        That is the region itself, or one with deferred columns, made at first use.
        """
        wanted = frozenset(columns)
        if wanted <= self.index.keys():
            return self
        if wanted not in self._groups:
            self._groups[wanted] = self._deferred_group(wanted)
        return self._groups[wanted]

    def groups(self) -> list[Group]:
        """Every group that this process has used: the region itself, and those that were made."""
        return [self, *(group for group in self._groups.values() if group is not None)]

    def _deferred_group(self, wanted: frozenset[Any]) -> Group | None:
        own = {
            column: prop
            for prop in self.mapper.column_attrs
            for column in prop.columns
            if isinstance(column, Column) and cacheable(column, self.dialect)
        }
        if not wanted <= own.keys():
            return None
        columns = [column for column in own if column in wanted or column in self.key_columns]
        try:
            return Group(
                "grp",
                columns,
                self.key_columns,
                self.identity,
                self.dialect,
                self.policy,
                self._only,
                self._max_bytes,
            )
        except ConfigurationError:
            return None

    def concrete(self, values: Sequence[Any]) -> Mapper[Any] | None:
        """The class of a row, None where it is none that this region's loads return."""
        if self._discriminator < 0:
            return self.mapper
        found = self.mapper.polymorphic_map.get(values[self._discriminator])
        return found if found is not None and found.isa(self.mapper) else None

    def says_its_class(self, mapper: Mapper[Any], attributes: Mapping[str, Any]) -> bool:
        """Does the column that tells a row's class tell the class of the object that wrote it?

        SQLAlchemy warns of a flush where it does not, and sends it.
        """
        for one in self.written if self._discriminator >= 0 else ():
            if one.place == self._discriminator and one.attribute in attributes:
                return mapper.polymorphic_map.get(attributes[one.attribute]) is mapper
        return True

    def hydration(self, mapper: Mapper[Any]) -> Hydration:
        """How rows of a class become objects."""
        found = self._hydrations.get(mapper)
        if found is None:
            found = self._hydrations[mapper] = hydration_of(mapper, self.index)
        return found

    def _follows_apart(self) -> bool:
        versioned = self.mapper.version_id_col
        columns = [self.columns[one.place] for one in self.written if one.follows]
        return len(self.mapper.tables) > 1 and any(column is not versioned for column in columns)

    def _written(self) -> Iterator[WrittenColumn]:
        versioned = self.mapper.version_id_col
        attributes: dict[Any, str] = {}
        unversioned: set[Any] = set()
        for prop in self.mapper.column_attrs:
            for column in prop.columns:
                attributes[column] = prop.key
            if any(column is versioned for column in prop.columns):
                # a base table's column under the same attribute: no version is sent to it
                unversioned.update(column for column in prop.columns if column is not versioned)
        for column, place in self.index.items():
            if not isinstance(column, Column):
                yield WrittenColumn(place, attributes.get(column, ""), False, True, False)
                continue
            plain = (
                column.server_default is None
                and column.computed is None
                # for these the INSERT leaves it out: it would send something else than NULL
                and not column.type.should_evaluate_none
            )
            yield WrittenColumn(
                place,
                attributes.get(column, ""),
                column.computed is None and column in attributes and column not in unversioned,
                column is versioned
                or column.onupdate is not None
                or column.server_onupdate is not None,
                plain and column.default is None and not column.primary_key,
            )


def _by_attribute(columns: Sequence[WrittenColumn]) -> dict[str, list[WrittenColumn]]:
    found: dict[str, list[WrittenColumn]] = {}
    for column in columns:
        found.setdefault(column.attribute, []).append(column)
    return found


def cacheable(column: Any, dialect: Dialect) -> bool:
    """May a column's values be in Redis?"""
    return not withheld(column) and uncacheable(column, dialect) is None


def _set_apart(mapper: Mapper[Any], policy: CachePolicy) -> str:
    """What sets a class's loads apart from others of the same columns under the same key.

    A subclass's loads return the rows of some classes only. Classes that were given one region's
    name may be of different tables.
    """
    parts = [] if policy.region is None else [root_table(mapper).fullname]
    if mapper.inherits is not None and not mapper.concrete:
        parts += sorted(repr(sub.polymorphic_identity) for sub in private.with_subclasses(mapper))
    return "-" + scope_digest(parts) if parts else ""


def withheld(column: Any) -> bool:
    """Did the model say that this column must never reach Redis?"""
    return any(
        getattr(part, "info", {}).get("cache", True) is False
        for part in visitors.iterate(column)  # an expression over such a column shows its value
    )


def shows_withheld(element: Any) -> bool:
    """Can a value of a withheld column be told from a result column, whatever it is derived from?

    A column of an alias, a subquery or a CTE stands for others: those are looked at too.
    """
    return any(
        withheld(base)
        for part in visitors.iterate(element)
        for base in getattr(part, "proxy_set", (part,))
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


def as_key(mapper: Mapper[Any], identity: Any) -> tuple[Any, ...]:
    """A primary key as a user gives it (a value, a tuple, a dict by attribute), as a tuple.

    Raises:
        ConfigurationError: It has not the key's columns.
    """
    keys = key_columns(mapper)
    if isinstance(identity, dict):
        names = [mapper.get_property_by_column(column).key for column in keys]
        try:
            return tuple(identity[name] for name in names)
        except KeyError as error:
            raise ConfigurationError(f"the key of {mapper.class_.__name__} needs {error}") from None
    found = tuple(identity) if isinstance(identity, tuple | list) else (identity,)
    if len(found) != len(keys):
        raise ConfigurationError(
            f"the key of {mapper.class_.__name__} has {len(keys)} columns, {identity!r} has not"
        )
    return found
