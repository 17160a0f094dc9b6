"""Dates, times and durations: zones, fractions of a second, ranges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import sqltypes

from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import Backend, Rule, Target, inexact

_MICROSECOND_DIGITS = 6
_MYSQL_FIRST_YEAR = 1000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (the epoch of sqlalchemy.Interval, without a zone)


def datetime_rule(target: Target) -> Rule:
    """Moments without a zone: exact where the column has microseconds, or they fit it."""
    type_ = target.type_
    if target.backend is Backend.POSTGRESQL and type_.timezone:
        return _moment_in_utc if _gives_utc(target) and _digits(target) is None else inexact
    if target.backend is Backend.SQLITE:
        return _as_text(target, datetime, lambda value: value.isoformat(" ", "microseconds"))
    if target.backend is Backend.MYSQL and isinstance(type_, sqltypes.TIMESTAMP):
        # Converted between zones, and set by the server where it is not nullable.
        return inexact
    quantum = _quantum(target)
    first = _MYSQL_FIRST_YEAR if target.backend is Backend.MYSQL else 1

    def rule(value: Any) -> Any:
        if type(value) is not datetime or not _plain(value):
            return INEXACT
        return INEXACT if value.microsecond % quantum or value.year < first else value

    return rule


def _gives_utc(target: Target) -> bool:
    """Whether reads give moments in UTC, and not in the zone that the connection is set to."""
    return target.dialect.driver == "asyncpg"


def _moment_in_utc(value: Any) -> Any:
    if type(value) is not datetime or value.tzinfo is None or value.fold:
        return INEXACT
    return value.astimezone(timezone.utc)  # noqa: UP017 (the very object that reads give)


def date_rule(target: Target) -> Rule:
    """Dates: exact."""
    if target.backend is Backend.SQLITE:
        return _as_text(target, date, date.isoformat)
    first = _MYSQL_FIRST_YEAR if target.backend is Backend.MYSQL else 1
    return lambda value: value if type(value) is date and value.year >= first else INEXACT


def time_rule(target: Target) -> Rule:
    """Times of a day without a zone: exact where the column has microseconds, or they fit it."""
    type_ = target.type_
    if target.backend is Backend.SQLITE:
        return _as_text(target, time, lambda value: value.isoformat("microseconds"))
    if target.backend is Backend.POSTGRESQL and type_.timezone:
        return inexact
    quantum = _quantum(target)

    def rule(value: Any) -> Any:
        if type(value) is not time or not _plain(value):
            return INEXACT
        return INEXACT if value.microsecond % quantum else value

    return rule


def interval_rule(target: Target) -> Rule:
    """Durations: as intervals on PostgreSQL, as moments after 1970 elsewhere."""
    type_ = target.type_
    if isinstance(type_, postgresql.INTERVAL) or (
        target.backend is Backend.POSTGRESQL and getattr(type_, "native", False)
    ):
        return _native_interval(type_)
    moments = datetime_rule(target.with_type(sqltypes.DateTime()))

    def rule(value: Any) -> Any:
        if type(value) is not timedelta:
            return INEXACT
        moment = moments(_EPOCH + value)
        return INEXACT if moment is INEXACT else moment - _EPOCH

    return rule


def _native_interval(type_: Any) -> Rule:
    for setting in ("precision", "second_precision", "fields"):
        if getattr(type_, setting, None) is not None:
            return inexact
    return lambda value: value if type(value) is timedelta else INEXACT


def _plain(value: datetime | time) -> bool:
    return value.tzinfo is None and value.fold == 0


def _quantum(target: Target) -> int:
    """The microseconds that the smallest fraction in the column counts."""
    digits = _digits(target)
    if digits is None:
        digits = _MICROSECOND_DIGITS if target.backend is Backend.POSTGRESQL else 0
    return int(10 ** max(_MICROSECOND_DIGITS - digits, 0))


def _digits(target: Target) -> int | None:
    """The declared digits of the fraction of a second: `precision` of PostgreSQL, MySQL's `fsp`."""
    name = "precision" if target.backend is Backend.POSTGRESQL else "fsp"
    digits: int | None = getattr(target.type_, name, None)
    return digits


def _as_text(target: Target, kind: type, form: Callable[[Any], str]) -> Rule:
    """SQLite keeps moments as text: exact in SQLAlchemy's own format, which has every digit."""
    adapted = target.type_.dialect_impl(target.dialect)
    bind = adapted.bind_processor(target.dialect)
    result = adapted.result_processor(target.dialect, None)
    if bind is None or result is None:
        return inexact

    def rule(value: Any) -> Any:
        if type(value) is not kind:
            return INEXACT
        if isinstance(value, datetime | time) and not _plain(value):
            return INEXACT
        text = bind(value)
        return result(text) if text == form(value) else INEXACT

    return rule
