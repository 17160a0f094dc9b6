"""What a transaction wrote: sets of rows, values to publish, debts to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from sqlalchemy_rediscache import CachePolicy
from sqlalchemy_rediscache.codec import INEXACT
from sqlalchemy_rediscache.debts import Debts
from sqlalchemy_rediscache.errors import CacheUnavailable
from sqlalchemy_rediscache.keys import Keys, Place
from sqlalchemy_rediscache.region import Region
from sqlalchemy_rediscache.stats import Counters
from sqlalchemy_rediscache.store import State
from sqlalchemy_rediscache.write_path import RowWrite, WriteSet
from tests.private.models import Child, Parent
from tests.store.conftest import new_store, shelf
from tests.store.shelf import Shelf

__all__ = ["new_store", "shelf"]  # fixtures

A, B = Keys("t").place("a", "x"), Keys("t").place("b", "x")


@pytest.fixture
def region() -> Iterator[Region]:
    """A compiled region of three columns: id, name, parent_id."""
    engine = create_engine("sqlite://")
    yield Region(inspect(Child), CachePolicy(), engine.dialect, 1 << 20)
    engine.dispose()


def published(write: RowWrite, cached: bytes = b"") -> Any:
    """The values that a write would publish, None for nothing."""
    found = write.built(cached)
    if found is None:
        return None
    assert write.region is not None
    assert found.field == write.region.field
    assert 0 < found.ttl_ms <= 3_600_000
    return write.region.codec.decode(found.value)


def test_a_new_row_is_published_whole(region: Region) -> None:
    """An insert has every value and builds on nothing."""
    write = RowWrite(region, True, {0: 1, 1: "a", 2: None})
    assert write.builds_on == b""
    assert published(write) == [1, "a", None]
    assert published(write, b"garbage") == [1, "a", None]


def test_a_change_is_built_on_the_cached_row(region: Region) -> None:
    """An update puts its values in the row that the lock returned, and needs one."""
    write = RowWrite(region, False, {1: "new"})
    assert write.builds_on == region.field
    assert published(write, region.codec.encode([1, "old", 7])) == [1, "new", 7]
    assert published(write) is None


@pytest.mark.parametrize(("compress_over", "name"), [(None, "n" * 5000), (40, "n"), (40, "n" * 99)])
def test_a_change_of_a_compressed_row(compress_over: int | None, name: str) -> None:
    """A row that is stored compressed before, or after, is what encoding it anew gives."""
    engine = create_engine("sqlite://")
    policy = CachePolicy(compress_over=compress_over)
    region = Region(inspect(Child), policy, engine.dialect, 1 << 20)
    for before in ("o", "o" * 99):
        found = RowWrite(region, False, {1: name}).built(region.codec.encode([1, before, 7]))
        assert found is not None
        assert found.value == region.codec.encode([1, name, 7])


def test_a_change_that_makes_a_row_too_large() -> None:
    """A row of more bytes than the cache takes is not published."""
    engine = create_engine("sqlite://")
    region = Region(inspect(Child), CachePolicy(compress_over=None), engine.dialect, 100)
    cached = region.codec.encode([1, "o" * 60, 7])
    assert RowWrite(region, False, {1: "n" * 80}).built(cached) is not None
    assert RowWrite(region, False, {1: "n" * 120}).built(cached) is None


@pytest.mark.parametrize("cached", [b"garbage", b"\xc0", b"\x93\x01\x02", b"\x91\x01"])
def test_a_change_of_what_does_not_decode(region: Region, cached: bytes) -> None:
    """A cached value that is no row is built on by nobody."""
    assert published(RowWrite(region, False, {1: "new"}), cached) is None


def test_what_is_not_certain_is_not_published(region: Region) -> None:
    """Inexact values, values that can't be stored, and unknown writes publish nothing."""
    cached = region.codec.encode([1, "old", 7])
    assert published(RowWrite(region, False, {1: INEXACT}), cached) is None
    assert published(RowWrite(region, True, {0: 1, 1: object(), 2: None})) is None
    assert RowWrite().built(cached) is None
    assert RowWrite().builds_on == b""


def test_writes_of_one_row_add_up(region: Region) -> None:
    """An insert and its updates are one new row; an unknown write in between spoils it."""
    writes = WriteSet()
    writes.row(A, b"1", RowWrite(region, True, {0: 1, 1: "a", 2: None}))
    writes.row(A, b"1", RowWrite(region, False, {1: "b"}))
    assert published(writes.rows[A][b"1"]) == [1, "b", None]
    writes.row(A, b"1", None)
    writes.row(A, b"1", RowWrite(region, False, {1: "c"}))
    assert writes.rows[A][b"1"].region is None


