"""Rows decoded in batches: as one by one, whatever bytes stand beside a row."""

from __future__ import annotations

import random
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column

from sqlalchemy_rediscache.codec import ABSENT_ROW, RowCodec
from sqlalchemy_rediscache.errors import DecodeError
from tests.codec.decorators import Colour, MoneyType
from tests.codec.exactness import identical
from tests.codec.links import dialect_of
from tests.codec.test_hostile import MEGABYTE, ROW, STRUCTURED, little_memory

SQLITE = dialect_of("sqlite")
QUICK = settings(max_examples=300, deadline=None, database=None)

TYPES: tuple[Any, ...] = (sa.Integer, sa.Text, sa.Uuid, sa.Numeric(10, 2), sa.Date, sa.DateTime)


def flat(**options: Any) -> RowCodec:
    """A codec of columns whose values are neither lists nor dicts."""
    return RowCodec([Column(f"c{i}", t) for i, t in enumerate(TYPES)], SQLITE, **options)


FLAT = flat(compress_over=120)
CODEC = RowCodec(STRUCTURED, SQLITE, compress_over=60)
PLAIN = RowCodec([Column("doc", sa.JSON)], SQLITE)
WIDE = RowCodec([Column(f"c{i}", sa.Integer) for i in range(300)], SQLITE)
THREE = RowCodec([Column(f"c{i}", sa.Integer) for i in range(3)], SQLITE)

FLAT_ROWS = st.builds(
    lambda number, text: [
        *(number, text, UUID(int=number), Decimal(number) / 4, date(2024, 1, 2)),
        datetime(2024, 1, 2, 3, 4, 5, number % 1_000_000),
    ],
    st.integers(0, 2**64),
    st.text(max_size=80),
)
STRUCTURED_ROWS = st.builds(
    lambda number, text: [number, {"t": [text, (number,)]}, Colour.RED, None, [Colour.BLUE]],
    st.integers(-5, 2**70),
    st.text(max_size=80),
)


def one_by_one(codec: RowCodec, blobs: list[Any]) -> list[list[Any] | None]:
    """What decode_many must give."""
    rows: list[list[Any] | None] = []
    for blob in blobs:
        try:
            rows.append(codec.decode(blob))
        except DecodeError:
            rows.append(None)
    return rows


def check(codec: RowCodec, blobs: list[Any]) -> list[list[Any] | None]:
    """Decode a batch and compare it with its rows, decoded one by one."""
    rows = codec.decode_many(blobs)
    assert identical(rows, one_by_one(codec, blobs))
    return rows


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 128, 300])
def test_batches_of_any_size(count: int) -> None:
    """Every row of a batch comes back in its place, of short and of wide rows."""
    for codec, width in ((THREE, 3), (WIDE, 300)):
        rows = [list(range(i, i + width)) for i in range(count)]
        assert check(codec, [codec.encode(row) for row in rows]) == rows


@QUICK
@given(st.lists(FLAT_ROWS, max_size=70), st.lists(STRUCTURED_ROWS, max_size=8))
def test_a_batch_is_its_rows(rows: list[Any], structured: list[Any]) -> None:
    """Compressed and plain rows, with values of all kinds, come back as they were."""
    assert identical(check(FLAT, [FLAT.encode(row) for row in rows]), rows)
    assert identical(check(CODEC, [CODEC.encode(row) for row in structured]), structured)


def test_compressed_rows_among_plain_ones() -> None:
    """A batch of both is decoded in one go."""
    texts = ["short", "the same words again " * 100, "", "x" * 1000, "last"]
    rows = [[i, text, UUID(int=i), None, None, None] for i, text in enumerate(texts)]
    blobs = [FLAT.encode(row) for row in rows]
    assert [blob[:1] == b"x" for blob in blobs] == [False, True, False, True, False]
    assert check(FLAT, blobs) == rows


GOOD = THREE.encode([4, 5, 6])


@pytest.mark.parametrize(
    "hostile",
    [
        [b"\x93\x01\x02", GOOD],
        [b"\x93\x01\x02", GOOD, GOOD + GOOD],
        [b"\x93\x01\x02", GOOD, GOOD + b"\xcf" + bytes(8) + GOOD],
        [GOOD + GOOD, b"\x93\x01\x02", GOOD],
        [b"\x93\x01", GOOD, GOOD + b"\x05" + GOOD],
        [GOOD + b"\x00", GOOD],
        [GOOD[:-1], GOOD],
        [b"", GOOD],
        [b"", GOOD + GOOD],
        [b"\x94\x01\x02\x03", GOOD],
        [b"\x92\x01\x02", GOOD],
        [b"\xdc\x00\x03\x01\x02\x03", GOOD],
        [b"\x93\x01\x02\xdc\x00\x03", GOOD],
        [b"\x93\x01\x02\xda\x00\x0d", GOOD, GOOD],
        [b"\x93\x01\x02\xd9\x0d", GOOD, GOOD + GOOD],
        [b"\x93\x01\x02\xc7\x0d\x07", GOOD, GOOD + GOOD],
        [b"\x93\x01\x02\xc4\x08", GOOD, GOOD + GOOD],
        [b"\x93\x01\x02\xcf", GOOD],
        [b"\x93\x01\x02\xd7\x07", GOOD],
        [b"\x93\x01\x02\x81\xa1a", GOOD],
        [zlib.compress(b"\x93\x01\x02", 1), GOOD, GOOD + GOOD],
        [zlib.compress(GOOD + GOOD, 1), b"\x93\x01\x02", GOOD],
        [ABSENT_ROW, GOOD],
        [b"x", GOOD],
        [b"\xc1", GOOD],
        [None, GOOD],
        ["text", GOOD],
        [5, GOOD],
    ],
    ids=repr,
)
def test_no_row_reaches_into_its_neighbours(hostile: list[Any]) -> None:
    """A row that is cut, goes on, or takes bytes of its neighbour harms nothing but itself."""
    for blobs in (hostile, [*hostile, GOOD], [GOOD, *hostile], [*hostile, *hostile]):
        rows = check(THREE, blobs)
        assert all(
            row == [4, 5, 6]
            for row, blob in zip(rows, blobs, strict=True)
            if type(blob) is bytes and blob == GOOD
        )


