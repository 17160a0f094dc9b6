"""A row that is invalidated while a writer holds it."""

from __future__ import annotations

from tests.interleaving.conftest import Explore
from tests.interleaving.orders import Given
from tests.interleaving.scenarios import INVALIDATES


def test_invalidate_beside_a_writer(explore: Explore) -> None:
    """A writer publishes nothing built on a value that was invalidated since its lock.

    Another program committed, then this writer locked, then the row was invalidated.
    """
    w, x, r = range(3)
    explore(INVALIDATES, Given([x, w, w, x, w, w, r]))
