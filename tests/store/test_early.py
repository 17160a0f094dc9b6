"""Leases on rows that are there: one reader loads them anew, the others are served meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from sqlalchemy_rediscache.store import Lease, State
from sqlalchemy_rediscache.store.answers import LockWanted, Touched
from tests.store.conftest import StoreMaker
from tests.store.shelf import FIELD, HOUR, OTHER_FIELD, Shelf, until

pytestmark = [pytest.mark.every_redis, pytest.mark.judged]

NEARLY_OVER = 100_000
EARLY = 200_000
"""What has less than this to live is loaded anew."""


def early_lease(shelf: Shelf, *names: bytes, field: bytes = FIELD) -> Lease:
    """Be granted a lease on the first of some rows, though it is there."""
    reading, leases = shelf.look(*names, early_ms=EARLY, field=field)
    assert reading.rows[0] is State.LEASED_EARLY
    assert leases[0] is not None
    return leases[0]


def seen(
    shelf: Shelf, *names: bytes, early_ms: int = EARLY, lease: bool = True
) -> Sequence[object]:
    """What a reader is told of rows, who may load early; no lease must come with it."""
    reading, leases = shelf.look(*names, early_ms=early_ms, lease=lease)
    assert set(leases) == {None}
    return list(reading.rows)


@pytest.mark.parametrize("stamp", [b"", b"?"], ids=["fast", "with stamp"])
@pytest.mark.parametrize("names", [[b"1"], [b"1", b"2"]], ids=["one", "batch"])
def test_one_loads_and_the_others_are_served(
    shelf: Shelf, other: Shelf, names: list[bytes], stamp: bytes
) -> None:
    """The first reader of a row that is nearly over gets its lease, the next ones the value."""
    for name in names:
        shelf.put(name, b"value", NEARLY_OVER)
    reading, leases = shelf.look(*names, early_ms=EARLY, stamp=stamp)
    assert set(reading.rows) == {State.LEASED_EARLY}
    assert seen(other, *names) == [b"value"] * len(names)
    assert shelf.fill([(lease, b"new", HOUR) for lease in leases if lease]) == len(names)
    assert seen(other, *names) == [b"new"] * len(names)


def test_what_has_time_is_not_loaded(shelf: Shelf) -> None:
    """Nothing is lent where a row has time to live, or the caller loads nothing early."""
    shelf.put(b"1", b"value", HOUR)
    shelf.put(b"2", b"value", NEARLY_OVER)
    assert seen(shelf, b"1") == [b"value"]
    assert seen(shelf, b"2", early_ms=0) == [b"value"]
    assert seen(shelf, b"2", lease=False) == [b"value"]
    reading, leases = shelf.look(b"1", b"2", b"3", early_ms=EARLY)
    assert list(reading.rows) == [b"value", State.LEASED_EARLY, State.LEASED]
    assert leases[0] is None


def test_a_remembered_absence_is_not_loaded_early(shelf: Shelf) -> None:
    """That a row does not exist has a time of its own, which is short."""
    shelf.put(b"1", b"\xc0" + shelf.lease(b"2").absent, NEARLY_OVER)
    assert seen(shelf, b"1") == [b"\xc0"]
    assert seen(shelf, b"1", b"1") == [b"\xc0"] * 2


@pytest.mark.parametrize("field", ["quarantine", "W:writer"])
def test_nothing_is_lent_while_the_region_is_closed(
    shelf: Shelf, redis_client: redis.Redis, field: str
) -> None:
    """In quarantine, or beside a writer of the whole region, a value is only served."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    redis_client.hset(shelf.guard.decode(), field, str(10**14))
    assert seen(shelf, b"1") == [b"value"]
    assert seen(shelf, b"1", b"1") == [b"value"] * 2
    assert not redis_client.hexists(shelf.key(redis_client, b"1").decode(), "lease")


@pytest.mark.parametrize("between", ["lock", "published", "region", "invalidate row", "clear"])
def test_a_write_ends_value_and_lease(shelf: Shelf, other: Shelf, between: str) -> None:
    """Whatever is written, the value is gone at once, and what was loaded before gets not in."""
    shelf.put(b"1", b"old", NEARLY_OVER)
    lease = early_lease(shelf, b"1")
    match between:
        case "lock":
            other.lock(b"1")
        case "published":
            token, generation, _ = other.lock(b"1")
            assert other.release(token, generation, b"1", value=b"new") == 1
        case "region":
            other.lock()
        case "invalidate row":
            other.invalidate(b"1")
        case "clear":
            other.scripts.clear(b"t:1:*")
    assert other.read(b"1", lease=False) != b"old"
    assert shelf.fill([(lease, b"old", HOUR)]) == 0
    assert other.read(b"1", lease=False) != b"old"


