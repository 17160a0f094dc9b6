"""What the database makes of a written value: foreseen exactly, or known to be unforeseen.

The properties in test_round_trip.py show that nothing foreseen is wrong; here, that the usual
values are foreseen at all, and that the known pitfalls are pitfalls.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, Inexact, Rounded, localcontext
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Computed, Dialect
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.types import TypeEngine

from sqlalchemy_rediscache.codec import INEXACT, RowCodec
from tests.codec.cases import ANY, MARIADB, POSTGRESQL
from tests.codec.decorators import (
    AutoText,
    Colour,
    EnumNumber,
    Guid,
    Level,
    LowerText,
    Money,
    MoneyType,
    Text1,
    UtcMoment,
)
from tests.codec.exactness import identical
from tests.codec.links import REFUSED, Link, dialect_of

SQLITE = ("pysqlite",)
SERVERS = POSTGRESQL + MARIADB
MOMENT = datetime(2024, 5, 6, 7, 8, 9, 123456)
IN_UTC = MOMENT.replace(tzinfo=UTC)
SECOND = datetime(2024, 5, 6, 7, 8, 9)

# The type, a written value, the value that reads give, and where that is foreseen.
FORESEEN: list[tuple[Any, Any, Any, tuple[str, ...]]] = [
    (sa.Integer, 5, 5, ANY),
    (sa.BigInteger, -(2**63), -(2**63), ANY),
    (sa.String(20), "plain text ", "plain text ", ANY),
    (sa.String(20), "", "", ANY),
    (sa.String(20), "é😀", "é😀", SQLITE + POSTGRESQL),
    (sa.Text, "x" * 5000, "x" * 5000, ANY),
    (sa.CHAR(3), "EUR", "EUR", ANY),
    (sa.Boolean, True, True, ANY),
    (sa.Double, 0.1, 0.1, ANY),
    (sa.Float, 1e300, 1e300, SQLITE + POSTGRESQL),
    (sa.Numeric(10, 2), Decimal("1.5"), Decimal("1.50"), ANY),
    (sa.Numeric(10, 2), Decimal("-0"), Decimal("0.00"), SERVERS),
    (sa.Numeric(10, 2), Decimal("1.999"), Decimal("2.00"), SQLITE),
    (sa.Date, date(2024, 2, 29), date(2024, 2, 29), ANY),
    (sa.DateTime, SECOND, SECOND, ANY),
    (sa.DateTime, MOMENT, MOMENT, SQLITE + POSTGRESQL),
    (sa.DateTime(timezone=True), SECOND, SECOND, SQLITE + MARIADB),
    (sa.DateTime(timezone=True), IN_UTC, IN_UTC, ("asyncpg",)),
    (
        sa.DateTime(timezone=True),
        SECOND.replace(tzinfo=timezone(timedelta(hours=2))),
        datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC),
        ("asyncpg",),
    ),
    (sa.Time, time(1, 2, 3), time(1, 2, 3), ANY),
    (sa.Interval, timedelta(days=-3, seconds=7), timedelta(days=-3, seconds=7), ANY),
    (sa.LargeBinary, b"\x00\xff", b"\x00\xff", ANY),
    (sa.Uuid, UUID(int=7), UUID(int=7), tuple(name for name in ANY if name != "asyncpg")),
    (sa.Uuid(as_uuid=False), str(UUID(int=7)), str(UUID(int=7)), ANY),
    (sa.Enum(Colour), Colour.AZURE, Colour.BLUE, ANY),
    (sa.Enum("low", "high", name="height2"), "low", "low", ANY),
    (sa.JSON, {"b": [1, 2.5, None, True], "a": "x"}, {"b": [1, 2.5, None, True], "a": "x"}, ANY),
    (sa.JSON, MutableDict({"a": 1}), {"a": 1}, ANY),
    (sa.JSON, [], [], ANY),
    (postgresql.JSONB, {"bb": 1, "a": 0.5}, {"a": 0.5, "bb": 1}, POSTGRESQL),
    (postgresql.ARRAY(sa.Integer), [1, None], [1, None], POSTGRESQL),
    (postgresql.ARRAY(sa.Text), MutableList(["a"]), ["a"], POSTGRESQL),
    (MoneyType, Money(5, "EUR"), Money(5, "EUR"), ANY),
    (LowerText, "ABC", "abc", ANY),
    (UtcMoment, SECOND.replace(tzinfo=UTC), SECOND.replace(tzinfo=UTC), ANY),
    (AutoText, "text", "text", ANY),
    (Guid, UUID(int=7), UUID(int=7), ANY),
    (EnumNumber, Level.HIGH, Level.HIGH, ANY),
    (mysql.DATETIME(fsp=6), MOMENT, MOMENT, MARIADB),
    (mysql.VARCHAR(9, charset="utf8mb4"), "é😀", "é😀", MARIADB),
    (mysql.DOUBLE(asdecimal=False), 1 / 3, 1 / 3, MARIADB),
]  # fmt: skip

# The type, a written value that is not foreseen, and where.
UNFORESEEN: list[tuple[Any, Any, tuple[str, ...]]] = [
    (sa.Integer, "5", ANY),
    (sa.Integer, True, ANY),
    (sa.Integer, Level.LOW, ANY),
    (sa.Integer, 2**70, ANY),
    (sa.Integer, 2**31, SERVERS),
    (sa.String(20), Text1("x"), ANY),
    (sa.String(20), "x\0", ANY),
    (sa.String(20), "\ud800", ANY),
    (sa.String(3), "abcd", SERVERS),
    (sa.String(20), "日", MARIADB),
    (sa.CHAR(6), "ab", SERVERS),
    (sa.CHAR(6), "ab    ", MARIADB),
    (sa.Boolean, 1, ANY),
    (sa.Float, float("nan"), ANY),
    (sa.Float, float("inf"), ANY),
    (sa.Float, -0.0, SQLITE + MARIADB),
    (sa.Float, 0.1, MARIADB),
    (sa.REAL, 0.1, POSTGRESQL),
    (sa.Float, 5, ANY),
    (sa.Numeric(10, 2), Decimal("1.999"), SERVERS),
    (sa.Numeric(10, 2), Decimal("NaN"), ANY),
    (sa.Numeric(10, 2), 5, ANY),
    (sa.Numeric(10, 2), Decimal("123456789.00"), SERVERS),
    (sa.Numeric(10, 0), Decimal(20000), ("asyncpg",)),
    (sa.Date, SECOND, ANY),
    (sa.DateTime, MOMENT, MARIADB),
    (sa.DateTime, SECOND.replace(tzinfo=UTC), ANY),
    (sa.DateTime(timezone=True), MOMENT.replace(tzinfo=UTC), (*SQLITE, *MARIADB, "psycopg")),
    (sa.DateTime(timezone=True), SECOND, POSTGRESQL),
    (sa.DateTime, date(2024, 1, 2), ANY),
    (sa.TIMESTAMP, SECOND, MARIADB),
    (sa.Time, time(1, 2, 3, 4), MARIADB),
    (postgresql.TIMESTAMP(precision=3), MOMENT, POSTGRESQL),
    (sa.Uuid(as_uuid=False), UUID(int=7).hex, ANY),
    (sa.Enum(Colour), "RED", ANY),
    (sa.JSON, {1: 2}, ANY),
    (sa.JSON, [(1, 2)], ANY),
    (sa.JSON, [float("nan")], ANY),
    (sa.JSON, ["\ud800"], ANY),
    (sa.JSON, 1.0, SQLITE),
    (postgresql.JSONB, [1e300], POSTGRESQL),
    (postgresql.JSONB, [-0.0], POSTGRESQL),
    (postgresql.ARRAY(sa.Integer), [[1], [2]], POSTGRESQL),
    (postgresql.ARRAY(sa.Integer), ["1"], POSTGRESQL),
    (sa.LargeBinary, bytearray(b"x"), ANY),
    (mysql.BINARY(8), b"ab", MARIADB),
    (MoneyType, "5 EUR", ANY),
    (sqlite.DATETIME(truncate_microseconds=True), MOMENT, SQLITE),  # type: ignore[no-untyped-call]
]


def _ids(entries: list[Any]) -> list[Any]:
    return [
        pytest.param(driver, *entry[:-1], id=f"{driver}-{entry[0]!r}-{entry[1]!r:.20}")
        for entry in entries
        for driver in entry[-1]
    ]


def _codec(type_: Any, dialect: Dialect, **options: Any) -> RowCodec:
    return RowCodec([Column("v", type_, **options)], dialect)


@pytest.mark.parametrize(("link", "type_", "value", "expected"), _ids(FORESEEN), indirect=["link"])
def test_usual_values_are_foreseen(link: Link, type_: Any, value: Any, expected: Any) -> None:
    """A value that fits its column is foreseen, and the database gives just that."""
    assert identical(_codec(type_, link.dialect).stored(0, value), expected)
    assert identical(link.write(link.table("foreseen", type_), value), expected)


@pytest.mark.parametrize(("link", "type_", "value"), _ids(UNFORESEEN), indirect=["link"])
def test_pitfalls_are_not_foreseen(link: Link, type_: Any, value: Any) -> None:
    """What a database may change, or take for something else, is INEXACT."""
    assert _codec(type_, link.dialect).stored(0, value) is INEXACT


def test_nothing_is_nothing(link: Link) -> None:
    """None comes back as None from every type, JSON null and SQL NULL alike."""
    types: list[TypeEngine[Any]] = [
        sa.Integer(),
        sa.String(5),
        sa.Numeric(10, 2),
        sa.DateTime(),
        sa.LargeBinary(),
        sa.Uuid(),
        sa.Enum(Colour),
        sa.JSON(),
        sa.JSON(none_as_null=True),
        MoneyType(),
    ]
    for type_ in types:
        codec = _codec(type_, link.dialect)
        assert codec.stored(0, None) is codec.stored_rules[0](None) is None
        assert link.write(link.table("nones", type_), None) is None


def test_a_json_null_is_read_as_none(link: Link) -> None:
    """JSON.NULL is not foreseen; a read gives None, which the cache keeps."""
    codec = _codec(sa.JSON, link.dialect)
    assert codec.stored(0, sa.JSON.NULL) is INEXACT
    read = link.write(link.table("json_null", sa.JSON()), sa.JSON.NULL)
    assert read is None
    assert codec.decode(codec.encode([read])) == [None]


def test_the_pitfalls_are_real(link: Link) -> None:
    """The databases do change what the tests above call pitfalls."""
    text = link.write(link.table("padded", sa.CHAR(6)), "ab ")
    cents = link.write(link.table("rounded", sa.Numeric(10, 2)), Decimal("1.999"))
    fraction = link.write(link.table("cut", sa.DateTime()), MOMENT)
    assert cents == Decimal("2.00")
    if link.name in MARIADB:
        assert (text, fraction) == ("ab", SECOND)
    elif link.name in POSTGRESQL:
        assert (text, fraction) == ("ab    ", MOMENT)
    else:
        assert (text, fraction) == ("ab ", MOMENT)
        assert link.write(link.table("gone", sa.Float()), float("nan")) is None
        assert link.write(link.table("kept", sa.Integer()), "text") == "text"
    assert link.write(link.table("big", sa.SmallInteger()), 2**70) is REFUSED


def test_a_none_with_a_default_is_not_foreseen() -> None:
    """An INSERT leaves a None out where the column has a default: what comes is not known."""
    for options in ({"default": 1}, {"server_default": "1"}):
        codec = _codec(sa.Integer, dialect_of("sqlite"), **options)
        assert codec.stored(0, None) is INEXACT
        assert codec.stored(0, 5) == 5


def test_what_the_database_computes_is_not_foreseen() -> None:
    """Computed columns and expressions are never written, whatever is asked."""
    computed = Column("c", sa.Integer, Computed("1 + 1"))
    expression = sa.literal_column("1", sa.Integer).label("one")
    codec = RowCodec([computed, expression], dialect_of("sqlite"))
    assert codec.stored(0, 5) is codec.stored(1, 5) is INEXACT


class OwnInteger(sa.Integer):
    """A type of the application that derives from one of SQLAlchemy's."""


