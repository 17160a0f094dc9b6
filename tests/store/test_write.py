"""The scripts `lock`, `release` and `invalidate`: what a writer holds, publishes and empties."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from sqlalchemy_rediscache.store import HeldRows, LockWanted, Published, State
from tests.store.conftest import StoreMaker
from tests.store.shelf import FIELD, HOUR, OTHER_FIELD, Shelf, until

pytestmark = [pytest.mark.every_redis, pytest.mark.judged]


def test_a_lock_returns_the_values_it_takes_away(shelf: Shelf) -> None:
    """A writer is given what the rows had in the field it builds on, and the rows are empty."""
    shelf.put(b"1", b"one")
    shelf.put(b"1", b"group", field=OTHER_FIELD)
    _, _, values = shelf.lock(b"1", b"2")
    assert list(values) == [b"one", b""]
    assert shelf.read(b"1") is State.LOCKED
    assert shelf.read(b"1", field=OTHER_FIELD) is State.LOCKED


def test_a_lock_that_wants_no_values(shelf: Shelf) -> None:
    """No value is returned where none is asked for."""
    shelf.put(b"1", b"one")
    assert list(shelf.lock(b"1", field=b"")[2]) == [b""]
    assert shelf.read(b"1") is State.LOCKED


def test_rows_of_several_regions_are_locked_at_once(shelf: Shelf, other: Shelf) -> None:
    """One call holds rows of one region and the whole of another, whatever is known of them."""
    second = Shelf(shelf.scripts, b"second@x.0")
    theirs = Shelf(other.scripts, b"second@x.0")
    shelf.put(b"1", b"one")
    second.put(b"1", b"two")
    theirs.read(b"1")
    token = other.scripts.tokens.new()
    held = other.scripts.lock(
        [
            LockWanted(shelf.guard, shelf.prefix, [b"1"], [FIELD], whole=False),
            LockWanted(second.guard, second.prefix, (), (), whole=True),
        ],
        token,
    )
    assert [list(one.values) for one in held] == [[b"one"], []]
    assert shelf.read(b"1") is State.LOCKED
    assert second.read(b"1") is State.LOCKED


def test_a_writer_alone_publishes(shelf: Shelf, other: Shelf, redis_client: redis.Redis) -> None:
    """The new value is in the cache after the release, with its time to live."""
    token, generation, _ = shelf.lock(b"1", b"2")
    held = HeldRows(shelf.guard, shelf.prefix, generation, (b"1", b"2"), whole=False,
                    values=(Published(FIELD, b"new", 50_000), None))  # fmt: skip
    assert shelf.release_all([held], token) == 1
    assert other.read(b"1") == b"new"
    assert other.read(b"2") is State.LEASED
    assert redis_client.pttl(shelf.key(redis_client, b"1")) <= 50_000


def test_a_rollback_publishes_nothing(shelf: Shelf) -> None:
    """After a release without a value the row is empty and free."""
    shelf.put(b"1", b"old")
    token, generation, _ = shelf.lock(b"1")
    assert shelf.release(token, generation, b"1") == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


@pytest.mark.parametrize("first", [0, 1], ids=["in order", "other order"])
def test_two_writers_of_a_row_publish_nothing(shelf: Shelf, other: Shelf, first: int) -> None:
    """Neither knows whose COMMIT was the last: the row stays empty, whoever releases first."""
    shelf.put(b"1", b"old")
    one = shelf.lock(b"1")
    two = other.lock(b"1")
    assert list(one[2]) == [b"old"]
    assert list(two[2]) == [b""]
    order = [(shelf, one, b"first"), (other, two, b"second")]
    for who, (token, generation, _), value in order[first:] + order[:first]:
        assert shelf.read(b"1") is State.LOCKED
        assert who.release(token, generation, b"1", value=value) == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_three_writers_in_turn(shelf: Shelf, other: Shelf) -> None:
    """A writer that meets the rest of two others publishes nothing either."""
    one, two = shelf.lock(b"1"), other.lock(b"1")
    shelf.release(one[0], one[1], b"1", value=b"first")
    three = shelf.lock(b"1")
    assert other.release(two[0], two[1], b"1", value=b"second") == 0
    assert shelf.release(three[0], three[1], b"1", value=b"third") == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_the_next_writer_publishes_again(shelf: Shelf, other: Shelf) -> None:
    """Once all writers that met are gone, a writer alone publishes."""
    one, two = shelf.lock(b"1"), other.lock(b"1")
    shelf.release(one[0], one[1], b"1")
    other.release(two[0], two[1], b"1")
    three = shelf.lock(b"1")
    assert shelf.release(three[0], three[1], b"1", value=b"third") == 1
    assert other.read(b"1") == b"third"


def test_a_lock_sent_twice(shelf: Shelf) -> None:
    """A writer that repeats its lock after a lost answer holds the row alone, as before."""
    shelf.put(b"1", b"old")
    token, generation, values = shelf.lock(b"1")
    assert list(values) == [b"old"]
    _, again, values = shelf.lock(b"1", token=token)
    assert (again, list(values)) == (generation, [b""])
    assert shelf.release(token, generation, b"1", value=b"new") == 1


def test_a_region_lock_sent_twice(shelf: Shelf, other: Shelf) -> None:
    """Repeated, the region is still held, by one writer, until one release."""
    token, _, _ = shelf.lock()
    _, generation, _ = shelf.lock(token=token)
    assert other.read(b"1") is State.LOCKED
    shelf.release(token, generation)
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_a_release_sent_twice_empties(shelf: Shelf, other: Shelf) -> None:
    """The second can't know what came between: it leaves nothing that could be older."""
    token, generation, _ = shelf.lock(b"1")
    assert shelf.release(token, generation, b"1", value=b"new") == 1
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_a_late_second_release_harms_no_other_writer(shelf: Shelf, other: Shelf) -> None:
    """A release without its lock leaves the locks of others; they publish nothing then."""
    one = shelf.lock(b"1")
    shelf.release(one[0], one[1], b"1")
    two = other.lock(b"1")
    assert shelf.release(one[0], one[1], b"1", value=b"old") == 0
    assert shelf.read(b"1") is State.LOCKED
    assert other.release(two[0], two[1], b"1", value=b"new") == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_a_lost_lock_empties_its_rows(redis_url: str, new_store: StoreMaker, shelf: Shelf) -> None:
    """A writer whose COMMIT took too long removes what was filled meanwhile, and leases with it."""
    slow = Shelf(new_store(redis_url, lock_ttl=0.05).blocking)
    token, generation, _ = slow.lock(b"1", b"2")
    until(lambda: shelf.read(b"1") is State.LEASED)
    shelf.put(b"1", b"old")
    lease = shelf.lease(b"2")
    stamp = shelf.stamp()
    assert slow.release(token, generation, b"1", b"2", value=b"new") == 0
    assert shelf.read(b"1") is State.LEASED
    assert shelf.fill([(lease, b"old", 1000)]) == 0
    assert shelf.stamp() != stamp


