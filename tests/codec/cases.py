"""The types of columns, each with the values that are written to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.types import TypeEngine

from tests.codec.decorators import (
    AutoText,
    Colour,
    EnumNumber,
    Guid,
    Level,
    ListText,
    LowerText,
    Money,
    MoneyType,
    Text1,
    UtcMoment,
)

ANY = ("pysqlite", "psycopg", "asyncpg", "pymysql", "pymysql-mysql")
POSTGRESQL = ("psycopg", "asyncpg")
MARIADB = ("pymysql", "pymysql-mysql")


@dataclass(frozen=True)
class Case:
    """A type of column.

    Attributes:
        name: A name for it.
        type_: Makes the type.
        values: Values that the application may write.
        drivers: The kinds of connection (`conftest.DRIVERS`) that have it.
    """

    name: str
    type_: Callable[[], TypeEngine[Any]]
    values: SearchStrategy[Any]
    drivers: tuple[str, ...] = ANY


INTS = st.one_of(
    st.integers(-300, 300),
    st.integers(-(2**31) - 2, 2**31 + 1),
    st.integers(-(2**64), 2**64),
    st.sampled_from(
        [sign * 2**bits + n for bits in (7, 15, 23, 31, 63) for n in (-1, 0, 1) for sign in (1, -1)]
    ),
)
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=24),
    st.text("ab ", max_size=8),
    st.sampled_from(
        ["", " ", "a ", "5", "1e3", "ß", "😀", "abcdef", "abcde ", "\\", "'", "%s", ":x"]
    ),
)
FLOATS = st.one_of(
    st.floats(),
    st.floats(width=32),
    st.integers(-1000, 1000).map(float),
    st.sampled_from(
        [0.1, -0.0, 0.0, 1e22, 1e16, 1.5e300, 5e-324, 1 / 3, float("nan"), float("inf")]
    ),
)
DECIMALS = st.one_of(
    st.decimals(-(10**8), 10**8, places=2),
    st.integers(-30_000, 30_000).map(lambda number: Decimal(number * 1000)),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12),
    st.sampled_from(
        [
            Decimal(text)
            for text in (
                "1.999",
                "0",
                "-0",
                "0.00",
                "1E+2",
                "1E-2",
                "1.10",
                "0.005",
                "-0.004",
                "99999999.99",
                "99999999.995",
                "NaN",
                "Infinity",
                "1E+30",
                "12345678901234567890.123456",
            )
        ]
    ),
)
DATES = st.one_of(st.dates(), st.sampled_from([date.min, date.max, date(2024, 2, 29)]))
NAIVE = st.one_of(
    st.datetimes(),
    st.datetimes().map(lambda value: value.replace(microsecond=0)),
    st.datetimes().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)),
    st.sampled_from(
        [
            datetime(1, 1, 1),
            datetime(9999, 12, 31, 23, 59, 59, 999999),
            datetime(2024, 10, 27, 2, 30, fold=1),
        ]
    ),
)
AWARE = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()),
    st.datetimes(timezones=st.just(UTC)),
)
MOMENTS = st.one_of(NAIVE, AWARE)
TIMES = st.one_of(
    st.times(),
    st.times().map(lambda value: value.replace(microsecond=0)),
    st.times(timezones=st.just(UTC)),
)
DURATIONS = st.one_of(
    st.timedeltas(timedelta(days=-300_000), timedelta(days=300_000)),
    st.integers(-(10**6), 10**6).map(lambda seconds: timedelta(seconds=seconds)),
)
JSON_TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(["", "\0", "\ud800", "é", "aa", "b"]))
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, FLOATS, JSON_TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(JSON_TEXTS, inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(0, 9), st.booleans()), inner, max_size=2),
        st.tuples(inner),
    ),
    max_leaves=8,
)
MISCHIEF = st.sampled_from(
    [
        None,
        "5",
        "",
        "x\0y",
        "\ud800",
        Text1("sub"),
        "RED",
        "low",
        5,
        0,
        1,
        2**70,
        True,
        False,
        Level.LOW,
        Colour.GREEN,
        5.0,
        2.5,
        Decimal("2.50"),
        Decimal(3),
        b"",
        b"ab",
        bytearray(b"ab"),
        date(2024, 1, 2),
        datetime(2024, 1, 2, 3, 4, 5, 6),
        datetime(2024, 1, 2, tzinfo=UTC),
        time(1, 2, 3),
        timedelta(1),
        UUID(int=7),
        str(UUID(int=7)),
        UUID(int=7).hex,
        "2024-01-02",
        [],
        [1],
        [1, [2]],
        {},
        {"a": 1},
        {"b": 1, "a": 2},
        {1: 2},
        (1, 2),
        Money(1, "EUR"),
    ]
)


def _lists(items: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.lists(st.one_of(st.none(), items), max_size=4)


def _ranges(bounds: SearchStrategy[Any]) -> SearchStrategy[Any]:
    def ordered(ends: list[Any], edges: str) -> Range[Any]:
        return Range(min(ends), max(ends), bounds=edges)  # type: ignore[arg-type]

    edges = st.sampled_from(["()", "[)", "(]", "[]"])
    return st.one_of(
        st.builds(ordered, st.lists(bounds, min_size=2, max_size=2), edges),
        st.builds(lambda low: Range(low, None), bounds),
        st.just(Range(empty=True)),
    )


def _seconds() -> TypeEngine[Any]:
    return sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]


_SMALL = st.integers(-1000, 1000)
_CENTS = st.decimals(-999, 999, places=2)
_UUIDS = st.uuids()
_BYTES = st.binary(max_size=12)

CASES = [
    Case("integer", sa.Integer, INTS),
    Case("smallinteger", sa.SmallInteger, INTS),
    Case("biginteger", sa.BigInteger, INTS),
    Case("string", lambda: sa.String(20), TEXTS),
    Case("text", sa.Text, TEXTS),
    Case("unicode", lambda: sa.Unicode(20), TEXTS),
    Case("char", lambda: sa.CHAR(6), TEXTS),
    Case(
        "collated",
        lambda: sa.String(20).with_variant(
            mysql.VARCHAR(20, charset="utf8mb4"), "mysql", "mariadb"
        ),
        TEXTS,
    ),
    Case("boolean", sa.Boolean, st.booleans()),
    Case("float", sa.Float, FLOATS),
    Case("double", sa.Double, FLOATS),
    Case("real", sa.REAL, FLOATS),
    Case("float_as_decimal", lambda: sa.Float(asdecimal=True), FLOATS),
    Case("numeric_10_2", lambda: sa.Numeric(10, 2), DECIMALS),
    Case("numeric_24_6", lambda: sa.Numeric(24, 6), DECIMALS),
    Case("numeric", sa.Numeric, DECIMALS),
    Case(
        "numeric_as_float", lambda: sa.Numeric(10, 2, asdecimal=False), st.one_of(FLOATS, DECIMALS)
    ),
    Case("date", sa.Date, DATES),
    Case("datetime", sa.DateTime, MOMENTS),
    Case("datetime_zoned", lambda: sa.DateTime(timezone=True), MOMENTS),
    Case("timestamp", sa.TIMESTAMP, MOMENTS),
    Case("time", sa.Time, TIMES),
    Case("interval", sa.Interval, DURATIONS),
    Case("interval_not_native", lambda: sa.Interval(native=False), DURATIONS),
    Case("binary", sa.LargeBinary, _BYTES),
    Case("uuid", sa.Uuid, _UUIDS),
    Case("uuid_characters", lambda: sa.Uuid(native_uuid=False), _UUIDS),
    Case("uuid_text", lambda: sa.Uuid(as_uuid=False), _UUIDS.map(str)),
    Case("enum", lambda: sa.Enum(Colour), st.sampled_from(Colour)),
    Case("enum_not_native", lambda: sa.Enum(Level, native_enum=False), st.sampled_from(Level)),
    Case(
        "enum_text", lambda: sa.Enum("low", "high", name="height"), st.sampled_from(["low", "high"])
    ),
    Case("json", sa.JSON, DOCUMENTS),
    Case("json_none", lambda: sa.JSON(none_as_null=True), DOCUMENTS),
    Case("money", MoneyType, st.builds(Money, INTS, st.sampled_from(["EUR", "USD"]))),
    Case("lower_text", LowerText, TEXTS),
    Case("utc_moment", UtcMoment, MOMENTS),
    Case("guid", Guid, _UUIDS),
    Case("auto_text", AutoText, TEXTS),
    Case("list_text", ListText, st.lists(st.one_of(_SMALL, TEXTS), max_size=4)),
    Case("enum_number", EnumNumber, st.sampled_from(Level)),
    Case(
        "variant",
        lambda: sa.Text().with_variant(postgresql.JSONB(), "postgresql"),
        st.one_of(TEXTS, DOCUMENTS),
    ),
    # SQLite
    Case("seconds", _seconds, MOMENTS, ("pysqlite",)),
    # PostgreSQL
    Case("jsonb", postgresql.JSONB, DOCUMENTS, POSTGRESQL),
    Case("array_integer", lambda: postgresql.ARRAY(sa.Integer), _lists(INTS), POSTGRESQL),
    Case("array_numeric", lambda: postgresql.ARRAY(sa.Numeric(6, 2)), _lists(DECIMALS), POSTGRESQL),
    Case("array_text", lambda: sa.ARRAY(sa.String(5)), _lists(TEXTS), POSTGRESQL),
    Case("array_uuid", lambda: sa.ARRAY(sa.Uuid), _lists(_UUIDS), POSTGRESQL),
    Case("array_moment", lambda: sa.ARRAY(sa.DateTime), _lists(NAIVE), POSTGRESQL),
    Case(
        "array_enum",
        lambda: postgresql.ARRAY(sa.Enum(Colour, name="colours")),
        _lists(st.sampled_from(Colour)),
        POSTGRESQL,
    ),
    Case(
        "array_tuple",
        lambda: postgresql.ARRAY(sa.Integer, as_tuple=True),
        _lists(_SMALL),
        POSTGRESQL,
    ),
    Case(
        "array_2",
        lambda: postgresql.ARRAY(sa.Integer, dimensions=2),
        st.lists(st.tuples(_SMALL, _SMALL).map(list), max_size=3),
        POSTGRESQL,
    ),
    Case(
        "inet",
        postgresql.INET,
        st.one_of(st.ip_addresses(), st.ip_addresses().map(str)),
        POSTGRESQL,
    ),
    Case(
        "cidr",
        postgresql.CIDR,
        st.ip_addresses().map(lambda address: f"{address}/{address.max_prefixlen}"),
        POSTGRESQL,
    ),
    Case("macaddr", postgresql.MACADDR, st.just("08:00:2b:01:02:03"), POSTGRESQL),
    Case("bit", lambda: postgresql.BIT(5), st.text("01", min_size=5, max_size=5), POSTGRESQL),
    Case("int4range", postgresql.INT4RANGE, _ranges(_SMALL), POSTGRESQL),
    Case("numrange", postgresql.NUMRANGE, _ranges(_CENTS), POSTGRESQL),
    Case(
        "daterange",
        postgresql.DATERANGE,
        _ranges(st.dates(date(1000, 1, 1), date(3000, 1, 1))),
        POSTGRESQL,
    ),
    Case(
        "tstzrange",
        postgresql.TSTZRANGE,
        _ranges(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),
        POSTGRESQL,
    ),
    Case(
        "int4multirange",
        postgresql.INT4MULTIRANGE,
        st.lists(_ranges(_SMALL), max_size=3),
        POSTGRESQL,
    ),
    Case("timestamp_3", lambda: postgresql.TIMESTAMP(precision=3), NAIVE, POSTGRESQL),
    Case("time_zoned", lambda: sa.Time(timezone=True), TIMES, POSTGRESQL),
    Case("interval_2", lambda: postgresql.INTERVAL(precision=2), DURATIONS, POSTGRESQL),
    # MariaDB
    Case("mysql_datetime_3", lambda: mysql.DATETIME(fsp=3), MOMENTS, MARIADB),
    Case("mysql_datetime_6", lambda: mysql.DATETIME(fsp=6), MOMENTS, MARIADB),
    Case("mysql_time_6", lambda: mysql.TIME(fsp=6), TIMES, MARIADB),
    Case("mysql_timestamp", lambda: mysql.TIMESTAMP(fsp=6), MOMENTS, MARIADB),
    Case("mysql_tinyint", mysql.TINYINT, INTS, MARIADB),
    Case("mysql_mediumint", lambda: mysql.MEDIUMINT(unsigned=True), INTS, MARIADB),
    Case("mysql_bigint", lambda: mysql.BIGINT(unsigned=True), INTS, MARIADB),
    Case("mysql_double", lambda: mysql.DOUBLE(asdecimal=False), FLOATS, MARIADB),
    Case("mysql_double_8_2", lambda: mysql.DOUBLE(8, 2, asdecimal=False), FLOATS, MARIADB),
    Case("mysql_decimal", lambda: mysql.DECIMAL(10, 2, unsigned=True), DECIMALS, MARIADB),
    Case("mysql_set", lambda: mysql.SET("a", "b", "c"), st.sets(st.sampled_from("abc")), MARIADB),
    Case("mysql_year", mysql.YEAR, st.integers(1950, 2100), MARIADB),
    Case("mysql_bit", lambda: mysql.BIT(8), st.integers(0, 255), MARIADB),
    Case("mysql_varbinary", lambda: mysql.VARBINARY(8), _BYTES, MARIADB),
    Case("mysql_binary", lambda: mysql.BINARY(8), _BYTES, MARIADB),
    Case("mysql_mediumtext", mysql.MEDIUMTEXT, TEXTS, MARIADB),
    Case("mysql_latin", lambda: mysql.VARCHAR(20, charset="latin1"), TEXTS, MARIADB),
]

PAIRS = [(driver, case) for driver in ANY for case in CASES if driver in case.drivers]
"""Every kind of connection with every type that it has."""
