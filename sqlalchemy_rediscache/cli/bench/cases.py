"""The cases: who competes in each, at what, and what is to be reached."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sqlalchemy_rediscache.cli.bench import operations
from sqlalchemy_rediscache.cli.bench.contestants import (
    DOGPILE,
    ENABLED,
    NO_CACHE,
    NOT_ENABLED,
    REDISCACHE,
    World,
)
from sqlalchemy_rediscache.cli.bench.dataset import product_row
from sqlalchemy_rediscache.cli.bench.targets import Ceiling, Ratio
from sqlalchemy_rediscache.cli.bench.timing import Contender, Settings, Timing, part, whole

HGETALL = "HGETALL"
GET = "GET"
MGET = "MGET"
FLOOR = "session + GET"
STATEMENT_FLOOR = "session, statement, GET"
REFRESH_FLOOR = "begin + GET"
HOT_SUPPLIERS = 10

Build = Callable[[World, Settings, ExitStack], Sequence[Contender]]


@dataclass(frozen=True)
class Case:
    """One thing that is timed.

    Args:
        name: what `--only` and the JSON call it.
        title: what the table says.
        build: makes the contestants; what it opens goes on the stack.
        targets: what is to be reached.
        adapt: changes the settings for a case that needs other rounds.
        figure: which of a contestant's rounds is its time.
    """

    name: str
    title: str
    build: Build
    targets: tuple[Ratio | Ceiling, ...] = ()
    adapt: Callable[[Settings], Settings] = lambda settings: settings
    figure: Callable[[Timing], float] = Timing.best


def _bare_get(world: World) -> Callable[[], object]:
    ids = world.hot_cycle()
    return lambda: world.floor.get(next(ids))


def _get_hit(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    hashes = world.hot_cycle()
    bare = _bare_get(world)
    return [
        *(Contender(w.name, whole(operations.get_one(w, world.hot_cycle()))) for w in world.all),
        Contender(HGETALL, whole(lambda: world.floor.hgetall(next(hashes)))),
        Contender(GET, whole(bare)),
        Contender(FLOOR, whole(operations.session_and_command(world.no_cache, bare))),
    ]


def _refresh_after_commit(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    floor = operations.begin_and_command(world.no_cache, _bare_get(world), stack)
    return [
        *(
            Contender(w.name, part(operations.refresh_after_commit(w, world.hot[:20], stack)))
            for w in (world.no_cache, world.rediscache)
        ),
        Contender(REFRESH_FLOOR, part(floor)),
    ]


def _refresh_in_transaction(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, part(operations.refresh_in_transaction(w, world.hot[:20], stack)))
        for w in (world.no_cache, world.rediscache)
    ]


def _lazy_many_to_one(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, part(operations.lazy_supplier(w, world.hot_cycle()))) for w in world.all
    ]


def _in_100(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    hundreds = world.hot_hundreds()
    return [
        *(
            Contender(w.name, whole(operations.select_in(w, world.hot_hundreds())))
            for w in world.all
        ),
        Contender(MGET, whole(lambda: world.floor.mget(next(hundreds)))),
    ]


def _query_100(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, whole(operations.select_range(w, world.hot_starts()))) for w in world.all
    ]


def _aggregate(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(
            w.name, whole(operations.aggregate(w, itertools.cycle(range(1, HOT_SUPPLIERS + 1))))
        )
        for w in world.all
    ]


def _unique_key(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    uids = [product_row(number, world.suppliers)["uid"] for number in world.hot]
    cycle = functools.partial(itertools.cycle, uids)
    floor = operations.statement_and_command(world.no_cache, cycle(), _bare_get(world))
    return [
        *(Contender(w.name, whole(operations.by_unique_key(w, cycle()))) for w in world.all),
        Contender(STATEMENT_FLOOR, whole(floor)),
    ]


def _key_building(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    name = operations.name_query(world.cache, world.rediscache, itertools.cycle(range(1, 11)))
    return [Contender(REDISCACHE, whole(name))]


def _tags_commit(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    # Queries know every tag that the rows have: each writer has to look for them and change them.
    suppliers = operations.aggregate(
        world.rediscache, itertools.cycle(range(1, world.suppliers + 1))
    )
    for _ in range(world.suppliers):
        suppliers()
    uids = [product_row(number, world.suppliers)["uid"] for number in world.hot]
    row = operations.by_unique_key(world.rediscache, itertools.cycle(uids))
    for _ in uids:
        row()
    return [
        Contender(w.name, part(operations.commit_one(w, world.hot_cycle())))
        for w in (world.rediscache, world.unasked)
    ]


def _miss(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    # Every contestant reads every row once; calibration may take two rounds' worth.
    most = max(1, len(world.fresh) // (settings.rounds + 3))
    return [
        Contender(w.name, whole(operations.get_one(w, iter(world.fresh))), most) for w in world.all
    ]


def _update_one_commit(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, whole(operations.update_one(w, world.hot_cycle())))
        for w in (world.no_cache, world.rediscache)
    ]


def _commit_only(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, part(operations.commit_one(w, world.hot_cycle())))
        for w in (world.no_cache, world.rediscache)
    ]


def _flush_1000(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, part(operations.flush_many(w, world.flushed)), max_loops=1)
        for w in (world.no_cache, world.rediscache)
    ]


def _plain_get(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
    return [
        Contender(w.name, whole(operations.get_one(w, world.hot_cycle())))
        for w in (world.not_enabled, world.enabled)
    ]


def _plain_select(size: int) -> Build:
    def build(world: World, settings: Settings, stack: ExitStack) -> list[Contender]:
        def lists() -> Iterator[list[int]]:
            return (ids[:size] for ids in world.hot_hundreds())

        return [
            Contender(w.name, whole(operations.select_in(w, lists())))
            for w in (world.not_enabled, world.enabled)
        ]

    return build


def _many_short_rounds(settings: Settings) -> Settings:
    """A difference of 2 % drowns in the drift between long rounds: take short ones, and many."""
    return replace(settings, rounds=settings.rounds * 20, seconds=settings.seconds / 20)


def _cost_case(name: str, title: str, build: Build) -> Case:
    """A case of a model without the mixin: the lower quartile is steadier than the best round."""
    targets = (Ratio("slower", ENABLED, NOT_ENABLED, 1.02),)
    return Case(name, title, build, targets, _many_short_rounds, Timing.lower_quartile)


def _rows() -> tuple[Case, ...]:
    """Rows by key."""
    return (
        Case(
            "get_hit",
            "session.get, cached",
            _get_hit,
            (
                Ratio("faster", REDISCACHE, NO_CACHE, 10, FLOOR),
                Ratio("faster", REDISCACHE, DOGPILE, 5, FLOOR),
                Ratio("slower", REDISCACHE, HGETALL, 1.6),
            ),
        ),
        Case(
            "refresh_expired",
            "refresh after commit",
            _refresh_after_commit,
            (Ratio("faster", REDISCACHE, NO_CACHE, 8, REFRESH_FLOOR),),
        ),
        Case("refresh_in_transaction", "refresh in a transaction", _refresh_in_transaction),
        Case("lazy_many_to_one", "lazy many-to-one", _lazy_many_to_one),
        Case(
            "in_100",
            "100 rows by IN, cached",
            _in_100,
            (Ratio("faster", REDISCACHE, NO_CACHE, 2.3),),
        ),
        Case(
            "miss",
            "session.get, not cached",
            _miss,
            (Ratio("slower", REDISCACHE, NO_CACHE, 1.3),),
        ),
    )


def _queries() -> tuple[Case, ...]:
    """Queries, and rows by another key."""
    return (
        Case(
            "query_100",
            "100 rows by a query, cached",
            _query_100,
            (Ratio("faster", REDISCACHE, NO_CACHE, 2), Ratio("faster", REDISCACHE, DOGPILE, 3.5)),
        ),
        Case(
            "aggregate",
            "count and sum, cached",
            _aggregate,
            (Ratio("faster", REDISCACHE, NO_CACHE, 5),),
        ),
        Case(
            "unique_key",
            "a row by a unique column, cached",
            _unique_key,
            (Ratio("faster", REDISCACHE, NO_CACHE, 6, STATEMENT_FLOOR),),
        ),
        Case(
            "key_building",
            "a query's name and tags",
            _key_building,
            (Ceiling(REDISCACHE, 30),),
        ),
    )


def _writes() -> tuple[Case, ...]:
    """Commits."""
    return (
        Case("update_one_commit", "load, change, commit", _update_one_commit),
        Case("commit_only", "of that, the commit", _commit_only),
        Case("tags_commit", "the commit, where queries know the row", _tags_commit),
        Case("flush_1000", "flush and commit 1,000 rows", _flush_1000),
    )


def _costs() -> tuple[Case, ...]:
    """What models without the cache pay."""
    return (
        _cost_case("plain_get", "plain model: session.get", _plain_get),
        _cost_case("plain_select_1", "plain model: 1 row by IN", _plain_select(1)),
        _cost_case("plain_select_100", "plain model: 100 rows by IN", _plain_select(100)),
    )


def all_cases() -> tuple[Case, ...]:
    """Return the cases in the order of the report."""
    return (*_rows(), *_queries(), *_writes(), *_costs())