def test_a_lost_region_lock_empties_the_region(
    redis_url: str, new_store: StoreMaker, shelf: Shelf
) -> None:
    """A bulk writer whose lock expired gives the region a new generation once more."""
    slow = Shelf(new_store(redis_url, lock_ttl=0.05).blocking)
    token, generation, _ = slow.lock()
    until(lambda: shelf.read(b"1") is State.LEASED)
    shelf.put(b"1", b"old")
    slow.release(token, generation)
    assert shelf.read(b"1") is State.LEASED


def test_an_evicted_row_lock_publishes_nothing(
    shelf: Shelf, other: Shelf, redis_client: redis.Redis
) -> None:
    """When Redis evicted the held row, its release can't tell who was there, and empties it."""
    token, generation, _ = shelf.lock(b"1")
    redis_client.delete(shelf.key(redis_client, b"1"))
    lease = other.look(b"1")[1][0]
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert lease is None or other.fill([(lease, b"old", 1000)]) == 0
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_an_evicted_guard_loses_its_locks(
    shelf: Shelf, other: Shelf, redis_client: redis.Redis
) -> None:
    """When Redis evicted the guard, the writer's release empties the row under its new name."""
    token, generation, _ = shelf.lock(b"1")
    redis_client.delete(shelf.guard)
    other.put(b"1", b"old")
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert other.look(b"1")[0].rows == [State.LEASED]


