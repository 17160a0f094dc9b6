"""The script `read`: what a reader is told of a row, and when it is granted a lease."""

from __future__ import annotations

import pytest
import redis

from sqlalchemy_rediscache.store import Reading, State
from tests.store.conftest import StoreMaker
from tests.store.shelf import OTHER_FIELD, Shelf, until

pytestmark = [pytest.mark.every_redis, pytest.mark.judged]


def test_an_absent_row_is_leased_once(shelf: Shelf, other: Shelf) -> None:
    """The first reader of an absent row may fill it, the next is told that somebody does."""
    lease = shelf.lease(b"1")
    reading = Reading([State.BEING_FILLED], shelf.stamp(), busy=False)
    assert other.look(b"1") == (reading, [None])
    assert lease.row.endswith(b":1")
    assert other.look(b"2")[0].rows == [State.LEASED]


def test_a_value_is_read(shelf: Shelf, other: Shelf) -> None:
    """What one process filled, another reads; one row is answered without the region's stamp."""
    shelf.put(b"1", b"value")
    assert other.look(b"1") == (Reading((b"value",), None, busy=False, whole=True), (None,))


def test_rows_of_one_call_are_answered_one_by_one(shelf: Shelf, other: Shelf) -> None:
    """A batch has each row's own state, in the order that was asked for."""
    shelf.put(b"1", b"value")
    shelf.lock(b"2")
    taken = shelf.lease(b"3")
    reading, leases = other.look(b"1", b"2", b"3", b"4")
    assert list(reading.rows) == [b"value", State.LOCKED, State.BEING_FILLED, State.LEASED]
    assert [lease is not None for lease in leases] == [False, False, False, True]
    assert reading.busy
    assert taken != leases[3]


def test_a_thousand_rows(shelf: Shelf) -> None:
    """A batch of the largest size is one call; all leases of it are filled in another."""
    names = [b"%d" % number for number in range(1000)]
    reading, leases = shelf.look(*names)
    assert set(reading.rows) == {State.LEASED}
    filled = shelf.fill([(lease, b"v", 9000) for lease in leases if lease is not None])
    assert filled == 1000
    assert set(shelf.look(*names)[0].rows) == {b"v"}


def test_a_reader_may_ask_for_no_lease(shelf: Shelf, other: Shelf) -> None:
    """A reader that will not fill leaves the lease to others."""
    assert shelf.read(b"1", lease=False) is State.ABSENT
    assert other.look(b"1")[0].rows == [State.LEASED]
    assert shelf.read(b"1", lease=False) is State.BEING_FILLED


def test_a_lease_expires(redis_url: str, new_store: StoreMaker) -> None:
    """When a reader dies, the next may fill after the lease's time."""
    shelf = Shelf(new_store(redis_url, lease_ttl=0.02).blocking)
    shelf.lease(b"1")
    until(lambda: shelf.look(b"1")[1][0] is not None)


def test_a_locked_row_is_not_leased(shelf: Shelf, other: Shelf) -> None:
    """Beside a writer nobody may fill its row; other rows of the region may be filled."""
    shelf.put(b"1", b"old")
    token, generation, _ = shelf.lock(b"1")
    assert other.read(b"1") is State.LOCKED
    reading = other.look(b"2")[0]
    assert reading.rows == [State.LEASED]
    assert reading.busy
    shelf.release(token, generation, b"1")
    assert other.look(b"1")[0].rows == [State.LEASED]
    assert not other.look(b"3")[0].busy


def test_a_held_region_leases_nothing(shelf: Shelf, other: Shelf) -> None:
    """Beside a writer of the whole region no row of it is leased, or served."""
    shelf.put(b"1", b"old")
    token, generation, _ = shelf.lock()
    assert list(other.look(b"1", b"2")[0].rows) == [State.LOCKED, State.LOCKED]
    assert other.read(b"3", lease=False) is State.LOCKED
    shelf.release(token, generation)
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_expired_writers_are_forgotten(redis_url: str, new_store: StoreMaker) -> None:
    """A lock of a writer that died is void after its time, a row's and a region's."""
    shelf = Shelf(new_store(redis_url, lock_ttl=0.05).blocking)
    shelf.lock(b"1")
    shelf.lock()
    until(lambda: shelf.read(b"1") is State.LEASED)
    assert not shelf.look(b"2")[0].busy


@pytest.mark.parametrize("names", [[b"1"], [b"1", b"2"]], ids=["one", "batch"])
def test_a_value_that_is_too_large(
    shelf: Shelf, redis_client: redis.Redis, names: list[bytes]
) -> None:
    """It is never sent, is deleted at once, and the next reader may fill."""
    shelf.put(b"1", b"value")
    key = shelf.key(redis_client, b"1")
    redis_client.hset(key.decode(), "row:12345678", b"x" * 1001)
    reading, leases = shelf.look(*names)
    assert reading.rows[0] is State.TOO_LARGE
    assert leases[0] is None
    assert not redis_client.exists(key)
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_another_process_changed_the_generation(shelf: Shelf, other: Shelf) -> None:
    """A reader that knows an old generation is put right in the same call; old values are gone."""
    shelf.put(b"1", b"old")
    assert other.read(b"1") == b"old"
    shelf.invalidate()
    assert other.look(b"1")[0].rows == [State.LEASED]
    assert shelf.read(b"1") is State.BEING_FILLED


