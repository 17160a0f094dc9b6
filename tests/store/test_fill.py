"""The script `fill`: what a reader loaded gets in only under its lease."""

from __future__ import annotations

import pytest
import redis

from sqlalchemy_rediscache.store import State
from tests.store.conftest import StoreMaker
from tests.store.shelf import HOUR, OTHER_FIELD, Shelf, until

pytestmark = [pytest.mark.every_redis, pytest.mark.judged]


def test_a_fill_is_accepted_once(shelf: Shelf) -> None:
    """The lease is used up by its fill."""
    lease = shelf.lease(b"1")
    assert shelf.fill([(lease, b"value", 1000)]) == 1
    assert shelf.fill([(lease, b"again", 1000)]) == 0
    assert shelf.read(b"1") == b"value"


def test_a_fill_keeps_the_guard_alive(shelf: Shelf, redis_client: redis.Redis) -> None:
    """The guard of a region that is only read does not expire under its rows."""
    lease = shelf.lease(b"1")
    redis_client.pexpire(shelf.guard.decode(), 100_000)
    assert shelf.fill([(lease, b"value", HOUR)]) == 1
    assert redis_client.pttl(shelf.guard.decode()) > HOUR


@pytest.mark.parametrize("between", ["lock", "lock and release", "region", "invalidate row",
                                     "invalidate region", "clear", "published"])  # fmt: skip
def test_a_fill_after_a_write_is_refused(shelf: Shelf, other: Shelf, between: str) -> None:
    """What was loaded before any kind of write is never stored after it."""
    lease = shelf.lease(b"1")
    match between:
        case "lock":
            other.lock(b"1")
        case "lock and release":
            token, generation, _ = other.lock(b"1")
            other.release(token, generation, b"1")
        case "published":
            token, generation, _ = other.lock(b"1")
            assert other.release(token, generation, b"1", value=b"new") == 1
        case "region":
            token, generation, _ = other.lock()
            other.release(token, generation)
        case "invalidate row":
            other.invalidate(b"1")
        case "invalidate region":
            other.invalidate()
        case "clear":
            other.scripts.clear(b"t:1:*")
    assert shelf.fill([(lease, b"old", 1000)]) == 0
    assert shelf.read(b"1") != b"old"
    assert other.read(b"1") == (b"new" if between == "published" else other.read(b"1"))


def test_a_fill_under_anothers_lease_is_refused(
    redis_url: str, new_store: StoreMaker, shelf: Shelf
) -> None:
    """A reader that was too slow does not fill under the lease of the next."""
    slow = Shelf(new_store(redis_url, lease_ttl=0.02).blocking)
    lease = slow.lease(b"1")
    until(lambda: shelf.look(b"1")[1][0] is not None)
    assert slow.fill([(lease, b"old", 1000)]) == 0


def test_a_lease_is_given_back(shelf: Shelf, other: Shelf) -> None:
    """A lease that came to nothing is free for the next reader at once."""
    lease = shelf.lease(b"1")
    assert other.read(b"1") is State.BEING_FILLED
    assert shelf.fill([(lease, b"", 0)]) == 0
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_a_batch_is_filled_row_by_row(shelf: Shelf, other: Shelf) -> None:
    """Of a batch, the rows that were not written meanwhile get in."""
    _, leases = shelf.look(b"1", b"2", b"3")
    other.invalidate(b"2")
    entries = [(lease, b"v", 1000) for lease in leases if lease is not None]
    entries[2] = (entries[2][0], b"", 0)
    assert shelf.fill(entries) == 1
    reading = shelf.look(b"1", b"2", b"3", lease=False)[0]
    assert list(reading.rows) == [b"v", State.ABSENT, State.ABSENT]


def test_a_value_has_its_time_to_live(shelf: Shelf, redis_client: redis.Redis) -> None:
    """The row expires when its value does, whatever the lease's time was."""
    shelf.put(b"1", b"value", 500_000)
    shelf.put(b"2", b"value", 1_000)
    assert 400_000 < redis_client.pttl(shelf.key(redis_client, b"1")) <= 500_000
    assert redis_client.pttl(shelf.key(redis_client, b"2")) <= 1_000


def test_fields_of_a_row_share_the_shortest_time(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A second field shortens the row's time when it is due sooner, and never lengthens it."""
    shelf.put(b"1", b"value", 500_000)
    shelf.put(b"1", b"more", 100_000, OTHER_FIELD)
    key = shelf.key(redis_client, b"1")
    assert 50_000 < redis_client.pttl(key) <= 100_000
    shelf.fill([(shelf.lease(b"1", b"grp:third"), b"most", 900_000)])
    assert redis_client.pttl(key) <= 100_000
    assert shelf.read(b"1") == b"value"
    assert shelf.read(b"1", field=OTHER_FIELD) == b"more"


def test_a_lease_keeps_no_value_alive(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A lease beside a value goes with it: who asks for what can't be filled prolongs nothing."""
    shelf.put(b"1", b"value", 5_000)
    lease = shelf.lease(b"1", OTHER_FIELD)
    key = shelf.key(redis_client, b"1")
    assert redis_client.pttl(key) <= 5_000
    redis_client.delete(key)
    assert shelf.fill([(lease, b"value", 1000)]) == 0


@pytest.mark.parametrize("foreign", ["row", "guard"])
def test_a_fill_onto_another_type(shelf: Shelf, redis_client: redis.Redis, foreign: str) -> None:
    """A fill leaves what it does not know alone, and is refused."""
    lease = shelf.lease(b"1")
    key = lease.row if foreign == "row" else lease.guard
    redis_client.set(key, "foreign", ex=100)
    assert shelf.fill([(lease, b"value", 1000)]) == 0
    assert redis_client.get(key) == b"foreign"
