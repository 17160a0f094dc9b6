"""Rows that are read again and again are decoded once: what may be shared, and what never is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum as PythonEnum
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Enum, Integer, Numeric, String
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

from sqlalchemy_rediscache.codec import RowCodec
from sqlalchemy_rediscache.errors import DecodeError


class Colour(PythonEnum):
    """An enumeration."""

    RED = "red"


class Shouting(TypeDecorator[str]):
    """A type whose Python code has a say in what a read gives."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """Louder."""
        return None if value is None else value.upper()


def _codec(*types: Any, remembered: int = 10) -> RowCodec:
    columns = [Column(f"c{place}", kind) for place, kind in enumerate(types)]
    return RowCodec(columns, sqlite.dialect(), remembered=remembered)


def _again(blob: bytes) -> bytes:
    return bytes(bytearray(blob))


def test_the_same_bytes_are_decoded_once() -> None:
    """One object for equal bytes, whoever reads them."""
    codec = _codec(Integer(), Numeric(), Enum(Colour))
    blob = codec.encode([1, Decimal("1.50"), Colour.RED])
    first = codec.read(blob)
    assert list(first) == [1, Decimal("1.50"), Colour.RED]
    assert codec.read(_again(blob)) is first
    assert codec.read_many([_again(blob), _again(blob)]) == [first, first]


def test_what_a_caller_may_change_is_its_own() -> None:
    """`decode` never hands out what `read` remembers."""
    codec = _codec(Integer(), String())
    blob = codec.encode([1, "a"])
    codec.read(blob)
    own = codec.decode(blob)
    own[1] = "b"
    assert list(codec.read(blob)) == [1, "a"]


@pytest.mark.parametrize("types", [(JSON(),), (Shouting(),)], ids=["JSON", "TypeDecorator"])
def test_values_that_can_change_are_decoded_each_time(types: Sequence[Any]) -> None:
    """Neither documents nor what an application's code makes are shared."""
    codec = _codec(Integer(), *types)
    blob = codec.encode([1, ["x"] if isinstance(types[0], JSON) else "x"])
    assert codec.read(blob) is not codec.read(_again(blob))


def test_few_rows_are_remembered_and_no_long_ones() -> None:
    """Memory is bounded by number and by length."""
    codec = _codec(Integer(), String(), remembered=2)
    blobs = [codec.encode([number, "a"]) for number in range(3)]
    first = codec.read(blobs[0])
    for blob in blobs[1:]:
        codec.read(blob)
    assert codec.read(blobs[0]) is not first
    long = codec.encode([1, "a" * 600])
    assert codec.read(long) is not codec.read(long)


def test_what_is_no_row_is_told_each_time() -> None:
    """A failure is not remembered, and spoils nothing beside it."""
    codec = _codec(Integer(), String())
    good = codec.encode([1, "a"])
    for _ in range(2):
        with pytest.raises(DecodeError):
            codec.read(b"nonsense")
        assert codec.read_many([good, b"nonsense"]) == [[1, "a"], None]