def test_a_fill_begins_the_rows_time_anew(shelf: Shelf, redis_client: redis.Redis) -> None:
    """The row lives for the new value's time; what else it had, which is as old as ever, goes."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    shelf.put(b"1", b"more", HOUR, OTHER_FIELD)
    key = shelf.key(redis_client, b"1").decode()
    redis_client.hset(key, "tags:x", "old")
    lease = early_lease(shelf, b"1")
    assert shelf.fill([(lease, b"new", HOUR)]) == 1
    assert redis_client.hgetall(key) == {FIELD: b"new"}
    assert redis_client.pttl(key) > EARLY
    lease = shelf.lease(b"1", OTHER_FIELD)
    assert shelf.fill([(lease, b"more", 2 * HOUR)]) == 1
    assert shelf.read(b"1") == b"new"
    assert redis_client.pttl(key) <= HOUR


def test_the_tags_of_the_new_value(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A writer finds the tags that came with the value that was loaded anew."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    lease = early_lease(shelf, b"1")
    told: list[int | None] = []
    shelf.scripts.fill([(lease, b"new", HOUR, b"0=7")], told.append, b"tags:0")
    assert shelf.read(b"1") == b"new"
    fields = redis_client.hgetall(shelf.key(redis_client, b"1").decode())
    assert (told, fields) == ([1], {FIELD: b"new", b"tags:0": b"0=7"})
    touched = Touched(b"0", words=b"0=8", had=b"1")
    wanted = LockWanted(shelf.guard, shelf.prefix, [b"1"], [FIELD], whole=False, touched=touched)
    (held,) = shelf.scripts.lock([wanted], shelf.scripts.tokens.new())
    assert held.values == [b"new"]


def test_a_lease_that_is_given_back_changes_nothing(
    shelf: Shelf, other: Shelf, redis_client: redis.Redis
) -> None:
    """Who could not load leaves the value, and its time, to the next reader."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    lease = early_lease(shelf, b"1")
    assert shelf.fill([(lease, b"", 0)]) == 0
    key = shelf.key(redis_client, b"1").decode()
    assert redis_client.hgetall(key) == {FIELD: b"value"}
    assert redis_client.pttl(key) <= NEARLY_OVER
    early_lease(other, b"1")


def test_what_can_not_be_kept_is_not_served_either(shelf: Shelf, redis_client: redis.Redis) -> None:
    """Where the load finds something else that can't be stored, the old value goes."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    lease = early_lease(shelf, b"1")
    assert shelf.fill([(lease, b"", 1)]) == 0
    assert not redis_client.exists(lease.row.decode())
    shelf.put(b"1", b"value", NEARLY_OVER)
    assert shelf.fill([(shelf.lease(b"1", OTHER_FIELD), b"", 1)]) == 0
    assert shelf.read(b"1") == b"value"


def test_who_dies_is_followed_by_another(
    redis_url: str, new_store: StoreMaker, shelf: Shelf, redis_client: redis.Redis
) -> None:
    """The value is served until the lease has expired, then the next reader may load it."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    dying = Shelf(new_store(redis_url, lease_ttl=0.02).blocking)
    lease = early_lease(dying, b"1")
    until(lambda: shelf.look(b"1", early_ms=EARLY)[1][0] is not None)
    assert dying.fill([(lease, b"late", HOUR)]) == 0
    assert shelf.read(b"1", lease=False) == b"value"
    assert redis_client.pttl(lease.row.decode()) <= NEARLY_OVER


def test_a_lease_makes_nothing_live_longer(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A value goes at its time, and the lease with it: what is filled later is refused."""
    shelf.put(b"1", b"value", 10_000)  # leases have 30 seconds
    lease = early_lease(shelf, b"1")
    key = shelf.key(redis_client, b"1").decode()
    assert redis_client.pttl(key) <= 10_000
    redis_client.pexpire(key, 1)
    until(lambda: not redis_client.exists(key))
    assert shelf.fill([(lease, b"new", HOUR)]) == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_a_call_sent_twice_keeps_its_lease(shelf: Shelf) -> None:
    """A reader whose call was repeated after a lost answer still has the lease."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    once = shelf.scripts.transport.exchange

    def twice(frame, replies, undo=None):  # type: ignore[no-untyped-def]
        once(frame, replies, undo)
        return once(frame, replies, undo)

    shelf.scripts.transport.exchange = twice  # type: ignore[method-assign]
    try:
        lease = early_lease(shelf, b"1")
    finally:
        shelf.scripts.transport.exchange = once  # type: ignore[method-assign]
    assert shelf.fill([(lease, b"new", HOUR)]) == 1


def test_a_group_that_another_loads_is_waited_for(shelf: Shelf, other: Shelf) -> None:
    """Who asks for columns that are not there waits for the one who loads the row anew."""
    shelf.put(b"1", b"value", NEARLY_OVER)
    lease = early_lease(shelf, b"1")
    assert other.read(b"1", field=OTHER_FIELD) is State.BEING_FILLED
    assert shelf.fill([(lease, b"new", HOUR)]) == 1
    assert other.read(b"1", field=OTHER_FIELD) is State.LEASED
