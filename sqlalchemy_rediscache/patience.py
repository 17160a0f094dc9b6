"""`Patience`: how long, and in which steps, a reader waits for what another is loading."""

from __future__ import annotations

import random
import time

_FIRST = 0.001
_LONGEST = 0.05
_GROWTH = 1.6


class Patience:
    """Pauses that grow, up to a time from the first of them.

    Args:
        seconds: How long to wait in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pause = _FIRST
        self._until = 0.0

    @property
    def begun(self) -> bool:
        """Has it waited already?"""
        return bool(self._until)

    def next(self) -> float | None:
        """Seconds to pause now, None when it is time to give up."""
        now = time.monotonic()
        if not self._until:
            self._until = now + self._seconds
        elif now > self._until:
            return None
        pause = self._pause * (0.5 + random.random())  # noqa: S311 (not a secret)
        self._pause = min(self._pause * _GROWTH, _LONGEST)
        return pause