def test_a_generation_is_never_used_again(
    shelf: Shelf, other: Shelf, redis_client: redis.Redis
) -> None:
    """A release that finds the guard gone does not bring rows of its lock's generation back."""
    token, generation, _ = shelf.lock(b"1")  # makes the guard, and names its generation
    other.put(b"2", b"old")
    redis_client.delete(shelf.guard)
    shelf.release(token, generation, b"1")
    assert shelf.key(redis_client, b"1") != shelf.prefix + generation + b":1"
    assert shelf.read(b"2") is State.LEASED


@pytest.mark.parametrize("step", ["release", "region", "rows"])
def test_a_repeated_call_brings_no_stamp_back(shelf: Shelf, other: Shelf, step: str) -> None:
    """A call that is sent again after others wrote gives the region a new stamp, not its old."""
    sent: list[Any] = []
    once = shelf.scripts.transport.exchange

    def noted(frame, replies, undo=None):  # type: ignore[no-untyped-def]
        sent[:] = [(frame, replies)]
        return once(frame, replies, undo)

    post = shelf.scripts.transport.post
    token, generation, _ = shelf.lock(b"1")
    shelf.scripts.transport.exchange = noted  # type: ignore[method-assign]
    shelf.scripts.transport.post = (  # type: ignore[method-assign]
        lambda frame, replies, answered: answered(noted(frame, replies))  # type: ignore[no-untyped-call]
    )
    try:
        match step:
            case "release":
                shelf.release(token, generation, b"1")
                shelf.release(token, generation, b"1")
            case "region":
                shelf.invalidate()
            case _:
                shelf.invalidate(b"1")
    finally:
        shelf.scripts.transport.exchange = once  # type: ignore[method-assign]
        shelf.scripts.transport.post = post  # type: ignore[method-assign]
    stamp = other.stamp()
    theirs = other.lock(b"2")
    other.release(theirs[0], theirs[1], b"2")
    once(*sent[0])
    assert other.look(b"2", stamp=stamp)[0].rows == (State.OTHER_STAMP,)


@pytest.mark.parametrize("how", ["hold", "invalidate"])
def test_a_new_generation_promotes_open_writers(shelf: Shelf, other: Shelf, how: str) -> None:
    """A writer of rows whose names are no longer read keeps the whole region from being filled."""
    token, generation, _ = shelf.lock(b"1")
    if how == "hold":
        bulk, renewed, _ = other.lock()
        other.release(bulk, renewed)
    else:
        other.invalidate()
    assert other.read(b"1") is State.LOCKED
    assert other.read(b"2") is State.LOCKED
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert other.look(b"1")[0].rows == [State.LEASED]
    assert other.look(b"2")[0].rows == [State.LEASED]


def test_a_region_lock_empties_everything(shelf: Shelf, other: Shelf) -> None:
    """Rows, and leases of rows, are gone when a bulk writer begins, and stay gone."""
    shelf.put(b"1", b"old")
    lease = shelf.lease(b"2")
    token, generation, values = other.lock()
    assert list(values) == []
    assert shelf.read(b"1") is State.LOCKED
    assert other.release(token, generation) == 0
    assert shelf.read(b"1") is State.LEASED
    assert shelf.fill([(lease, b"old", 1000)]) == 0


def test_two_bulk_writers(shelf: Shelf, other: Shelf) -> None:
    """The region is free when the second of two bulk writers has released."""
    one, two = shelf.lock(), other.lock()
    shelf.release(one[0], one[1])
    assert shelf.read(b"1") is State.LOCKED
    other.release(two[0], two[1])
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_invalidated_rows_are_gone(shelf: Shelf, other: Shelf) -> None:
    """Values and leases of the rows go; other rows stay."""
    shelf.put(b"1", b"old")
    shelf.put(b"2", b"kept")
    other.invalidate(b"1", b"3")
    assert shelf.look(b"1")[0].rows == [State.LEASED]
    assert shelf.read(b"2") == b"kept"


def test_an_invalidated_region_is_gone(shelf: Shelf, other: Shelf) -> None:
    """No row of the old generation is read again; regions beside it are untouched."""
    beside = Shelf(shelf.scripts, b"beside@x.0")
    shelf.put(b"1", b"old")
    beside.put(b"1", b"kept")
    other.invalidate()
    assert shelf.read(b"1") is State.LEASED
    assert beside.read(b"1") == b"kept"


