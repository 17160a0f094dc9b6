"""Each safeguard of the protocol is needed: without it, the explorer finds a stale read."""

from __future__ import annotations

import pytest

from tests.interleaving.conftest import MakeWorld
from tests.interleaving.explorer import Explorer, Wrong
from tests.interleaving.orders import DepthFirst, Sample
from tests.interleaving.sabotage import SAFEGUARDS, Safeguard
from tests.interleaving.test_orders import ALL


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda one: one.off.__name__)
def test_safeguard_is_needed(
    safeguard: Safeguard, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one safeguard switched off, some order makes a read stale."""
    (scenario,) = (one for one in ALL if one.name == safeguard.scenario)
    world = make_world(scenario)
    safeguard.off(world, monkeypatch)
    explorer = Explorer(world, scenario)

    def explore() -> None:
        for orders in (DepthFirst(switches=2, limit=600), Sample(1500)):
            explorer.run(orders)

    with pytest.raises(Wrong) as found:
        explore()
    print(found.value)  # noqa: T201 - shown by `pytest -rP`: the order that goes wrong
