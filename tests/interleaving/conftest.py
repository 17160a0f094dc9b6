"""Fixtures of the explorer, and the lines of the summary that say how much was explored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from tests.interleaving.explorer import Explorer, Scenario, Tally
from tests.interleaving.orders import Orders
from tests.interleaving.world import Aging, Filed, Item, Model, Plain, World
from tests.servers import Database

_PROPERTY = "explored"

MakeWorld = Callable[[Scenario], World]


class Explore(Protocol):
    """Explores a scenario."""

    def __call__(self, scenario: Scenario, *orders: Orders) -> Tally:
        """Run orders, one kind after the other."""


@pytest.fixture
def make_world(database: Database, redis_url: str) -> Iterator[MakeWorld]:
    """Make the world of a scenario, closed after the test."""
    made: list[World] = []

    def make(scenario: Scenario) -> World:
        world = World(
            database,
            redis_url,
            model=_model(scenario),
            processes=len(scenario.roles) if scenario.apart else 1,
            snapshots=scenario.snapshots,
            options=scenario.options,
        )
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


def _model(scenario: Scenario) -> Model:
    if scenario.filed:
        return Filed
    if scenario.aging:
        return Aging
    return Plain if scenario.invalidate else Item


@pytest.fixture
def explore(
    make_world: MakeWorld, record_property: Callable[[str, object], None], database: Database
) -> Explore:
    """Explore a scenario, and have the summary say how far."""

    def run(scenario: Scenario, *orders: Orders) -> Tally:
        explorer = Explorer(make_world(scenario), scenario)
        tally = Tally()
        for some in orders:
            tally += explorer.run(some)
        whole = "all" if tally.complete else "some"
        record_property(_PROPERTY, f"{database.name}|{scenario.name}|{tally.orders}|{whole}")
        return tally

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each database and, with -v, for each scenario."""
    found = [
        str(value).split("|")
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call" and report.passed
        for key, value in report.user_properties
        if key == _PROPERTY
    ]
    if not found:
        return
    terminalreporter.section("interleavings", sep="-")
    for name in sorted({database for database, *_ in found}):
        own = [one for one in found if one[0] == name]
        whole = sum(one[3] == "all" for one in own)
        terminalreporter.line(
            f"{name}: {sum(int(one[2]) for one in own)} orders of steps in {len(own)} scenarios "
            f"({whole} of them explored completely), 0 stale reads"
        )
        if terminalreporter.config.get_verbosity() > 0:
            for _, scenario, orders, extent in own:
                terminalreporter.line(f"  {scenario}: {extent} {orders}")
