"""The rule for each type of column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Dialect
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from sqlalchemy_rediscache.codec.columns import (
    declared_type,
    decorated_type,
    is_decorator,
    is_foreign,
    overrides,
)
from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import (
    Backend,
    Rule,
    Target,
    inexact,
    target_of,
)
from sqlalchemy_rediscache.codec.stored.choices import boolean_rule, enum_rule, uuid_rule
from sqlalchemy_rediscache.codec.stored.documents import array_rule, json_rule
from sqlalchemy_rediscache.codec.stored.moments import (
    date_rule,
    datetime_rule,
    interval_rule,
    time_rule,
)
from sqlalchemy_rediscache.codec.stored.numbers import float_rule, integer_rule, numeric_rule
from sqlalchemy_rediscache.codec.stored.texts import binary_rule, text_rule
from sqlalchemy_rediscache.private.types import BinaryType

_DRIVERS = frozenset({"pysqlite", "aiosqlite", "psycopg", "asyncpg", "pymysql", "aiomysql"})
"""The drivers that the rules are tested with. Others differ: psycopg2 loses a negative zero."""

# The first that fits decides: special classes before those that they derive from.
_RULES: tuple[tuple[type, Callable[[Target], Rule]], ...] = (
    (Enum, enum_rule),
    (sqltypes.Boolean, boolean_rule),
    (sqltypes.Uuid, uuid_rule),
    (sqltypes.Integer, integer_rule),
    (sqltypes.Float, float_rule),
    (sqltypes.Numeric, numeric_rule),
    (sqltypes.DateTime, datetime_rule),
    (sqltypes.Date, date_rule),
    (sqltypes.Time, time_rule),
    (sqltypes.Interval, interval_rule),
    (INTERVAL, interval_rule),
    (sqltypes.JSON, json_rule),
    (BinaryType, binary_rule),
    (sqltypes.String, text_rule),
)


def stored_rule(column: ColumnElement[Any], dialect: Dialect) -> Rule:
    """The rule for values that are written to a column.

    Args:
        column: The column; an expression is never written and always `INEXACT`.
        dialect: The dialect of the database.

    Returns:
        A function from the written value to what a read will give, or `INEXACT`. It never raises.
    """
    if not isinstance(column, Column) or column.computed is not None:
        return inexact
    if dialect.driver not in _DRIVERS:
        return inexact
    target = target_of(column, declared_type(column.type, dialect), dialect)
    rule = _rule(target)
    if rule is inexact:
        return inexact
    # An INSERT leaves a None out where something else may take its place.
    defaulted = column.default is not None or column.server_default is not None
    if is_decorator(target.type_) and not defaulted:
        return _guarded(rule)
    return _guarded_but_none(rule, INEXACT if defaulted else None)


def _guarded(rule: Rule) -> Rule:
    def guarded(value: Any) -> Any:
        try:
            return rule(value)
        except Exception:  # noqa: BLE001 (what can't be computed is not certain)
            return INEXACT

    return guarded


def _guarded_but_none(rule: Rule, none: Any) -> Rule:
    """The same with an answer of its own for None, in one function: flushes call it very often."""

    def guarded(value: Any) -> Any:
        if value is None:
            return none
        try:
            return rule(value)
        except Exception:  # noqa: BLE001 (what can't be computed is not certain)
            return INEXACT

    return guarded


def _rule(target: Target) -> Rule:
    """The rule of a type; for all values but None, which only decorators make something of."""
    type_ = target.type_
    if is_decorator(type_):
        return _decorated(target, type_)
    if target.backend is Backend.OTHER or is_foreign(type_):
        return inexact
    if isinstance(type_, sqltypes.ARRAY):
        return array_rule(target, lambda item: _nullable_rule(target, item))
    for kind, make in _RULES:
        if isinstance(type_, kind):
            return make(target)
    return inexact


def _nullable_rule(target: Target, type_: TypeEngine[Any]) -> Rule:
    """The rule of a type inside that of the target, for None too."""
    inner = target.with_type(declared_type(type_, target.dialect))
    rule = _rule(inner)
    if rule is inexact or is_decorator(inner.type_):
        return rule
    return lambda value: None if value is None else rule(value)


def _decorated(target: Target, type_: TypeDecorator[Any]) -> Rule:
    if overrides(
        type_, "bind_processor", "result_processor", "bind_expression", "column_expression"
    ):
        return inexact
    below = _nullable_rule(target, decorated_type(type_, target.dialect))
    if below is inexact:
        return inexact
    dialect = target.dialect
    bind = type_.process_bind_param if overrides(type_, "process_bind_param") else None
    result = type_.process_result_value if overrides(type_, "process_result_value") else None

    def rule(value: Any) -> Any:
        stored = below(value if bind is None else bind(value, dialect))
        if stored is INEXACT or result is None:
            return stored
        return result(stored, dialect)

    return rule
