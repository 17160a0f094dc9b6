"""What is counted and not timed: round trips to Redis, SQL statements, bytes."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

from sqlalchemy_rediscache.cli.bench import operations
from sqlalchemy_rediscache.cli.bench.contestants import PREFIX, Contestant, World
from sqlalchemy_rediscache.cli.bench.targets import Count, Verdict

_REPEAT = 5
_SIZED_ROWS = 50


@dataclass(frozen=True)
class Calls:
    """What one operation sends.

    Args:
        title: what the operation is.
        round_trips: the most round trips to Redis that any of the repetitions needed.
        statements: the most SQL statements, BEGIN and COMMIT not counted.
        verdict: the target for the round trips, where there is one.
    """

    title: str
    round_trips: int
    statements: int
    verdict: Verdict | None


@dataclass(frozen=True)
class Size:
    """The space that one row takes in one form.

    Args:
        form: who stores it, and how.
        value: bytes of the value; for a hash, of its fields and their names.
        memory: bytes that the server says it uses for key and value; None where it does not say.
    """

    form: str
    value: int
    memory: int | None


def count_calls(world: World) -> dict[str, Calls]:
    """Return what the cached contestant sends for each kind of operation."""
    who, spare = world.rediscache, iter(world.spare)
    two = Count(2)

    def trips() -> int:
        return world.cache.stats().round_trips

    with counted_statements(who) as sent:

        def read(title: str, operation: Callable[[], object]) -> Calls:
            return _count(title, operation, (trips, sent), None)

        def write(title: str, make: Callable[[Callable[[], int]], Callable[[], int]]) -> Calls:
            return _count_part(title, make, (trips, sent), two)

        return {
            "get_hit": read("session.get, cached", operations.get_one(who, itertools.repeat(1))),
            "in_100": read(
                "100 rows by IN, cached",
                operations.select_in(who, itertools.repeat(list(world.hot[:100]))),
            ),
            "miss": read("session.get, not cached", operations.get_one(who, spare)),
            "update_one_commit": write(
                "commit of a 1-row update",
                lambda clock: operations.commit_one(who, world.hot_cycle(), clock),
            ),
            "flush_1000": write(
                "flush and commit of 1,000 rows",
                lambda clock: operations.flush_many(who, world.flushed, clock),
            ),
        }


def _count(
    title: str,
    operation: Callable[[], object],
    clocks: tuple[Callable[[], int], Callable[[], int]],
    target: Count | None,
) -> Calls:
    operation()  # loads scripts, warms what is to be warm
    most = [0, 0]
    for _ in range(_REPEAT):
        before = [clock() for clock in clocks]
        operation()
        spent = [clock() - start for clock, start in zip(clocks, before, strict=True)]
        most = [max(pair) for pair in zip(most, spent, strict=True)]
    return Calls(title, most[0], most[1], target.judge(most[0]) if target else None)


def _count_part(
    title: str,
    make: Callable[[Callable[[], int]], Callable[[], int]],
    clocks: tuple[Callable[[], int], Callable[[], int]],
    target: Count,
) -> Calls:
    most = []
    for clock in clocks:
        operation = make(clock)
        operation()
        most.append(max(operation() for _ in range(_REPEAT)))
    return Calls(title, most[0], most[1], target.judge(most[0]))


@contextmanager
def counted_statements(who: Contestant) -> Iterator[Callable[[], int]]:
    """Yield a counter of the SQL statements sent on the contestant's engine."""
    engine: Engine = who.factory.kw["bind"]
    sent = itertools.count(1)
    total = 0

    def seen(*_: Any) -> None:
        nonlocal total
        total = next(sent)

    event.listen(engine, "before_cursor_execute", seen)
    try:
        yield lambda: total
    finally:
        event.remove(engine, "before_cursor_execute", seen)


def measure_sizes(world: World) -> dict[str, Size]:
    """Return the bytes of a row: in this cache, in dogpile's, pickled, and in plain Redis forms."""
    ids = world.spare[-_SIZED_ROWS:]
    with world.no_cache.factory() as session:
        plain = session.get_one(world.no_cache.product, ids[0])
        pickled = world.recipe.serialized_size(plain)
    number = world.hot[0]
    return {
        "rediscache": _cached_size(world, ids),
        "dogpile": _dogpile_size(world, ids),
        "pickle": Size("the object, pickled", pickled, None),
        "hash": Size("a hash of 12 fields", *world.floor.sizes(world.floor.hash_key(number))),
        "packed": Size("values as one string", *world.floor.sizes(world.floor.packed_key(number))),
    }


def _new_keys(world: World, who: Contestant, ids: range, pattern: str) -> list[bytes]:
    before = set(world.floor.keys(pattern))
    load = operations.get_one(who, iter(ids))
    for _ in ids:
        load()
    return [key for key in world.floor.keys(pattern) if key not in before]


def _cached_size(world: World, ids: range) -> Size:
    wanted = {str(number).encode() for number in ids}
    new = _new_keys(world, world.rediscache, ids, f"{PREFIX}:*")
    rows = [key for key in new if key.rsplit(b":", 1)[-1] in wanted]
    return _median_size("rediscache, a hash", world, rows)


def _dogpile_size(world: World, ids: range) -> Size:
    new = _new_keys(world, world.dogpile, ids, f"{world.recipe.prefix}:*")
    return _median_size("dogpile, a string", world, new)


def _median_size(form: str, world: World, keys: list[bytes]) -> Size:
    sizes = [world.floor.sizes(key) for key in keys]
    if not sizes:
        return Size(f"{form} (none found)", 0, None)
    used = [memory for _, memory in sizes if memory is not None]
    value = statistics.median_low([length for length, _ in sizes])
    return Size(form, value, statistics.median_low(used) if used else None)
