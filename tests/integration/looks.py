"""Looks at what is cached: by the cache, until all of it is there, and beside the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.integration.stage import Count, Stage


class Looks:
    """What a module's tests look at, before and after a write.

    Args:
        look: Reads it all with a session.
    """

    def __init__(self, look: Callable[[Session], dict[str, Any]]) -> None:
        self._look = look

    def counted(self, stage: Stage) -> tuple[dict[str, Any], Count]:
        """What is there, by the cache, and what it took."""
        with stage.counting() as count, stage.Session() as session:
            found = self._look(session)
        return found, count

    def warmed(self, stage: Stage) -> None:
        """Have all of it come from the cache."""
        for _ in range(9):  # a snapshot is served of regions alone whose stamp was known before it
            if self.counted(stage)[1].selects == 0:
                return
        pytest.fail("it does not become warm")

    def right(self, stage: Stage) -> Count:
        """What the cache gives is what the database has."""
        found, count = self.counted(stage)
        with stage.Plain() as session:
            assert found == self._look(session)
        return count
