"""Whatever bytes stand in Redis: a row, or a DecodeError, soon and in little memory."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation, localcontext
from ipaddress import ip_address
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import Range

from sqlalchemy_rediscache.codec import ABSENT_ROW, RowCodec
from sqlalchemy_rediscache.errors import DecodeError
from tests.codec.decorators import Colour, Money, MoneyBytes, MoneyType
from tests.codec.links import dialect_of

SQLITE = dialect_of("sqlite")
MEGABYTE = 1 << 20

FLAT: list[Column[Any]] = [
    Column("id", sa.Integer),
    Column("name", sa.String(10)),
    Column("at", sa.DateTime),
]
STRUCTURED: list[Column[Any]] = [
    Column("id", sa.Integer),
    Column("doc", sa.JSON),
    Column("colour", sa.Enum(Colour)),
    Column("money", MoneyType),
    Column("colours", postgresql.ARRAY(sa.Enum(Colour))),
]
FLAT_CODEC = RowCodec(FLAT, SQLITE)
CODEC = RowCodec(STRUCTURED, SQLITE)
PLAIN_CODEC = RowCodec([Column("doc", sa.JSON)], SQLITE)

ROW = [1, {"a": [1, "x", Decimal("1.5")]}, Colour.RED, Money(5, "EUR"), [Colour.BLUE, None]]
RICH = [
    UUID(int=1),
    Decimal("-1E+5"),
    datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime(2024, 1, 2, tzinfo=ZoneInfo("Europe/Vienna")),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=1), "x")),
    datetime(2024, 1, 2, tzinfo=UTC),
    timedelta(1, 2, 3),
    (1, {2}, (3,)),
    ip_address("::1"),
    Range(1, 2),
    2**100,
]


def decoded(codec: RowCodec, blob: Any, width: int) -> bool:
    """Decode; a row must have its width, and anything else must be a DecodeError."""
    try:
        values = codec.decode(blob)
    except DecodeError:
        return False
    assert type(values) is list
    assert len(values) == width
    return True


def refused(codec: RowCodec, blob: Any, width: int = 1) -> bool:
    """Whether the codec refuses the bytes."""
    return not decoded(codec, blob, width)


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Fail if the block needs more bytes than this at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


QUICK = settings(max_examples=300, deadline=None, database=None)


@QUICK
@given(st.binary(max_size=64), st.sampled_from([b"", b"\x93", b"\x95", b"x\x01", b"\x91\xc7"]))
def test_random_bytes(data: bytes, start: bytes) -> None:
    """Random bytes, with and without a plausible beginning, raise nothing but DecodeError."""
    decoded(FLAT_CODEC, start + data, 3)
    decoded(CODEC, start + data, 5)
    decoded(PLAIN_CODEC, start + data, 1)


@QUICK
@given(st.randoms(use_true_random=False), st.booleans())
def test_damaged_rows(rng: random.Random, compressed: bool) -> None:
    """A row with bytes changed, cut or added raises nothing but DecodeError."""
    rich: list[Column[Any]] = [Column("d", sa.JSON)]
    for columns, row in ((STRUCTURED, ROW), (rich, [RICH])):
        codec = RowCodec(columns, SQLITE, compress_over=0 if compressed else None)
        data = bytearray(codec.encode(row))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data))
            change = rng.randrange(3)
            if change == 0:
                data[place] = rng.randrange(256)
            elif change == 1:
                del data[place : place + rng.randint(1, 4)]
                data += b"\x00"
            else:
                data[place:place] = rng.randbytes(rng.randint(1, 4))
        decoded(codec, bytes(data), len(columns))


@QUICK
@given(st.integers(-128, 127), st.binary(max_size=40))
def test_extension_values_with_any_payload(code: int, payload: bytes) -> None:
    """An extension value of any code and payload raises nothing but DecodeError."""
    head = b"\x91\xc7" + len(payload).to_bytes(1, "big") + code.to_bytes(1, "big", signed=True)
    decoded(PLAIN_CODEC, head + payload, 1)


def test_what_is_not_a_row() -> None:
    """Nothing, the absent row, other types, another width, more bytes: all are DecodeErrors."""
    good = PLAIN_CODEC.encode([5])
    wrong: list[Any] = [
        *(
            b"",
            ABSENT_ROW,
            b"\x05",
            b"\x80",
            b"x",
            b"x\x9c",
            good + b"\x00",
            good[:-1],
            good + good,
        ),
        *(b"\x90", b"\x92\x05\x05", b"\xdc\x00\x01\x05", b"\xdd\x00\x00\x00\x01\x05"),
        *(None, 5, "text", [5], bytearray(good)[:0]),
    ]
    assert [blob for blob in wrong if not refused(PLAIN_CODEC, blob)] == []


def test_a_row_of_another_width_is_refused() -> None:
    """A row with one column more or less than the codec has is a DecodeError."""
    for count in (1, 2, 14, 15, 16, 17):
        row = RowCodec([Column(f"c{i}", sa.Integer) for i in range(count)], SQLITE)
        for other in (count - 1, count + 1):
            assert refused(row, msgpack.packb(list(range(other))), count)


@pytest.mark.parametrize(
    "opening", [b"\x91", b"\xdc\x00\x01", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"]
)
def test_deep_nesting_is_refused(opening: bytes) -> None:
    """Containers nested 100,000 deep are refused, by their size or by their depth."""
    for depth in (2_000, 100_000):
        blob = b"\x91" + opening * depth + b"\xc0"
        assert refused(PLAIN_CODEC, blob)
        assert refused(RowCodec([Column("d", sa.JSON)], SQLITE, max_bytes=10 * MEGABYTE), blob)


def test_deeply_nested_extension_values_are_refused() -> None:
    """Tuples within tuples do not nest decoders without a bound."""
    payload = b"\x90"
    for _ in range(5_000):
        payload = b"\x91\xc9" + len(payload).to_bytes(4, "big") + b"\x0a" + payload
    assert refused(PLAIN_CODEC, payload)


@pytest.mark.parametrize("code", [0xDD, 0xDF, 0xDB, 0xC6, 0xC9])
def test_claimed_lengths_take_no_memory(code: int) -> None:
    """An array, map, text, bytes or extension value that claims 2^32 - 1 items is refused."""
    with little_memory(MEGABYTE):
        for codec, width in ((PLAIN_CODEC, 1), (FLAT_CODEC, 3)):
            assert refused(codec, bytes((0x90 | width, code)) + b"\xff" * 4 + b"\x01", width)


def test_nested_claims_take_little_memory() -> None:
    """A thousand nested arrays that each claim many items do not multiply to gigabytes."""
    for claim in (b"\xdc\x40\x00", b"\xdc\xff\xff", b"\xdd\x00\x01\x00\x00"):
        blob = b"\x91" + (claim * MEGABYTE)[: MEGABYTE - 8]
        with little_memory(160 * MEGABYTE):
            assert refused(PLAIN_CODEC, blob)
        with little_memory(2 * MEGABYTE):
            assert refused(FLAT_CODEC, b"\x93" + blob, 3)


def test_compression_bombs_are_refused() -> None:
    """A small value that decompresses to a thousand times its size takes only the limit."""
    stream = zlib.compressobj(9)
    bomb = b"".join(stream.compress(bytes(MEGABYTE)) for _ in range(128)) + stream.flush()
    assert len(bomb) < MEGABYTE / 4
    roomy = RowCodec([Column("d", sa.JSON)], SQLITE, max_bytes=2 * MEGABYTE)
    with little_memory(16 * MEGABYTE):
        assert refused(PLAIN_CODEC, bomb)
        assert refused(roomy, bomb)


def test_compressed_rows_must_be_whole_and_alone() -> None:
    """A compressed row that is cut, or followed by anything, is refused."""
    codec = RowCodec([Column("d", sa.JSON)], SQLITE, compress_over=0)
    blob = codec.encode(["the same " * 50])
    assert blob.startswith(b"x")
    assert decoded(codec, blob, 1)
    for wrong in (blob[:-1], blob + b"\x00", blob + blob, zlib.compress(blob), zlib.compress(b"")):
        assert refused(codec, wrong)


def test_a_hundred_megabytes_are_refused_by_size() -> None:
    """A value over the limit is refused without a look into it."""
    blob = b"\x91\xc6" + (100 * MEGABYTE).to_bytes(4, "big") + bytes(100 * MEGABYTE)
    with little_memory(MEGABYTE), pytest.raises(DecodeError, match="more than"):
        PLAIN_CODEC.decode(blob)


def test_digits_do_not_take_time_or_escape_checks() -> None:
    """Malformed and giant numbers are refused, even where the caller's context ignores errors."""

    def decimal(text: bytes) -> bytes:
        return b"\x91\xc7" + bytes((len(text), 2)) + text

    with localcontext() as context:
        context.traps[InvalidOperation] = False
        for text in (b"", b"abc", b"1.2.3", b"1e9999999999999999999", b"\xff", b"NaNx"):
            assert refused(PLAIN_CODEC, decimal(text))
    assert decoded(PLAIN_CODEC, decimal(b"1e999999"), 1)


