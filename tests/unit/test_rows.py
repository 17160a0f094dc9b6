"""Rows that are read again and again are decoded once: what may be shared, and what never is."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum as PythonEnum
from typing import Any

import pytest
from sqlalchemy import JSON, Enum, Numeric, String, inspect
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from sqlalchemy_rediscache.errors import DecodeError
from sqlalchemy_rediscache.policy import CachePolicy
from sqlalchemy_rediscache.region import Region
from sqlalchemy_rediscache.store import State


class Base(DeclarativeBase):
    """The registry of these tests."""


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


class Flat(Base):
    """Values that nobody can change."""

    __tablename__ = "flat"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    colour: Mapped[Colour] = mapped_column(Enum(Colour))
    text: Mapped[str]


class Document(Base):
    """A value that can be changed in place."""

    __tablename__ = "document"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class Loud(Base):
    """A value that code of the application makes, each time anew."""

    __tablename__ = "loud"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Shouting)


def region_of(model: Any) -> Region:
    """A region of its own for each test."""
    policy = CachePolicy(compress_over=None)
    return Region(inspect(model), policy, sqlite.dialect(), 1 << 20)


def flat(number: int, text: str = "a") -> list[Any]:
    """The values of a `Flat`."""
    return [number, Decimal("1.50"), Colour.RED, text]


def again(blob: bytes) -> bytes:
    """The same bytes as another object, as the next answer of Redis brings them."""
    return bytes(bytearray(blob))


def test_the_same_bytes_are_decoded_once() -> None:
    """One object for equal bytes, whoever reads them, alone or with others."""
    region = region_of(Flat)
    blob = region.codec.encode(flat(1))
    first = region.read(blob)
    assert first == flat(1)
    assert (first.key, first.identity) == (b"1", (1,))
    assert region.read(again(blob)) is first
    found = region.read_many([again(blob)], [b"1"])
    assert found is not None
    assert found[0] is first


@pytest.mark.parametrize("model", [Document, Loud], ids=["JSON", "TypeDecorator"])
def test_values_that_can_change_are_decoded_each_time(model: Any) -> None:
    """Neither documents nor what an application's code makes are shared."""
    region = region_of(model)
    blob = region.codec.encode([1, ["x"] if model is Document else "X"])
    assert region.read(blob) is not region.read(again(blob))


def test_long_rows_are_not_remembered() -> None:
    """Memory is bounded by length, too."""
    region = region_of(Flat)
    blob = region.codec.encode(flat(1, "a" * 600))
    assert region.read(blob) is not region.read(blob)
    assert region.read_many([blob], [b"1"]) == [flat(1, "a" * 600)]


def test_what_is_no_row_is_told_each_time() -> None:
    """A failure is not remembered, and nothing is made of a batch that has one."""
    region = region_of(Flat)
    good = region.codec.encode(flat(1))
    for bad in (b"nonsense", b"", State.ABSENT):
        for _ in range(2):
            assert region.read_many([good, bad], [b"1", b"2"]) is None
    with pytest.raises(DecodeError):
        region.read(b"nonsense")
    assert region.read_many([good], [b"2"]) is None, "another row than the one asked for"
