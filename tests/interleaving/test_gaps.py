"""Orders that are known to make a read stale: each test fails as soon as its gap is closed."""

from __future__ import annotations

import pytest

from tests.interleaving.conftest import Explore
from tests.interleaving.explorer import Scenario
from tests.interleaving.orders import DepthFirst
from tests.interleaving.scenarios import GAPS


@pytest.mark.databases("sqlite")
@pytest.mark.xfail(reason="see the scenario", strict=True)
@pytest.mark.parametrize("scenario", GAPS, ids=lambda one: one.name)
def test_known_gap(scenario: Scenario, explore: Explore) -> None:
    """Some order of the scenario makes a read stale, or leaves a transaction open."""
    explore(scenario, DepthFirst(switches=2, limit=1500))
