"""What the type of a column says about the values that a read of it gives."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeGuard
from uuid import UUID

from sqlalchemy import Dialect
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import ARRAY, Interval, NullType, PickleType, TypeDecorator, TypeEngine

from sqlalchemy_rediscache.private.types import variant_for

_KNOWN_RESULTS = frozenset(
    {
        bool,
        int,
        float,
        str,
        bytes,
        Decimal,
        date,
        datetime,
        time,
        timedelta,
        UUID,
        dict,
        list,
        tuple,
        set,
    }
)


def uncacheable(column: ColumnElement[Any], dialect: Dialect) -> str | None:
    """Why the values of a column can never be cached, or None if they can.

    A cacheable column may still hold a single value that the codec refuses (`EncodeError`); that
    row is then not cached.

    Args:
        column: A column of a table, or the expression of a `column_property`.
        dialect: The dialect of the database that the column is read from.
    """
    return _reason(column.type, dialect)


def declared_type(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type as it was declared for this dialect: the variant, if `with_variant` names one.

    The dialect's own implementation of it (`dialect_impl`) has lost what only DDL needs, such as
    the precision of a `postgresql.TIMESTAMP`.
    """
    return variant_for(type_, dialect)


def is_decorator(type_: TypeEngine[Any]) -> TypeGuard[TypeDecorator[Any]]:
    """Whether a type is a TypeDecorator of the application, not one of SQLAlchemy's own."""
    return isinstance(type_, TypeDecorator) and not isinstance(type_, Interval | PickleType)


def overrides(type_: TypeEngine[Any], *methods: str) -> bool:
    """Whether a class outside SQLAlchemy replaces one of the methods of a type.

    Args:
        type_: The type.
        methods: Names of methods.
    """
    for method in methods:
        owner = next((c for c in type(type_).__mro__ if method in c.__dict__), None)
        if owner is not None and not _is_sqlalchemys(owner):
            return True
    return False


def is_foreign(type_: TypeEngine[Any]) -> bool:
    """Whether the class of a type is not SQLAlchemy's own."""
    return not _is_sqlalchemys(type(type_))


def decorated_type(type_: TypeDecorator[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type below a TypeDecorator, as declared for this dialect."""
    return declared_type(type_.load_dialect_impl(dialect), dialect)


def _is_sqlalchemys(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "sqlalchemy"


def _reason(type_: TypeEngine[Any], dialect: Dialect) -> str | None:
    declared = declared_type(type_, dialect)
    reason: str | None = None
    if isinstance(declared, PickleType):
        reason = "PickleType: nothing that comes from Redis is unpickled"
    elif isinstance(declared, NullType):
        reason = "SQLAlchemy knows no type for it; give the column or expression a type"
    elif is_decorator(declared):
        below = decorated_type(declared, dialect)
        # What a process_result_value makes of untyped values is judged value by value.
        if not (isinstance(below, NullType) and overrides(declared, "process_result_value")):
            reason = _reason(below, dialect)
    elif isinstance(declared, ARRAY):
        reason = _reason(declared.item_type, dialect)
    elif is_foreign(declared) and _result_class(declared) not in _KNOWN_RESULTS:
        name = type(declared).__qualname__
        reason = (
            f"the Python class of the values of {name} is not known; give {name} a python_type "
            "that the codec knows, or wrap it in a TypeDecorator"
        )
    return reason


def _result_class(type_: TypeEngine[Any]) -> type | None:
    try:
        return type_.python_type
    except NotImplementedError:
        return None
