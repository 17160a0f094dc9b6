"""The packed row: every type of value, compression, limits, the fingerprint."""

from __future__ import annotations

import ipaddress
import pickle
import re
import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Dialect, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.mutable import MutableDict, MutableList, MutableSet
from sqlalchemy.types import TypeEngine, UserDefinedType

from sqlalchemy_rediscache.codec import ABSENT_ROW, RowCodec, uncacheable
from sqlalchemy_rediscache.errors import ConfigurationError, EncodeError
from tests.codec.decorators import Colour, MoneyType, Text1
from tests.codec.exactness import identical
from tests.codec.links import dialect_of

SQLITE = dialect_of("sqlite")


def codec(*types: Any, dialect: Dialect = SQLITE, **options: Any) -> RowCodec:
    """A codec of columns c0, c1... of these types."""
    return RowCodec([Column(f"c{i}", t) for i, t in enumerate(types)], dialect, **options)


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**200),
    0.1,
    float("nan"),
    float("-inf"),
    -0.0,
    "",
    "é😀",
    "\ud800",
    b"",
    b"\xff",
    Decimal("1.10"),
    Decimal("-0E+3"),
    Decimal("NaN123"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    Decimal("1E-999"),
    UUID(int=2**128 - 1),
    date.min,
    date.max,
    datetime(1, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59, 999999),
    datetime(2024, 5, 6),
    datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Vienna")),
    datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Vienna"), fold=1),
    datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, microseconds=7))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "Zulu")),
    time(1, 2, 3, 4),
    time(1, 2, fold=1),
    time(1, 2, tzinfo=timezone(timedelta(hours=2))),
    time(1, 2, tzinfo=ZoneInfo("Asia/Tokyo")),
    timedelta.min,
    timedelta.max,
    timedelta(0),
    [],
    [1, [None, Decimal("1.0")], {"a": {"b": [()]}}],
    (),
    (1, ("a", (2.5,))),
    {"z": 1, "a": 2},
    set(),
    {1, "a"},
    ipaddress.ip_address("1.2.3.4"),
    ipaddress.ip_address("fe80::1%eth0"),
    ipaddress.ip_interface("1.2.3.4/24"),
    ipaddress.ip_interface("::1/64"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("fe80::/10"),
    Range(1, None, bounds="(]"),
    Range(empty=True),
    Range(Decimal("1.5"), Decimal("2.50"), bounds="[]"),
    MultiRange([Range(1, 2), Range(date(2024, 1, 1), None)]),
]


