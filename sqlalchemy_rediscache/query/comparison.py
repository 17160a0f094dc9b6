"""Which comparisons of a column with a value mean in the database what they mean in Python."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Boolean, Column, Date, Enum, Integer, Uuid
from sqlalchemy.types import TypeEngine

from .. import private
from ..codec.columns import is_decorator, overrides

TAG_KINDS: Final[frozenset[str]] = frozenset({
    "integer", "small_integer", "big_integer", "INTEGER", "SMALLINT", "BIGINT", "TINYINT",
    "MEDIUMINT", "string", "text", "unicode", "unicode_text", "VARCHAR", "NVARCHAR", "TEXT",
    "boolean", "BOOLEAN", "uuid", "UUID", "date", "DATE", "enum", "ENUM", "datetime", "DATETIME",
    "TIMESTAMP", "time", "TIME", "numeric", "NUMERIC", "DECIMAL", "large_binary", "VARBINARY",
    "BLOB", "BYTEA",
})  # fmt: skip
"""Types whose values a tag can name. Left out: CHAR (padded), CITEXT (case), floats (rounded),
and what has more than one form for one value, as JSON."""

CARRIED: Final[frozenset[type[TypeEngine[Any]]]] = frozenset({Integer, Boolean, Date, Uuid})
"""Kinds of values of which two columns that are equal have the same, whatever their collation."""


def tag_type(type_: TypeEngine[Any]) -> bool:
    """Can values of this type be told apart outside of the database, on every dialect?

    A decorator may give one stored value to several of Python's, a type of the application may
    compare in any way, and so may a collation.
    """
    variants = private.type_variants(type_)
    kind = private.affinity(type_)
    return all(private.affinity(one) is kind and _plain(one) for one in variants)


def comparable(column: Column[Any], type_: TypeEngine[Any]) -> bool:
    """Is a parameter of this type compared with the column as it is, neither of them converted?"""
    if private.affinity(type_) is not private.affinity(column.type) or not tag_type(type_):
        return False
    return isinstance(type_, Enum) == isinstance(column.type, Enum)


def joined(left: Column[Any], right: Column[Any], carried: bool) -> bool:
    """Do two columns that are equal in SQL have the same value outside of the database?

    `carried` says that the caller vouches for both of them: of texts, a column that ignores case
    can be equal to one that does not, and to a parameter, without being either.
    """
    kind = private.affinity(left.type)
    if private.affinity(right.type) is not kind:
        return False
    if isinstance(left.type, Enum) or isinstance(right.type, Enum):
        return False
    return carried or kind in CARRIED


_CONVERSIONS: Final = (
    "process_bind_param", "process_result_value", "process_literal_param", "bind_processor",
    "result_processor", "literal_processor", "bind_expression", "column_expression",
    "coerce_compared_value", "comparator_factory",
)  # fmt: skip


def _plain(type_: TypeEngine[Any]) -> bool:
    if is_decorator(type_) and not overrides(type_, *_CONVERSIONS):
        return _plain(type_.impl_instance)  # it only chooses a type for each dialect
    if type_.__visit_name__ not in TAG_KINDS or private.converts_in_sql(type_):
        return False
    if type(type_).__module__.partition(".")[0] != "sqlalchemy":
        return False
    return getattr(type_, "collation", None) is None