class Sealed(sa.types.TypeDecorator[str]):
    """A decorator that is applied in SQL."""

    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> Any:
        """In small letters."""
        return sa.func.lower(bindparam)


@pytest.mark.parametrize(
    ("type_", "dialect"),
    [
        (OwnInteger(), dialect_of("sqlite")),
        (Sealed(), dialect_of("sqlite")),
        (sa.Integer(), dialect_of("oracle")),
        (sa.Integer(), dialect_of("postgresql+psycopg2")),
        (mysql.SET("a", "b"), dialect_of("mariadb+pymysql")),
        (postgresql.INET(), dialect_of("postgresql+psycopg")),
        (sa.JSON(), dialect_of("postgresql+psycopg", json_serializer=str)),
        (sa.JSON(), dialect_of("mysql+pymysql")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unknown_ground_is_not_foreseen(type_: Any, dialect: Dialect) -> None:
    """Types of the application, untested drivers, own JSON serializers, MySQL's JSON: INEXACT."""
    codec = _codec(type_, dialect)
    values: list[Any] = [5, "a", {"a"}, [1], {}, "127.0.0.1"]
    for value in values:
        assert codec.stored(0, value) is INEXACT


def test_an_asyncpg_uuid_is_foreseen(link: Link) -> None:
    """A uuid.UUID written through asyncpg comes back, and is foreseen, as asyncpg's class."""
    written = UUID(int=7)
    foreseen = _codec(sa.Uuid, link.dialect).stored(0, written)
    assert identical(foreseen, link.write(link.table("uuids", sa.Uuid()), written))
    assert foreseen == written


LONG = "1234567890.123456789012345678901234567890"


@pytest.mark.parametrize(
    ("precision", "scale", "value", "expected"),
    [
        (10, 2, "1", "1.00"),
        (10, 2, "-12345678.9", "-12345678.90"),
        (10, 2, "99999999.99", "99999999.99"),
        (10, 2, "100000000", None),
        (10, 2, "1.001", None),
        (10, 2, "1.0010", None),
        (10, 2, "1.5000", "1.50"),
        (10, 2, "0.05", "0.05"),
        (10, 2, "-0", "0.00"),
        (10, 2, "-0E+5", "0.00"),
        (10, 2, "0E-5", "0.00"),
        (10, 2, "1E+7", "10000000.00"),
        (10, 2, "1E+8", None),
        (10, 2, "1E+999999", None),
        (10, 2, "1E-999999", None),
        (10, 2, "NaN", None),
        (10, 2, "sNaN", None),
        (10, 2, "-Infinity", None),
        (2, 2, "0.99", "0.99"),
        (2, 2, "1.00", None),
        (2, 2, "0", "0.00"),
        (40, 30, LONG, LONG),
        (39, 30, LONG, None),
        (3, 0, "999", "999"),
        (3, 0, "1000", None),
        (3, 5, "0.00999", "0.00999"),
        (3, 5, "0.01", None),
    ],
)
def test_digits_fit_or_not(precision: int, scale: int, value: str, expected: str | None) -> None:
    """Decimals are foreseen with the column's scale, whatever context the caller has."""
    rule = _codec(sa.Numeric(precision, scale), dialect_of("postgresql+psycopg")).stored_rules[0]
    for digits, traps in ((28, []), (2, [Inexact, Rounded])):
        with localcontext(Context(prec=digits, traps=traps)):
            found = rule(Decimal(value))
        if expected is None:
            assert found is INEXACT
        else:
            assert str(found) == expected
