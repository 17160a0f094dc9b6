"""`Shape`: which columns a plain SELECT of a mapper returns, and how they make an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import Label

from . import private
from .errors import UncacheableModel

_LOADED = (("deferred", False), ("instrument", True))
_DEFERRED = (("deferred", True), ("instrument", True))
_NOTHING_TO_DO = frozenset({"select", True, "raise", "raise_on_sql", "write_only", "dynamic"})
_PURE_FUNCTIONS = frozenset({"lower", "upper", "coalesce", "concat", "length", "abs", "trim"})


@dataclass(frozen=True)
class Shape:
    """The result columns of ``select(mapper)``.

    Args:
        columns: Columns of the mapper's tables, or labelled expressions over them, in row order.
        discriminator: Index of the column that names the class of a row, None without inheritance.
        whole: False when some of what the SELECT returns can't come from the row itself (another
            table's values): plain loads of the class then go to the database.
    """

    columns: Sequence[Any]
    discriminator: int | None
    whole: bool


def shape_of(mapper: Mapper[Any], dialect: Dialect) -> Shape:
    """The shape of a mapper.

    Raises:
        UncacheableModel: The class of a row is told by something that is not one of its columns, or
            no row can be loaded with this dialect.
    """
    try:
        select = private.own_select(mapper, dialect)
    except CompileError as error:  # a class for other databases than this one
        raise UncacheableModel(
            f"{mapper.class_.__name__}: its SELECT does not compile for {dialect.name}: {error}"
        ) from error
    found = private.result_columns(select)
    tables = set(mapper.tables)
    for sub in private.with_subclasses(mapper):
        tables.update(sub.tables)
    columns, whole = [], True
    for column in found:
        own = isinstance(column, Column) and column.table in tables
        if own or _depends_on_row_only(column, tables):
            columns.append(column)
        else:
            whole = False
    discriminator: int | None = None
    on = mapper.polymorphic_on
    if on is not None:
        matches = [index for index, column in enumerate(columns) if column is on]
        if not matches:
            raise UncacheableModel(
                f"{mapper.class_.__name__}: its polymorphic_on is not a column of its rows, so the "
                "class of a row can't be told: don't register it"
            )
        discriminator = matches[0]
    return Shape(tuple(columns), discriminator, whole)


def _depends_on_row_only(element: Any, tables: set[Any]) -> bool:
    """Is a labelled expression made of the row's own columns and functions without surprises?"""
    if not isinstance(element, Label):
        return False
    part: Any
    for part in visitors.iterate(element):
        kind = part.__visit_name__
        if kind == "column":
            if part.table not in tables:
                return False
        elif kind == "function":
            if part.name.lower() not in _PURE_FUNCTIONS:
                return False
        elif kind not in _HARMLESS:
            return False
    return True


_HARMLESS = frozenset(
    {"label", "binary", "unary", "grouping", "clauselist", "bindparam", "case", "cast", "null",
     "expression_clauselist", "typeclause", "true", "false", "type_coerce"}
)  # fmt: skip


@dataclass(frozen=True)
class Hydration:
    """How a cached row of one concrete class becomes an object.

    Args:
        mapper: The class of the row.
        loaded: Attribute and index of its value among the codec's values.
        expired: Attributes that the database would have to be asked for.
        names: The attribute of each value, when every value is one attribute's; None otherwise.
        names_loaded: The attributes that get a value.
        direct: True when nothing but column values is loaded with the object, so that it can be
            built without SQLAlchemy's loading.
    """

    mapper: Mapper[Any]
    loaded: Sequence[tuple[str, int]]
    expired: frozenset[str]
    direct: bool
    names: Sequence[str] | None
    names_loaded: frozenset[str]

    def attributes(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values of a row by the attributes that they belong to, as `add_instances` wants."""
        found: dict[str, Any] = {private.OWN_STATE: None}
        if self.names is not None:
            found.update(zip(self.names, values, strict=True))
        else:
            found.update((name, values[place]) for name, place in self.loaded)
        return found


def hydration_of(mapper: Mapper[Any], index: dict[Any, int]) -> Hydration:
    """The plan for objects of `mapper` from rows whose columns are at `index`."""
    loaded, expired, direct = [], set(), True
    for prop in mapper.iterate_properties:
        if isinstance(prop, ColumnProperty):
            if prop.strategy_key == _DEFERRED:
                continue
            direct = direct and prop.strategy_key == _LOADED
            place = next((index[column] for column in prop.columns if column in index), None)
            if place is None:
                expired.add(prop.key)
            else:
                loaded.append((prop.key, place))
        elif isinstance(prop, RelationshipProperty):
            direct = direct and prop.lazy in _NOTHING_TO_DO
    if any(sub.polymorphic_load == "selectin" for sub in private.with_subclasses(mapper)):
        direct = False
    loaded.sort(key=lambda pair: pair[1])
    names = None
    if [place for _, place in loaded] == list(range(len(index))):
        names = tuple(name for name, _ in loaded)
    return Hydration(
        mapper,
        tuple(loaded),
        frozenset(expired),
        direct,
        names,
        frozenset(name for name, _ in loaded),
    )
