"""One run of the benchmark, from the servers to the figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from sqlalchemy import Engine, create_engine

from sqlalchemy_rediscache.cli.bench import counting, dataset, facts, servers
from sqlalchemy_rediscache.cli.bench.cases import Case, all_cases
from sqlalchemy_rediscache.cli.bench.check import check_answers
from sqlalchemy_rediscache.cli.bench.contestants import World, assembled
from sqlalchemy_rediscache.cli.bench.counting import Calls, Size
from sqlalchemy_rediscache.cli.bench.targets import Verdict
from sqlalchemy_rediscache.cli.bench.timing import Settings, Timing, measure
from sqlalchemy_rediscache.cli.demo.progress import stage

ROUND_TRIPS = "round_trips"
BYTES = "bytes"


@dataclass(frozen=True)
class Plan:
    """What a run measures, where and for how long.

    Args:
        settings: the length of the rounds and their number.
        products: rows of the product table.
        suppliers: rows of the supplier table.
        only: names of the cases to run; empty for all.
        redis_url: a Redis server; None to start one.
        database_url: a database; None to start a PostgreSQL.
        pin: keep this process, and with it the servers that it starts, on one processor.
    """

    settings: Settings
    products: int
    suppliers: int
    only: frozenset[str] = frozenset()
    redis_url: str | None = None
    database_url: str | None = None
    pin: bool = False

    def wants(self, name: str) -> bool:
        """Return whether the case `name` is to run."""
        return not self.only or name in self.only


@dataclass(frozen=True)
class CaseResult:
    """What one timed case gave."""

    case: Case
    timings: dict[str, Timing]
    verdicts: tuple[Verdict, ...]

    @property
    def times(self) -> dict[str, float]:
        """The figure of each contestant, in microseconds."""
        return {name: self.case.figure(timing) for name, timing in self.timings.items()}


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    plan: Plan
    facts: dict[str, Any]
    cases: tuple[CaseResult, ...]
    calls: dict[str, Calls]
    sizes: dict[str, Size]

    @property
    def verdicts(self) -> list[Verdict]:
        """All targets of the run."""
        timed = [verdict for result in self.cases for verdict in result.verdicts]
        counted = [each.verdict for each in self.calls.values() if each.verdict]
        return timed + counted


def case_names() -> list[str]:
    """Return the names that `Plan.only` may have."""
    return [*(case.name for case in all_cases()), ROUND_TRIPS, BYTES]


def run_bench(plan: Plan, console: Console) -> Outcome:
    """Run the benchmark.

    Args:
        plan: what to measure.
        console: where progress is shown.

    Returns:
        The figures.

    Raises:
        CacheError: Redis can't be used as configured, or a contestant gave a wrong answer.
        SQLAlchemyError: the database can't be used.
    """
    if plan.pin:
        _pin()
    with ExitStack() as stack:
        console.print("starting the servers ...", highlight=False)
        where = stack.enter_context(servers.running(plan.redis_url, plan.database_url))
        engine = create_engine(where.database_url)
        stack.callback(engine.dispose)
        _fill(plan, engine, console)
        stack.callback(dataset.drop_tables, engine)
        world = stack.enter_context(assembled(where, engine, plan.products, plan.suppliers))
        check_answers(world)
        found = facts.gather(engine, world.floor, where)
        cases = tuple(
            _time(case, plan, world, console) for case in all_cases() if plan.wants(case.name)
        )
        calls = counting.count_calls(world) if plan.wants(ROUND_TRIPS) else {}
        sizes = counting.measure_sizes(world) if plan.wants(BYTES) else {}
        found["load_average_at_end"] = facts.load_average()
        return Outcome(plan, found, cases, calls, sizes)


def _fill(plan: Plan, engine: Engine, console: Console) -> None:
    dataset.create_tables(engine)
    with stage(console, "filling the tables", plan.products) as shown:
        for done in dataset.fill_tables(engine, plan.products, plan.suppliers):
            shown.update(done, f"{done:,} rows")


def _time(case: Case, plan: Plan, world: World, console: Console) -> CaseResult:
    settings = case.adapt(plan.settings)
    with ExitStack() as stack, stage(console, case.title, settings.rounds) as shown:
        contenders = case.build(world, settings, stack)
        timings = measure(contenders, settings, _ticker(shown.update))
    times = {name: case.figure(timing) for name, timing in timings.items()}
    return CaseResult(case, timings, tuple(target.judge(times) for target in case.targets))


def _ticker(update: Callable[[float], None]) -> Callable[[], None]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        update(done)

    return tick


def _pin() -> None:
    """Move to one processor; what is started from now on inherits that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
