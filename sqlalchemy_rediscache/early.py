"""Loading anew what is there, before it expires, so that not all who read find it gone at once.

XFetch: the chance that a reader loads it grows as the end comes near, and with the time that a load
takes. Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB
2015. The caller draws, since what a script of Redis calls random is the same in each of its calls.
"""

from __future__ import annotations

import math
import random
from typing import Final

_BETA: Final = 1.0
"""How eagerly things are loaded anew: 1 is the optimum of XFetch."""

_IN_TIME: Final = 1.0 - math.exp(-1.0 / _BETA)
"""From this chance on a load is begun sooner than it takes: it is done before the end."""

_WEIGHT: Final = 1 / 8
"""What the last load counts in the average of all."""


def ahead_ms(took_ms: float, chance: float) -> float:
    """How near its end a thing must be for a reader to load it anew.

    Args:
        took_ms: Milliseconds that its load takes.
        chance: Drawn from 0 to 1, without 1, for each reader.
    """
    return -took_ms * _BETA * math.log(1.0 - chance)


class Loads:
    """When to load rows of one kind anew.

    Args:
        stale_ms: Milliseconds for which they stay though they are to be loaded.

    Attributes:
        took_ms: How long their loads take in this process, a moving average; 0 before the first.
    """

    __slots__ = ("stale_ms", "took_ms")

    def __init__(self, stale_ms: int) -> None:
        self.stale_ms = stale_ms
        self.took_ms = 0.0

    def note(self, seconds: float) -> None:
        """A load took so long."""
        took_ms = seconds * 1000
        self.took_ms += (took_ms - self.took_ms) * _WEIGHT if self.took_ms else took_ms

    def early_ms(self) -> int:
        """With less than this to live a row is loaded anew by the reader who asks; 0 for no matter.

        Drawn for each reader. Draws that would have a load come too late all the same are taken for
        none: so most reads need not ask how long a row has to live.
        """
        took_ms, stale_ms = self.took_ms, self.stale_ms
        if took_ms:
            chance = random.random()  # noqa: S311 (not a secret)
            if chance >= _IN_TIME:
                return max(stale_ms, int(ahead_ms(took_ms, chance)))
        return stale_ms