def test_invalidation_leaves_locks(shelf: Shelf, other: Shelf) -> None:
    """A writer keeps what it holds when somebody invalidates, and publishes nothing.

    It may build on a value that whoever invalidated knows to be wrong.
    """
    token, generation, _ = shelf.lock(b"1")
    other.invalidate(b"1")
    assert other.read(b"1") is State.LOCKED
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert shelf.look(b"1")[0].rows == [State.LEASED]


def test_invalidation_of_two_writers_rows(shelf: Shelf, other: Shelf) -> None:
    """That two writers met is not forgotten by an invalidation."""
    one, two = shelf.lock(b"1"), other.lock(b"1")
    other.invalidate(b"1")
    assert shelf.release(one[0], one[1], b"1", value=b"a") == 0
    assert other.release(two[0], two[1], b"1", value=b"b") == 0


def test_invalidation_by_one_who_knows_no_generation(shelf: Shelf, other: Shelf) -> None:
    """A process that never read the region empties the rows of the generation in force."""
    shelf.put(b"1", b"old")
    other.invalidate(b"1")
    assert shelf.read(b"1") is State.LEASED


def test_a_writer_who_knows_an_old_generation(shelf: Shelf, other: Shelf) -> None:
    """Lock and release find the rows under their new names."""
    shelf.read(b"1")
    other.invalidate()
    other.put(b"1", b"old")
    token, generation, values = shelf.lock(b"1")
    assert list(values) == [b"old"]
    assert other.read(b"1") is State.LOCKED
    assert shelf.release(token, generation, b"1", value=b"new") == 1
    assert other.read(b"1") == b"new"


@pytest.mark.parametrize("foreign", ["row", "guard"])
@pytest.mark.parametrize("step", ["lock", "release", "invalidate"])
def test_other_types_under_our_keys(
    shelf: Shelf, redis_client: redis.Redis, foreign: str, step: str
) -> None:
    """A writer replaces what is foreign, and nothing stale comes of it."""
    shelf.put(b"1", b"old")
    key = shelf.key(redis_client, b"1") if foreign == "row" else shelf.guard
    token, generation = b"", b""
    if step == "release":
        token, generation, _ = shelf.lock(b"1")
    redis_client.set(key, "foreign")
    match step:
        case "lock":
            token, generation, values = shelf.lock(b"1")
            assert list(values) == [b""]
            assert shelf.release(token, generation, b"1", value=b"new") == 1
            assert shelf.read(b"1") == b"new"
        case "release":
            assert shelf.release(token, generation, b"1", value=b"new") == 0
            assert shelf.read(b"1") is State.LEASED
        case _:
            shelf.invalidate(b"1")
            assert shelf.read(b"1") is State.LEASED


def test_clear_removes_a_prefix(shelf: Shelf, other: Shelf, redis_client: redis.Redis) -> None:
    """Rows under the pattern are deleted, guards get a new generation, other keys stay."""
    second = Shelf(shelf.scripts, b"second@x.0")
    for number in range(600):
        shelf.put(b"%d" % number, b"old", HOUR)
    second.put(b"1", b"old")
    token, generation, _ = other.lock(b"7")
    redis_client.set("t:2:{r}:x", "kept", ex=100)
    shelf.scripts.clear(b"t:1:*")
    assert shelf.read(b"1") is State.LOCKED
    assert other.release(token, generation, b"7", value=b"new") == 0
    left = {key for key in redis_client.scan_iter() if not key.endswith(b":guard")}
    assert left == {b"t:2:{r}:x"}
    assert second.read(b"1") is State.LEASED
    assert shelf.read(b"7") is State.LEASED


def test_many_locks_in_one_call(shelf: Shelf) -> None:
    """Five thousand rows are locked in one round trip and released in another."""
    names = [b"%d" % number for number in range(5000)]
    token, generation, values = shelf.lock(*names)
    assert len(values) == 5000
    assert shelf.release(token, generation, *names, value=b"v") == 5000
    assert shelf.read(b"4999") == b"v"