def shown(value: Any) -> str:
    """A value as part of a test's name: the same in every process."""
    items = sorted(map(repr, value)) if isinstance(value, set) else ()
    return f"{{{', '.join(items)}}}" if items else re.sub(" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("value", VALUES, ids=shown)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """What is packed comes back with the same type, zone, exponent and bits."""
    row = codec(sa.JSON, sa.Integer)
    assert identical(row.decode(row.encode([value, 7])), [value, 7])


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Text1("a subclass"),
        Colour.RED,
        bytearray(b"x"),
        memoryview(b"x"),
        frozenset({1}),
        1j,
        {1: "a key that is an int"},
        {"a": {None: 1}},
        [bytearray(b"x")],
        (bytearray(b"x"),),
        [0] * 20_000,
        datetime(2024, 1, 1, tzinfo=ZoneInfo.no_cache("Europe/Vienna")),
        type("Moment", (datetime,), {})(2024, 1, 1),
        type("Dict", (dict,), {})(),
        type("Int", (int,), {})(5),
    ],
    ids=lambda value: f"{type(value).__name__} {shown(value):.30}",
)
def test_a_value_that_would_come_back_changed_is_refused(value: Any) -> None:
    """A type that the codec does not know exactly, subclasses included, is an EncodeError."""
    with pytest.raises(EncodeError):
        codec(sa.JSON).encode([value])


def test_endless_and_too_deep_values_are_refused() -> None:
    """A list that holds itself and a tuple of ten levels are EncodeErrors."""
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(10):
        deep = (deep,)
    for value in (endless, deep):
        with pytest.raises(EncodeError):
            codec(sa.JSON).encode([value])


def test_mutation_tracking_is_not_part_of_a_value() -> None:
    """A MutableDict, MutableList or MutableSet is packed as the dict, list or set it holds."""
    row = codec(sa.JSON, sa.JSON, sa.JSON, postgresql.ARRAY(sa.Enum(Colour)))
    packed = row.encode(
        [
            MutableDict({"a": MutableList([1])}),
            MutableList([MutableDict({"b": 2})]),
            MutableSet({3}),
            MutableList([Colour.RED]),
        ]
    )
    assert identical(row.decode(packed), [{"a": [1]}, [{"b": 2}], {3}, [Colour.RED]])


def test_an_asyncpg_uuid_keeps_its_class() -> None:
    """A read by asyncpg gives UUIDs of asyncpg's own class, and so does the cache."""
    pgproto = pytest.importorskip("asyncpg.pgproto.pgproto")
    dialect = dialect_of("postgresql+asyncpg")
    row = codec(sa.Uuid, dialect=dialect)
    value = pgproto.UUID(bytes(range(16)))
    assert identical(row.decode(row.encode([value])), [value])
    assert identical(row.stored(0, UUID(bytes=bytes(range(16)))), value)
    with pytest.raises(EncodeError):
        codec(sa.Uuid).encode([value])


def test_asyncpg_is_imported_only_for_its_own_dialect() -> None:
    """Making a codec for another driver does not import asyncpg."""
    program = (
        "import sys, sqlalchemy as sa; from sqlalchemy.dialects import sqlite;"
        "from sqlalchemy_rediscache.codec import RowCodec;"
        "RowCodec([sa.Column('u', sa.Uuid)], sqlite.dialect()).stored(0, None);"
        "sys.exit('asyncpg' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=root).returncode == 0


def test_long_rows_are_compressed() -> None:
    """A row over the threshold takes less room, one below or without threshold is left alone."""
    text = "the same words again " * 200
    assert len(codec(sa.Text).encode([text])) < 400
    assert len(codec(sa.Text, compress_over=None).encode([text])) > len(text)
    for options in ({}, {"compress_over": None}, {"compress_over": 0}):
        row = codec(sa.Text, **options)
        assert row.decode(row.encode([text])) == [text]


def test_incompressible_rows_stay_as_they_are() -> None:
    """A row that compression would make longer is not compressed."""
    data = bytes(i * i * 7919 % 251 for i in range(300)) + b"".join(
        i.to_bytes(4, "big") for i in range(1, 4_000_000_000, 9_999_991)
    )
    row = codec(sa.LargeBinary, compress_over=16)
    packed = row.encode([data])
    assert row.decode(packed) == [data]
    assert len(packed) <= len(data) + 8


def test_a_row_has_a_greatest_size() -> None:
    """A row over max_bytes is refused, compressible or not."""
    row = codec(sa.Text, max_bytes=1000)
    assert row.decode(row.encode(["x" * 900])) == ["x" * 900]
    for length in (1001, 100_000):
        with pytest.raises(EncodeError, match="bytes, more than 1000"):
            row.encode(["x" * length])


@pytest.mark.parametrize("count", [1, 15, 16, 300])
def test_rows_of_any_width(count: int) -> None:
    """The number of columns is limited by nothing that matters."""
    row = codec(*[sa.Integer] * count)
    assert row.decode(row.encode(list(range(count)))) == list(range(count))
    assert row.encode(list(range(count))) != ABSENT_ROW
    with pytest.raises(EncodeError):
        row.encode(list(range(count + 1)))


def test_a_usual_row_takes_less_room_than_its_pickle() -> None:
    """Twelve columns of the usual types take less than 70 % of the bytes of their pickle."""
    values = [
        *(1, "some name here", "another@example.com", 42, True, None, 3.5, "x" * 30),
        *(datetime(2024, 5, 6, 7, 8, 9, 123456), datetime(2024, 5, 6)),
        *(Decimal("123.45"), UUID(int=7)),
    ]
    packed = codec(*[sa.JSON] * 12).encode(values)
    assert len(packed) < 0.7 * len(pickle.dumps(values))


def test_threads_share_a_codec() -> None:
    """Rows packed by several threads at once, with conversions in Python, are not mixed up."""
    row = codec(sa.JSON, sa.Uuid)
    failures: list[int] = []

    def work(seed: int) -> None:
        for i in range(400):
            values = [[(seed, Decimal(i)), "x" * (i % 50)], UUID(int=seed * 1000 + i)]
            if row.decode(row.encode(values)) != values:
                failures.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_refused_row_leaves_nothing_behind() -> None:
    """After values that are refused half way, at any depth, rows are packed as before."""
    row = codec(sa.JSON, sa.JSON)
    good = [{"a": [1, (2, Decimal("3.5"))]}, {UUID(int=4)}]
    packed = row.encode(good)
    refused: list[Any] = [object(), [1, object()], (1, object()), {"a": (1, [{2j}])}, 10**10_000]
    for value in refused:
        for values in ([value, 1], [1, value], [(1, 2), value]):
            try:
                row.encode(values)
            except EncodeError:
                assert value != 10**10_000
            assert row.encode(good) == packed


def test_threads_pack_values_that_are_refused() -> None:
    """Errors in some threads do not spoil the rows of others."""
    row = codec(sa.JSON, sa.Uuid)
    failures: list[int] = []

    def work(seed: int) -> None:
        for i in range(300):
            values = [[(seed, Decimal(i)), "x" * (i % 50)], UUID(int=seed * 1000 + i)]
            if i % 3 == seed % 3:
                with pytest.raises(EncodeError):
                    row.encode([[*values, (1, object())], None])
            if row.decode_many([row.encode(values)] * 3) != [values] * 3:
                failures.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_long_row_does_not_take_room_for_ever() -> None:
    """The buffer that a long row needed is given back."""
    row = codec(sa.LargeBinary, max_bytes=100)
    tracemalloc.start()
    try:
        with pytest.raises(EncodeError):
            row.encode([bytes(20_000_000)])
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
        assert tracemalloc.get_traced_memory()[1] > 20_000_000
    finally:
        tracemalloc.stop()


class Shape(UserDefinedType[Any]):
    """A type of an application whose values are nobody knows what."""

    cache_ok = True


class Count(UserDefinedType[int]):
    """A type of an application that says what its values are."""

    cache_ok = True

    @property
    def python_type(self) -> type[int]:
        """Numbers."""
        return int


class Decorated(sa.types.TypeDecorator[Any]):
    """A decorator of a type that can't be cached."""

    impl = sa.PickleType
    cache_ok = True


@pytest.mark.parametrize(
    "type_",
    [sa.PickleType(), Decorated(), sa.types.NullType(), Shape(), postgresql.ARRAY(Shape())],
    ids=lambda type_: type(type_).__name__,
)
def test_some_columns_are_never_cached(type_: TypeEngine[Any]) -> None:
    """Pickled, untyped and unknown columns have a reason, and a codec refuses them."""
    column = Column("c", type_)
    reason = uncacheable(column, SQLITE)
    assert reason
    with pytest.raises(ConfigurationError, match="info="):
        RowCodec([column], SQLITE)


def test_a_type_that_names_its_values_is_cached() -> None:
    """A type of the application with a python_type that the codec knows is cacheable."""
    assert uncacheable(Column("c", Count()), SQLITE) is None
    assert uncacheable(sa.literal_column("1", sa.Integer).label("one"), SQLITE) is None


def test_the_fingerprint_tells_shapes_apart() -> None:
    """Another name, type, length, precision, nullability, order or driver: another fingerprint."""
    made = [
        codec(sa.Integer),
        codec(sa.BigInteger),
        codec(sa.String),
        codec(sa.String(5)),
        codec(sa.Numeric(10, 2)),
        codec(sa.Numeric(10, 3)),
        codec(sa.Numeric(10, 2, asdecimal=False)),
        codec(sa.DateTime),
        codec(sa.DateTime(timezone=True)),
        codec(sa.Enum("a", "b")),
        codec(sa.Enum("a", "c")),
        codec(sa.Enum(Colour)),
        codec(MoneyType),
        codec(postgresql.ARRAY(sa.Integer)),
        codec(postgresql.ARRAY(sa.Text)),
        codec(sa.Integer, sa.Text),
        codec(sa.Text, sa.Integer),
        codec(sa.Integer, dialect=dialect_of("mysql+pymysql")),
        RowCodec([Column("c0", sa.Integer, nullable=False)], SQLITE),
        RowCodec([Column("other", sa.Integer)], SQLITE),
        RowCodec([(sa.literal_column("x") + sa.literal(1)).label("a")], SQLITE),
        RowCodec([(sa.literal_column("x") + sa.literal(2)).label("a")], SQLITE),
    ]
    fingerprints = [row.fingerprint for row in made]
    assert len(set(fingerprints)) == len(made)
    assert codec(sa.Text().with_variant(sa.Integer(), "sqlite")).fingerprint == fingerprints[0]
    assert all(len(f) == 8 and f.isalnum() and f == f.lower() for f in fingerprints)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """Neither the hash seed nor the addresses of objects are part of the fingerprint."""
    program = (
        "import sqlalchemy as sa; from sqlalchemy.dialects import sqlite;"
        "from sqlalchemy_rediscache.codec import RowCodec; from tests.codec.decorators import *;"
        "t = sa.Enum(Colour, values_callable=lambda c: [m.name for m in c]);"
        "c = [sa.Column('a', t), sa.Column('b', MoneyType), sa.func.lower('X', type_=sa.Text)];"
        "print(RowCodec(c, sqlite.dialect()).fingerprint)"
    )
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            cwd=root,
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_table_gives_its_columns() -> None:
    """The columns of a Table, as mappers give them, make a codec."""
    table = Table("t", MetaData(), Column("id", sa.Integer, primary_key=True), Column("n", sa.Text))
    row = RowCodec(list(table.c), SQLITE)
    assert row.decode(row.encode((1, "one"))) == [1, "one"]
