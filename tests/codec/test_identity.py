"""Primary keys as text: equal texts mean the same key, and nothing else gets one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Dialect
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from sqlalchemy_rediscache.codec import IdentityCodec
from sqlalchemy_rediscache.errors import ConfigurationError
from tests.codec.cases import TEXTS
from tests.codec.decorators import Colour, EnumNumber, Level, LowerText, Text1
from tests.codec.links import Link, dialect_of

SQLITE = dialect_of("sqlite")
POSTGRESQL = dialect_of("postgresql+psycopg")
MARIADB = dialect_of("mariadb+pymysql")

QUICK = settings(max_examples=200, deadline=None, database=None)

SAFE = re.compile(r"[A-Za-z0-9_.,%~-]+")


def keys(*types: Any, dialect: Dialect = SQLITE) -> IdentityCodec:
    """A codec for a key of columns of these types."""
    return IdentityCodec([Column(f"k{i}", t) for i, t in enumerate(types)], dialect)


@pytest.mark.parametrize(
    ("type_", "value", "token"),
    [
        (sa.Integer, 42, "42"),
        (sa.BigInteger, -(2**70), str(-(2**70))),
        (sa.String, "plain-text_1.0", "plain-text_1.0"),
        (sa.String, "", "%"),
        (sa.String, "a b:{c}/~%,é\n", "a%20b%3A%7Bc%7D%2F%7E%25%2C%C3%A9%0A"),
        (sa.Uuid, UUID(int=1), "0" * 31 + "1"),
        (sa.Uuid(as_uuid=False), str(UUID(int=1)), "0" * 31 + "1"),
        (sa.LargeBinary, b"\x00\xff", "00ff"),
        (sa.LargeBinary, b"", "%"),
        (sa.Date, date(2024, 1, 2), "2024-01-02"),
        (sa.Boolean, True, "t"),
        (sa.Boolean, False, "f"),
        (sa.Enum(Colour), Colour.AZURE, "BLUE"),
        (sa.Enum("a b", "c"), "a b", "a%20b"),
        (EnumNumber, Level.HIGH, "2"),
        (LowerText, "ABC", "abc"),
        (sa.Text().with_variant(sa.Integer(), "sqlite"), 7, "7"),
    ],
)
def test_a_key_has_a_text(type_: Any, value: Any, token: str) -> None:
    """Each supported type of key has a readable text without white space or braces."""
    codec = keys(type_)
    assert codec.token((value,)) == token
    assert codec.key((value,)) == token.encode()
    assert SAFE.fullmatch(token)


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (sa.Integer, ["5", True, 5.0, None, Decimal(5), Level.LOW, type("I", (int,), {})(5)]),
        (sa.String, [5, None, b"x", Text1("x"), "\ud800"]),
        (sa.Uuid, [UUID(int=1).hex, None, 1]),
        (sa.Uuid(as_uuid=False), [UUID(int=10).hex, str(UUID(int=10)).upper(), "x", UUID(int=1)]),
        (sa.Date, [datetime(2024, 1, 2), "2024-01-02", None]),
        (sa.Boolean, [1, 0, "t", None]),
        (sa.Enum(Colour), ["RED", Level.LOW, None]),
        (sa.Enum("a", "b"), ["c", None, Colour.RED]),
        (EnumNumber, ["x", None, object()]),
        (LowerText, [5, None]),
        (sa.LargeBinary, ["x", bytearray(b"x"), None]),
    ],
)
def test_a_value_of_another_type_has_no_text(type_: Any, values: list[Any]) -> None:
    """What the column would not give back as it is has no token: the database is asked."""
    codec = keys(type_)
    assert [codec.token((value,)) for value in values] == [None] * len(values)
    assert [codec.key((value,)) for value in values] == [None] * len(values)


@pytest.mark.parametrize(
    "type_",
    [sa.Float, sa.Numeric(10, 2), sa.DateTime, sa.Time, sa.Interval, sa.JSON, sa.PickleType],
)
def test_a_type_without_certain_equality_is_refused(type_: Any) -> None:
    """Numbers with fractions and moments are no keys of the cache, which is said at once."""
    with pytest.raises(ConfigurationError, match=r"k1.*leave the model out"):
        keys(sa.Integer, type_)


class Folded(sa.String):
    """A text type of the application that writes something else than its value."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Write everything in small letters."""
        return str.lower


class Wrapped(TypeDecorator[str]):
    """A decorator of that type."""

    impl = Folded
    cache_ok = True


@pytest.mark.parametrize("type_", [Folded, Wrapped])
def test_a_type_that_writes_in_its_own_way_is_refused(type_: Any) -> None:
    """A type whose bind_processor the codec can't judge is no key of the cache."""
    with pytest.raises(ConfigurationError):
        keys(type_)


