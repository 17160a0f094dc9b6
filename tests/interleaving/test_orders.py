"""In every order of every step of writers and readers, no read is stale."""

from __future__ import annotations

import pytest

from tests.interleaving.conftest import Explore
from tests.interleaving.explorer import Scenario
from tests.interleaving.orders import DepthFirst, Sample
from tests.interleaving.scenarios import (
    EARLY,
    JOINED,
    KEYLESS,
    ONE_WRITER,
    QUERIES,
    REMEMBERED,
    SNAPSHOTS,
    TROUBLES,
    TWO_WRITERS,
)
from tests.servers import Database

ALL = (
    *ONE_WRITER, *TWO_WRITERS, *SNAPSHOTS, *TROUBLES, *QUERIES, *JOINED, *REMEMBERED, *KEYLESS,
    *EARLY,
)  # fmt: skip

each = pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.name)


@each
def test_some_orders(scenario: Scenario, explore: Explore, database: Database) -> None:
    """No read is stale in orders that interrupt an actor at most once, nor in random ones.

    The random orders are the same ones each time.
    """
    few = 12 if database.name == "sqlite" else 6
    assert explore(scenario, DepthFirst(switches=1, limit=few), Sample(few)).orders > few


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "scenario", [*ONE_WRITER[:2], KEYLESS[0], EARLY[0]], ids=lambda one: one.name
)
def test_every_order(scenario: Scenario, explore: Explore) -> None:
    """No read is stale in any order at all of one writer and two readers."""
    assert explore(scenario, DepthFirst()).complete


@pytest.mark.long
@each
def test_far_more_orders(scenario: Scenario, explore: Explore, database: Database) -> None:
    """No read is stale in every order there is, up to a number that takes some seconds.

    After those that follow from each other, orders with up to three interruptions, and random ones.
    """
    many = 80 if database.name == "sqlite" else 40
    tally = explore(
        scenario,
        DepthFirst(limit=4 * many),
        DepthFirst(switches=3, limit=many),
        Sample(many, seed=2),
    )
    assert tally.orders > many