@QUICK
@given(st.randoms(use_true_random=False))
def test_damaged_batches(rng: random.Random) -> None:
    """With bytes of some rows changed, cut or added, every row is what it is alone."""
    for codec, row in ((THREE, [1, 200, None]), (CODEC, ROW), (PLAIN, [[1, "a", [2]]])):
        blobs = [bytearray(codec.encode(row)) for _ in range(rng.randint(1, 6))]
        for data in rng.sample(blobs, rng.randint(1, len(blobs))):
            place = rng.randrange(len(data))
            change = rng.randrange(4)
            if change == 0:
                data[place] = rng.randrange(256)
            elif change == 1:
                del data[place : place + rng.randint(1, 4)]
            elif change == 2:
                data[place:place] = rng.randbytes(rng.randint(1, 4))
            else:
                data.extend(bytes(rng.choice(blobs)))
        check(codec, [bytes(data) for data in blobs])


@QUICK
@given(st.lists(st.binary(max_size=24), max_size=6))
def test_batches_of_random_bytes(tails: list[bytes]) -> None:
    """Random bytes behind a plausible header are what they are alone."""
    check(THREE, [b"\x93" + tail for tail in tails])
    check(PLAIN, [b"\x91" + tail for tail in tails])


def test_the_mark_between_rows_is_a_secret_of_the_codec() -> None:
    """Two codecs of the same columns put different numbers between rows; 0 or 1 is none."""
    marks = {flat()._mark for _ in range(5)}
    assert len(marks) == 5
    for blob in (GOOD + b"\xcf" + (1).to_bytes(8, "big") + GOOD, GOOD + FLAT._mark + GOOD):
        assert check(THREE, [b"\x93\x01\x02", GOOD, blob]) == [None, [4, 5, 6], None]


def test_the_limits_of_rows_hold_in_batches() -> None:
    """A row that is too long, nested too deep or claims too much is refused beside good ones."""
    small = RowCodec([Column("doc", sa.JSON)], SQLITE, max_bytes=100, compress_over=None)
    good = small.encode(["x" * 80])
    long = msgpack.packb(["x" * 100])
    assert check(small, [good, long, good]) == [["x" * 80], None, ["x" * 80]]
    for depth in range(1015, 1030):
        # A batch takes one of msgpack's 1,024 levels, which must not make a miss of a row.
        blob = b"\x91" * depth + b"\xc0"
        refused = [row is None for row in one_by_one(PLAIN, [blob, blob])]
        assert [row is None for row in PLAIN.decode_many([blob, blob])] == refused
    for count in (64, 127, 128, 129, 1000):
        check(THREE, [msgpack.packb([1, [0] * count, 2])] * 64)
    bombs = [zlib.compress(bytes(64 * MEGABYTE), 1)] * 64
    claims = [b"\x93" + b"\xdc\xff\xff" * 1000, b"\x93" + b"\xdc\x00\x80" * 1000] * 32
    with little_memory(4 * MEGABYTE):
        assert THREE.decode_many(bombs) == [None] * 64
        assert THREE.decode_many(claims) == [None] * 64


def test_an_error_of_the_application_concerns_one_row() -> None:
    """A value that the column's own code does not take makes a miss of its row alone."""
    codec = RowCodec([Column("colour", sa.Enum(Colour)), Column("money", MoneyType)], SQLITE)
    good = codec.encode([Colour.RED, None])
    rows = check(codec, [good, msgpack.packb(["PINK", None]), msgpack.packb(["RED", [1, 5]]), good])
    assert rows == [[Colour.RED, None], None, None, [Colour.RED, None]]


def test_moments_and_their_zones_in_batches() -> None:
    """Moments in UTC and values that hold values come back from batches too."""
    row = [[datetime(2024, 1, 2, tzinfo=UTC), (1, (2,)), {3}]]
    assert identical(check(PLAIN, [PLAIN.encode(row)] * 3), [row] * 3)