def test_the_stamp_is_reported(shelf: Shelf) -> None:
    """A reader that will need the stamp is told it, with whether a writer is open."""
    shelf.put(b"1", b"value")
    reading, _ = shelf.look(b"1", stamp=b"?")
    assert reading.rows == [b"value"]
    assert reading.stamp
    assert not reading.busy
    assert shelf.look(b"1", stamp=reading.stamp)[0] == reading


@pytest.mark.parametrize("change", ["lock a row", "hold the region", "invalidate a row", "all"])
def test_the_stamp_changes_with_every_write(shelf: Shelf, other: Shelf, change: str) -> None:
    """A snapshot from before any write of the region is not answered."""
    shelf.put(b"1", b"value")
    stamp = shelf.stamp()
    match change:
        case "lock a row":
            token, generation, _ = other.lock(b"2")
            assert shelf.look(b"1", stamp=stamp)[0].rows == (State.OTHER_STAMP,)
            other.release(token, generation, b"2")
        case "hold the region":
            token, generation, _ = other.lock()
            other.release(token, generation)
        case "invalidate a row":
            other.invalidate(b"2")
        case _:
            other.invalidate()
    reading, leases = shelf.look(b"1", b"3", stamp=stamp)
    assert list(reading.rows) == [State.OTHER_STAMP, State.OTHER_STAMP]
    assert list(leases) == [None, None]
    assert reading.stamp not in (None, stamp)


def test_a_released_lock_keeps_its_stamp(shelf: Shelf, other: Shelf) -> None:
    """A snapshot taken while a writer was open is told so: `busy`; afterwards it may begin anew."""
    token, generation, _ = other.lock(b"2")
    assert shelf.look(b"1", lease=False, stamp=b"?")[0].busy
    other.release(token, generation, b"2")
    assert not shelf.look(b"1", lease=False, stamp=b"?")[0].busy


@pytest.mark.parametrize("make", ["set", "lpush", "sadd"])
def test_another_type_under_a_rows_key(shelf: Shelf, redis_client: redis.Redis, make: str) -> None:
    """A foreign value in a row's place is deleted and the row leased."""
    shelf.put(b"1", b"value")
    key = shelf.key(redis_client, b"1")
    for names in ((b"1",), (b"1", b"2")):
        redis_client.delete(key)
        getattr(redis_client, make)(key, "foreign")
        reading, leases = shelf.look(*names)
        assert reading.rows[0] is State.LEASED
        assert leases[0] is not None
        shelf.fill([(leases[0], b"value", 1000)])
        assert shelf.read(b"1") == b"value"


def test_another_type_under_the_guards_key(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A foreign value in the guard's place is replaced; nothing older is in reach."""
    shelf.put(b"1", b"value")
    redis_client.set(shelf.guard, "foreign")
    assert shelf.look(b"1")[0].rows == [State.LEASED]
    assert redis_client.type(shelf.guard) == b"hash"


def test_an_evicted_guard_takes_its_rows_along(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A guard that is gone comes back under a name that no row was ever stored with."""
    shelf.put(b"1", b"value")
    key = shelf.key(redis_client, b"1")
    redis_client.delete(shelf.guard)
    assert shelf.look(b"1")[0].rows == [State.LEASED]
    assert redis_client.hget(key.decode(), "row:12345678") == b"value"
    assert shelf.key(redis_client, b"1") != key


def test_a_refresh_acts_as_if_the_row_was_absent(shelf: Shelf, other: Shelf) -> None:
    """The value is deleted, and whoever asked for it fills."""
    shelf.put(b"1", b"value")
    reading, leases = shelf.look(b"1", refresh=True)
    assert reading.rows == [State.LEASED]
    assert other.read(b"1") is State.BEING_FILLED
    assert leases[0] is not None
    shelf.fill([(leases[0], b"new", 1000)])
    assert other.read(b"1") == b"new"


def test_fields_of_a_row_are_apart(shelf: Shelf) -> None:
    """A group of columns that is absent is leased though another of the row is there."""
    shelf.put(b"1", b"value")
    assert shelf.look(b"1", field=OTHER_FIELD)[0].rows == [State.LEASED]
    assert shelf.read(b"1") == b"value"


def test_a_read_sent_twice_keeps_its_lease(shelf: Shelf) -> None:
    """A reader whose call was repeated after a lost answer still has the lease."""
    scripts = shelf.scripts
    once = scripts.transport.exchange

    def twice(frame, replies, undo=None):  # type: ignore[no-untyped-def]
        once(frame, replies, undo)
        return once(frame, replies, undo)

    shelf.read(b"0")
    scripts.transport.exchange = twice  # type: ignore[method-assign]
    try:
        lease = shelf.lease(b"1")
    finally:
        scripts.transport.exchange = once  # type: ignore[method-assign]
    assert shelf.fill([(lease, b"value", 1000)]) == 1