@pytest.mark.parametrize("key", [b"../../etc/passwd", b"/etc/passwd", b"America", b"No/Where", b""])
def test_zones_are_not_paths(key: bytes) -> None:
    """A time zone that is none, or the name of a file, is refused."""
    payload = msgpack.ExtType(8, b"\x07\xe8\x01\x02\x00\x00\x00\x00\x00\x00\x00" + b"\x00z" + key)
    assert refused(PLAIN_CODEC, msgpack.packb([payload]))


def test_wrong_members_and_shapes_of_columns_are_refused() -> None:
    """What is no member of an enumeration, or no form of a decorated value, is refused."""
    for place, wrong in (
        (2, "PINK"),
        (2, 1),
        (2, ["RED"]),
        (2, {}),
        (3, []),
        (3, [1]),
        (3, [2, "x"]),
        (3, [0, 5]),
        (3, [1, "no number"]),
        (3, [1, 5]),
        (4, ["PINK"]),
        (4, [[["RED"], "x"]]),
    ):
        values: list[Any] = [1, None, "RED", None, ["RED"]]
        assert decoded(CODEC, msgpack.packb(values), 5)
        values[place] = wrong
        assert refused(CODEC, msgpack.packb(values), 5), (place, wrong)


def test_bytes_from_redis_do_not_reach_the_application() -> None:
    """The bound form of a type that writes bytes is neither made nor taken."""
    codec = RowCodec([Column("m", MoneyBytes())], SQLITE)
    assert refused(codec, msgpack.packb([[1, b"5 EUR"]]))