def test_writes_through_two_shapes_are_not_published(region: Region) -> None:
    """Values of one shape of the row don't make the other's."""
    engine = create_engine("sqlite://")
    other = Region(inspect(Parent), CachePolicy(), engine.dialect, 1 << 20)
    writes = WriteSet()
    writes.row(A, b"1", RowWrite(region, False, {1: "b"}))
    writes.row(A, b"1", RowWrite(other, False, {1: "c"}))
    assert writes.rows[A][b"1"].region is None


def test_what_a_set_wants_locked() -> None:
    """Rows by name, regions whole; a whole region makes its rows needless, as do too many rows."""
    writes = WriteSet()
    assert not writes
    writes.row(A, b"1", None)
    writes.row(A, b"2", None)
    assert list(writes.owed_places()) == [(A, (b"1", b"2"))]
    writes.region(A)
    writes.row(B, b"1", None)
    assert dict(writes.owed_places()) == {A: (), B: (b"1",)}
    for number in range(6000):
        writes.row(B, b"%d" % number, None)
    assert dict(writes.owed_places()) == {A: (), B: ()}
    assert writes


def test_what_was_written() -> None:
    """A row is written by itself or with its region."""
    writes = WriteSet()
    writes.row(A, b"1", None)
    writes.region(B)
    assert [writes.wrote(A, b"1"), writes.wrote(A, b"2"), writes.wrote(B, b"9")] == [
        True, False, True,
    ]  # fmt: skip


def test_a_savepoint_forgets_values(region: Region) -> None:
    """After a savepoint's rollback everything is still invalidated, and nothing published."""
    writes = WriteSet()
    writes.row(A, b"1", RowWrite(region, True, {0: 1, 1: "a", 2: None}))
    writes.forget_values()
    assert list(writes.owed_places()) == [(A, (b"1",))]
    assert writes.rows[A][b"1"].built(b"") is None


class Asked:
    """Scripts that note what is invalidated, and fail when told to."""

    def __init__(self) -> None:
        self.calls: list[dict[bytes, set[bytes]]] = []
        self.fails = False
        self.meanwhile: Any = None

    def invalidate(self, wanted: Any) -> None:
        """Note a call."""
        if self.fails:
            raise CacheUnavailable("gone")
        self.calls.append({guard: set(names) for guard, _, names in wanted})
        if self.meanwhile:
            self.meanwhile()


def test_debts_are_paid_once() -> None:
    """What is owed is invalidated in one call, then nothing is."""
    counters = Counters()
    debts, scripts = Debts(counters), Asked()
    debts.pay(scripts)  # type: ignore[arg-type]
    assert not debts
    debts.owe(A, [b"1"])
    debts.owe(A, [b"2"])
    debts.owe(B, None)
    debts.owe(B, [b"3"])
    assert debts
    debts.pay(scripts)  # type: ignore[arg-type]
    debts.pay(scripts)  # type: ignore[arg-type]
    assert scripts.calls == [{A.guard: {b"1", b"2"}, B.guard: set()}]
    assert not debts
    assert counters.read().unsettled == 4


def test_debts_stay_until_they_are_paid() -> None:
    """A call that fails, and what is added while one runs, leave all of it owed."""
    debts, scripts = Debts(Counters()), Asked()
    debts.owe(A, [b"1"])
    scripts.fails = True
    with pytest.raises(CacheUnavailable):
        debts.pay(scripts)  # type: ignore[arg-type]
    assert debts
    scripts.fails = False
    scripts.meanwhile = lambda: debts.owe(B, None)
    debts.pay(scripts)  # type: ignore[arg-type]
    assert debts
    scripts.meanwhile = None
    debts.pay(scripts)  # type: ignore[arg-type]
    assert scripts.calls[-1] == {A.guard: {b"1"}, B.guard: set()}
    assert not debts


def test_many_rows_are_owed_as_their_region() -> None:
    """Debts don't grow without bound."""
    debts, scripts = Debts(Counters()), Asked()
    debts.owe(A, (b"%d" % number for number in range(10_001)))
    debts.owe(A, [b"x"])
    debts.pay(scripts)  # type: ignore[arg-type]
    assert scripts.calls == [{A.guard: set()}]


def test_debts_are_paid_to_a_real_server(shelf: Shelf) -> None:
    """An owed row is gone when it is paid."""
    shelf.put(b"1", b"old")
    debts = Debts(Counters())
    debts.owe(Place(shelf.guard, shelf.prefix), [b"1"])
    debts.pay(shelf.scripts)
    assert shelf.read(b"1") is State.LEASED
