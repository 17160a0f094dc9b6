"""Remembered absences: what they carry, and what ends all of a region's at once."""

from __future__ import annotations

import pytest
import redis

from sqlalchemy_rediscache.store import HeldRows, LockWanted, State
from sqlalchemy_rediscache.store.answers import Touched
from tests.store.shelf import Shelf

pytestmark = [pytest.mark.every_redis, pytest.mark.judged]

NOTHING = b"\xc0"


def remember(shelf: Shelf, *names: bytes) -> None:
    """Have the cache know that rows are not there."""
    for name in names:
        lease = shelf.lease(name)
        assert lease.absent
        shelf.fill([(lease, NOTHING + lease.absent, 50_000)])
        assert shelf.read(name) == NOTHING


def make(shelf: Shelf, *names: bytes) -> tuple[bytes, bytes]:
    """Lock for one who makes rows whose keys are not known, and maybe writes others."""
    token = shelf.scripts.tokens.new()
    touched = Touched(b"", False, b"", b"0" * len(names), unnamed=True)
    wanted = LockWanted(shelf.guard, shelf.prefix, names, [b""] * len(names), False, touched)
    (held,) = shelf.scripts.lock([wanted], token)
    return token, held.generation


def end(shelf: Shelf, token: bytes, generation: bytes, *names: bytes) -> None:
    """Release what `make` locked."""
    shelf.release_all([HeldRows(shelf.guard, shelf.prefix, generation, names, False, ())], token)


def test_rows_stay_and_absences_end(shelf: Shelf, other: Shelf) -> None:
    """One who makes rows ends what is remembered of any key, and no value."""
    shelf.put(b"1", b"value")
    remember(shelf, b"2", b"3")
    token, generation = make(other)
    assert shelf.read(b"1") == b"value"
    assert list(shelf.look(b"1", b"2", b"3", lease=False)[0].rows) == [b"value", 4, 4]
    end(other, token, generation)
    assert shelf.read(b"1") == b"value"
    remember(shelf, b"2")
    assert list(shelf.look(b"1", b"2", b"3", lease=False)[0].rows) == [b"value", NOTHING, 4]


@pytest.mark.parametrize("made", [False, True], ids=["nothing made", "a row made"])
def test_one_absent_row_is_leased_as_several_are(shelf: Shelf, made: bool) -> None:
    """The short way to a lease tells of the region what the whole script tells."""
    if made:
        end(shelf, *make(shelf))
    alone, (lease,) = shelf.look(b"1")
    several, (first, _) = shelf.look(b"2", b"3")
    assert lease is not None
    assert first is not None
    assert alone == several._replace(rows=[State.LEASED])
    assert (lease.absent, lease.generation) == (first.absent, first.generation)
    assert shelf.fill([(lease, b"value", 1000)]) == 1


def test_an_absence_that_has_ended_is_leased(shelf: Shelf) -> None:
    """Who meets one loads it, alone or among others."""
    remember(shelf, b"1", b"2")
    end(shelf, *make(shelf))
    assert shelf.look(b"1")[0].rows[0] is State.LEASED
    assert list(shelf.look(b"1", b"2")[0].rows) == [State.BEING_FILLED, State.LEASED]


def test_what_was_loaded_before_is_never_served(shelf: Shelf, other: Shelf) -> None:
    """A lease from before the lock fills an absence that nobody is told of; a row, it fills."""
    first, second = shelf.lease(b"1"), shelf.lease(b"2")
    token, generation = make(other)
    for name, lease, value in ((b"1", first, NOTHING + first.absent), (b"2", second, b"value")):
        assert shelf.fill([(lease, value, 50_000)]) == 1
        assert other.read(name) == (State.LEASED if value[:1] == NOTHING else b"value")
    end(other, token, generation)
    assert other.read(b"1") is State.LEASED
    assert other.read(b"2") == b"value"


def test_none_is_remembered_beside_one_who_makes_rows(shelf: Shelf, other: Shelf) -> None:
    """Rows may be loaded and kept then, absences may not, until the last of them is done."""
    one, another = make(shelf), make(other)
    for held in (one, another):
        assert shelf.lease(b"1").absent == b""
        end(shelf, *held)
        shelf.invalidate(b"1")
    remember(shelf, b"1")


def test_other_writers_leave_absences_alone(shelf: Shelf) -> None:
    """A lock of rows whose keys are known ends no other key's absence."""
    remember(shelf, b"1", b"2")
    token, generation, _ = shelf.lock(b"2")
    assert shelf.read(b"1") == NOTHING
    assert shelf.lease(b"3").absent
    shelf.release(token, generation, b"2")
    assert shelf.read(b"1") == NOTHING
    assert shelf.read(b"2") is State.LEASED


def test_a_lock_that_is_gone_ends_them_too(shelf: Shelf, redis_client: redis.Redis) -> None:
    """Who finds its lock expired can't know what was remembered meanwhile."""
    token, generation = make(shelf)
    redis_client.hset(shelf.guard.decode(), f"w:{token.decode()}", "1")
    remember(shelf, b"1")
    end(shelf, token, generation)
    assert shelf.read(b"1") is State.LEASED


def test_a_new_generation_knows_no_absence(shelf: Shelf) -> None:
    """After the region is emptied all keys are asked for again; a maker goes on being seen."""
    remember(shelf, b"1")
    token, generation = make(shelf)
    shelf.invalidate()
    assert shelf.read(b"1") is State.LOCKED
    end(shelf, token, generation)
    remember(shelf, b"1")


def test_an_absence_without_a_stamp_is_none(shelf: Shelf) -> None:
    """What nobody of this version wrote is not believed."""
    for value in (NOTHING, NOTHING + b"x", NOTHING * 3):
        shelf.put(b"1", value)
        assert shelf.read(b"1") is State.LEASED
        shelf.put(b"1", value)
        assert shelf.look(b"1", b"1", lease=False)[0].rows[0] is State.ABSENT
