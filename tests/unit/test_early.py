"""When rows are loaded before they expire: XFetch, and what it is told of loads."""

from __future__ import annotations

import math
import random

import pytest

from sqlalchemy_rediscache import early
from sqlalchemy_rediscache.early import Loads, ahead_ms


class _Drawn:
    """Stands for the module `random`."""

    def __init__(self, *chances: float) -> None:
        self._chances = list(chances)

    def random(self) -> float:
        """The next of what was given."""
        return self._chances.pop(0)


def test_nothing_is_drawn_before_the_first_load() -> None:
    """A process that has loaded nothing of a kind does not know when to begin."""
    assert Loads(0).early_ms() == 0
    assert Loads(5000).early_ms() == 5000


def test_only_draws_that_are_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw under the time of a load itself is none; others are -ln(chance) times that."""
    loads = Loads(0)
    loads.note(0.010)
    monkeypatch.setattr(early, "random", _Drawn(0.0, 0.63, 0.64, 1 - math.exp(-3.001)))
    assert [loads.early_ms() for _ in range(4)] == [0, 0, 10, 30]


def test_the_longer_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stale_ttl a row that is over is loaded in any case, and before that if it was drawn."""
    loads = Loads(20)
    loads.note(0.010)
    monkeypatch.setattr(early, "random", _Drawn(0.0, 0.64, 1 - math.exp(-3.001)))
    assert [loads.early_ms() for _ in range(3)] == [20, 20, 30]


def test_loads_that_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a load that takes microseconds nobody notices when it is done."""
    loads = Loads(0)
    loads.note(0.000_020)
    monkeypatch.setattr(early, "random", _Drawn(0.99))
    assert loads.early_ms() == 0


def test_the_average_moves() -> None:
    """A slow load counts, and is forgotten in time."""
    loads = Loads(0)
    loads.note(0.080)
    assert loads.took_ms == pytest.approx(80)
    loads.note(0)
    assert loads.took_ms == pytest.approx(70)
    for _ in range(100):
        loads.note(0.002)
    assert loads.took_ms == pytest.approx(2, rel=0.01)


def test_draws_are_those_of_xfetch() -> None:
    """They are exponential: the time of a load on the average, and seldom much longer."""
    drawn = random.Random(7)
    found = [ahead_ms(5.0, drawn.random()) for _ in range(20_000)]
    assert sum(found) / len(found) == pytest.approx(5, rel=0.05)
    assert sum(one > 10 for one in found) / len(found) == pytest.approx(math.exp(-2), rel=0.1)
