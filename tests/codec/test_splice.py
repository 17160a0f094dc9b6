"""Packed rows with values of other packed rows in them are what encoding the new row gives."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import Column

from sqlalchemy_rediscache.codec import ABSENT_ROW, RowCodec, spliced
from tests.codec.links import dialect_of

TYPES = (sa.Integer, sa.String, sa.Numeric, sa.Uuid, sa.JSON, sa.DateTime(timezone=True))
OLD: list[Any] = [
    7, "name", Decimal("1.50"), UUID(int=5), {"a": [1, {"b": None}]},
    datetime(2020, 1, 2, tzinfo=UTC),
]  # fmt: skip
NEW: list[Any] = [1 << 40, "x" * 300, None, UUID(int=6), [], None]


def codec(types: Any = TYPES, **options: Any) -> RowCodec:
    """A codec of columns of these types."""
    columns = [Column(f"c{index}", type_) for index, type_ in enumerate(types)]
    return RowCodec(columns, dialect_of("postgresql"), **options)


@pytest.mark.parametrize("count", range(len(TYPES) + 1))
def test_any_values_may_be_new(count: int) -> None:
    """Whichever columns change, the row is the one that they would be encoded to."""
    packer = codec()
    for places in combinations(range(len(TYPES)), count):
        sparse = [NEW[place] if place in places else None for place in range(len(TYPES))]
        wanted = [(NEW if place in places else OLD)[place] for place in range(len(TYPES))]
        packed = spliced(packer.encode(OLD), packer.encode(sparse), places, len(TYPES))
        assert packed == packer.encode(wanted)


def test_rows_of_many_columns() -> None:
    """Sixteen columns and more have a longer header."""
    packer = codec([sa.Integer] * 40)
    changes = packer.encode([None] * 39 + [70_000])
    packed = spliced(packer.encode(list(range(40))), changes, [39], 40)
    assert packed is not None
    assert packer.decode(packed) == [*range(39), 70_000]


def test_what_is_no_plain_row_is_left_alone() -> None:
    """Compressed rows, rows of another shape, remembered absences, rests of rows, anything else."""
    packer, small = codec(), codec(compress_over=10)
    row, changes = packer.encode(OLD), packer.encode(NEW)
    others = [small.encode(["x", "x" * 999, *OLD[2:]]), codec(TYPES[:5]).encode(OLD[:5]),
              ABSENT_ROW, b"", b"garbage", row + b"\xc0", b"\xdc\x00\x06" + row[1:],
              *[row[:end] for end in range(len(row))]]  # fmt: skip
    for other in others:
        assert spliced(other, changes, [1], len(TYPES)) is None
        assert spliced(row, other, [1], len(TYPES)) is None
    assert spliced(b"\x96" + b"\x91" * 100_000, changes, [1], len(TYPES)) is None
