"""Each safeguard of the protocol is needed: without it, the explorer finds a stale read."""

from __future__ import annotations

import pytest

from tests.interleaving.conftest import MakeWorld
from tests.interleaving.explorer import Explorer, Wrong
from tests.interleaving.orders import DepthFirst, Sample
from tests.interleaving.sabotage import SAFEGUARDS, Safeguard
from tests.interleaving.test_orders import ALL

each = pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda one: one.off.__name__)


@each
@pytest.mark.databases("sqlite")
def test_safeguard_is_needed(
    safeguard: Safeguard, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one safeguard switched off, some order makes a read stale."""
    _find_stale_read(safeguard, make_world, monkeypatch)


@each
@pytest.mark.long
@pytest.mark.databases("postgresql")
def test_safeguard_is_needed_there_too(
    safeguard: Safeguard, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds on a database whose writers wait for rows, not for each other."""
    _find_stale_read(safeguard, make_world, monkeypatch)


def _find_stale_read(
    safeguard: Safeguard, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
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
