"""Numbers: ranges, scales and the detour that some databases make through floating point."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

from sqlalchemy.dialects import mysql
from sqlalchemy.sql import sqltypes

from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import Backend, Rule, Target, inexact
from sqlalchemy_rediscache.private.types import formatted_digits

_SINGLE_PRECISION_BITS = 24
_MAX_DIGITS = 1000
"""Digits of a Decimal up to which a rule is computed at all."""

_GROUP = 10_000
"""PostgreSQL keeps decimal numbers in groups of four digits."""

_MYSQL_DIGITS = 10
"""DECIMAL without a precision means DECIMAL(10, 0) to MySQL and MariaDB."""

_WHOLE_FLOATS = 1 << 50
"""SQLite turns whole numbers below 2^51 into integers and back without a loss."""


def integer_limits(type_: sqltypes.Integer, backend: Backend) -> tuple[int, int]:
    """The least and the greatest number that an integer column holds."""
    bits = _bits(type_, backend)
    if getattr(type_, "unsigned", False):
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _bits(type_: sqltypes.Integer, backend: Backend) -> int:
    if backend is Backend.SQLITE or isinstance(type_, sqltypes.BigInteger):
        return 64
    if isinstance(type_, mysql.TINYINT):
        return 8
    if isinstance(type_, mysql.MEDIUMINT):
        return 24
    return 16 if isinstance(type_, sqltypes.SmallInteger) else 32


def integer_rule(target: Target) -> Rule:
    """Whole numbers: exact within the range of the column."""
    low, high = integer_limits(target.type_, target.backend)

    def rule(value: Any) -> Any:
        return value if type(value) is int and low <= value <= high else INEXACT

    return rule


def float_rule(target: Target) -> Rule:
    """Floating point: exact where the column has double precision and the number is finite."""
    type_ = target.type_
    if getattr(type_, "asdecimal", False) or not _is_double(target):
        return inexact
    keeps_negative_zero = target.backend is Backend.POSTGRESQL

    def rule(value: Any) -> Any:
        if type(value) is not float or not math.isfinite(value):
            return INEXACT
        if value == 0 and math.copysign(1, value) < 0 and not keeps_negative_zero:
            return INEXACT
        return value

    return rule


def _is_double(target: Target) -> bool:
    type_ = target.type_
    precision = getattr(type_, "precision", None)
    if target.backend is Backend.SQLITE:
        return True
    if isinstance(type_, sqltypes.REAL):
        return False
    if target.backend is Backend.POSTGRESQL:
        return precision is None or precision > _SINGLE_PRECISION_BITS
    # FLOAT has single precision here; DOUBLE(p, s) rounds.
    return isinstance(type_, sqltypes.Double) and precision is None


def numeric_rule(target: Target) -> Rule:
    """Decimal numbers: exact where the digits fit the column, given with the column's scale."""
    type_ = target.type_
    if not type_.asdecimal:
        return inexact
    if target.backend is Backend.SQLITE:
        return _through_float(target)
    precision, scale = type_.precision, type_.scale
    if target.backend is Backend.MYSQL:
        fixed = _fixed(precision or _MYSQL_DIGITS, scale or 0)
        unsigned = getattr(type_, "unsigned", False)
        return lambda value: INEXACT if unsigned and value < 0 else fixed(value)
    rule = _unlimited if precision is None else _fixed(precision, scale or 0)
    return _written_out(rule) if target.dialect.driver == "asyncpg" else rule


def _written_out(rule: Rule) -> Rule:
    """Leave out what asyncpg reads with an exponent: 20000, sent in groups of digits, as 2E+4."""

    def written_out(value: Any) -> Any:
        stored = rule(value)
        if stored is INEXACT or stored.as_tuple().exponent < 0:
            return stored
        return INEXACT if stored and stored % _GROUP == 0 else stored

    return written_out


def _fixed(precision: int, scale: int) -> Rule:
    quantum = Decimal(1).scaleb(-scale)
    # For this rule alone: entering a context takes longer than the rest.
    context = Context(prec=precision + scale + _MAX_DIGITS)
    whole_digits = precision - scale

    def rule(value: Any) -> Any:
        if type(value) is not Decimal or not value.is_finite() or value.adjusted() > precision:
            return INEXACT
        rounded = value.quantize(quantum, None, context)
        if rounded != value:
            return INEXACT
        if not rounded:
            # No database knows a negative zero.
            return rounded.copy_abs()
        return rounded if rounded.adjusted() < whole_digits else INEXACT

    return rule


def _unlimited(value: Any) -> Any:
    """PostgreSQL's NUMERIC without a precision keeps the digits as they are."""
    if type(value) is not Decimal or not value.is_finite():
        return INEXACT
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -_MAX_DIGITS <= exponent <= 0:
        return INEXACT
    if len(digits) > _MAX_DIGITS or (sign and value.is_zero()):
        return INEXACT
    return value


def _through_float(target: Target) -> Rule:
    """SQLite has no decimal numbers: SQLAlchemy writes a float and formats the one it reads."""
    digits = formatted_digits(target.type_)

    def rule(value: Any) -> Any:
        if type(value) is not Decimal or not value.is_finite() or abs(value) >= _WHOLE_FLOATS:
            return INEXACT
        if value.is_zero() and value.is_signed():
            return INEXACT
        return Decimal(f"{float(value):.{digits}f}")

    return rule