@pytest.mark.parametrize(
    ("dialect", "type_", "expected"),
    [
        (SQLITE, sa.String, True),
        (SQLITE, sa.String(collation="NOCASE"), False),
        (SQLITE, sa.CHAR(5), True),
        (SQLITE, sa.LargeBinary, True),
        (POSTGRESQL, sa.String(5), True),
        (POSTGRESQL, sa.CHAR(5), False),
        (POSTGRESQL, postgresql.CITEXT, False),
        (POSTGRESQL, sa.Text(collation="und-x-icu"), False),
        (POSTGRESQL, LowerText, True),
        (MARIADB, sa.String(5), False),
        (MARIADB, sa.Enum(Colour), True),
        (MARIADB, sa.Uuid, True),
        (MARIADB, sa.Integer, True),
        (MARIADB, sa.Date, True),
        (MARIADB, mysql.BINARY(4), False),
        (dialect_of("mysql+pymysql"), sa.String(5), False),
    ],
)
def test_absence_is_remembered_where_texts_are_distinct(
    dialect: Dialect, type_: TypeEngine[Any], expected: bool
) -> None:
    """Where a collation or padding makes different keys equal, absence is not remembered."""
    assert keys(type_, dialect=dialect).negative_ok is expected
    assert keys(sa.Integer, type_, dialect=dialect).negative_ok is expected


def test_values_that_the_database_would_change_have_no_text() -> None:
    """A number out of range or a text that is too long may be stored as another: no token."""
    assert keys(mysql.TINYINT, dialect=MARIADB).token((300,)) is None
    assert keys(mysql.TINYINT, dialect=MARIADB).token((127,)) == "127"
    assert keys(mysql.INTEGER(unsigned=True), dialect=MARIADB).token((-1,)) is None
    assert keys(sa.String(3), dialect=POSTGRESQL).token(("abc ",)) is None
    assert keys(sa.String(3), dialect=POSTGRESQL).token(("abc",)) == "abc"
    assert keys(mysql.BINARY(2), dialect=MARIADB).token((b"abc",)) is None


def test_asyncpg_uuids_have_the_text_of_their_number() -> None:
    """UUIDs of asyncpg's class and of Python's have one text."""
    pgproto = pytest.importorskip("asyncpg.pgproto.pgproto")
    codec = keys(sa.Uuid, dialect=dialect_of("postgresql+asyncpg"))
    value = UUID(int=77)
    assert codec.token((pgproto.UUID(value.bytes),)) == codec.token((value,)) == value.hex
    assert keys(sa.Uuid).token((pgproto.UUID(value.bytes),)) is None


def test_composite_keys_need_every_part() -> None:
    """The parts of a composite key are joined; a part without a token leaves none."""
    codec = keys(sa.Integer, sa.String, sa.Uuid)
    assert codec.token((1, "a,b", UUID(int=0))) == f"1,a%2Cb,{'0' * 32}"
    assert codec.token((1, "", UUID(int=0))) == f"1,%,{'0' * 32}"
    assert codec.token((1, None, UUID(int=0))) is None
    assert codec.key((1, "a,b", UUID(int=0))) == b"1,a%2Cb," + b"0" * 32
    assert codec.key((1, None, UUID(int=0))) is None


@pytest.mark.parametrize("types", [(sa.Integer,), (sa.Text,), (sa.Integer, sa.Text)])
def test_a_key_of_another_width_is_an_error(types: tuple[Any, ...]) -> None:
    """Too few or too many values are a mistake of the caller, not a key of another row."""
    codec = keys(*types)
    for identity in ((), (1, "a", "b")[: len(types) + 1]):
        with pytest.raises(ValueError, match=r"values to unpack|shorter|longer"):
            codec.key(identity)


@QUICK
@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2))
def test_different_keys_have_different_texts(pair: list[tuple[str, str]]) -> None:
    """No two composite keys of texts share a token, and every token is safe in a Redis key."""
    codec = keys(sa.String, sa.Text)
    first, second = (codec.token(key) for key in pair)
    for token in (first, second):
        assert token is None or SAFE.fullmatch(token)
    assert first is None or (first == second) == (pair[0] == pair[1])


@QUICK
@given(st.text(min_size=60, max_size=300), st.text(min_size=60, max_size=300))
def test_long_keys_are_digests(first: str, second: str) -> None:
    """The text of a long key is a digest that no shorter key can have as its text."""
    codec = keys(sa.String)
    one, other = codec.token((first,)), codec.token((second,))
    for token in filter(None, (one, other)):
        assert len(token) <= 200
        assert codec.token((token,)) != token or "~" not in token
    assert one is None or other is None or (one == other) == (first == second)


@pytest.mark.parametrize("type_", [sa.String(20), sa.CHAR(6), sa.Text()], ids=repr)
def test_different_texts_are_different_to_the_database(link: Link, type_: Any) -> None:
    """Where absence is remembered, no database takes keys with different texts for equal."""
    codec = IdentityCodec([Column("k", type_)], link.dialect)
    table = link.table("identity", type_)
    asked_for = st.one_of(TEXTS, st.sampled_from(["a", "A", "a ", "abc", "ABC", "ß", "ss"]))

    @settings(max_examples=40, deadline=None, database=None)
    @given(TEXTS.filter(lambda text: len(text) <= 6), asked_for)
    def check(written: str, asked: str) -> None:
        one, other = codec.token((written,)), codec.token((asked,))
        if codec.negative_ok and one and other and one != other:
            assert not link.finds(table, written, asked)

    check()
