"""What the demo's threads do: a stream of operations that depends on the seed alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from random import Random

BATCH_SIZE = 20
LAZY_SHARE = 0.25
BATCH_SHARE = 0.15


class Kind(StrEnum):
    """The kinds of operation."""

    GET = "get"
    LAZY = "lazy"
    BATCH = "batch"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as one web request would do it.

    Attributes:
        kind: what to do.
        airport_ids: the airports it is about; more than one only for `Kind.BATCH`.
        variant: a number that decides what a write reports.
    """

    kind: Kind
    airport_ids: tuple[int, ...]
    variant: int = 0


class Popularity:
    """A Zipf distribution over airports: the airport of rank r is asked for 1/r**skew as often."""

    def __init__(self, airport_ids: Sequence[int], skew: float, seed: int) -> None:
        """Rank the airports by chance.

        Args:
            airport_ids: the airports; at least one.
            skew: the exponent; 0 asks for all airports equally often.
            seed: decides the ranks.
        """
        self._ids = list(airport_ids)
        Random(f"ranks {seed}").shuffle(self._ids)
        self._cumulative = list(accumulate(rank**-skew for rank in range(1, len(self._ids) + 1)))

    def pick(self, random: Random) -> int:
        """Pick an airport."""
        position = bisect_right(self._cumulative, random.random() * self._cumulative[-1])
        return self._ids[min(position, len(self._ids) - 1)]

    def pick_distinct(self, random: Random, count: int) -> tuple[int, ...]:
        """Pick `count` different airports, or all of them where there are fewer."""
        if count >= len(self._ids):
            return tuple(self._ids)
        picked: dict[int, None] = {}
        while len(picked) < count:
            picked[self.pick(random)] = None
        return tuple(picked)


def operations(
    popularity: Popularity, *, writes: float, seed: int, thread: int
) -> Iterator[Operation]:
    """Give the endless stream of operations of one thread.

    Args:
        popularity: which airports are asked for.
        writes: part of the operations that write, 0 to 1.
        seed: with `thread`, decides the stream.
        thread: number of the thread.
    """
    random = Random(f"operations {seed} {thread}")
    while True:
        if random.random() < writes:
            yield Operation(Kind.WRITE, (popularity.pick(random),), random.getrandbits(32))
            continue
        share = random.random()
        if share < BATCH_SHARE:
            yield Operation(Kind.BATCH, popularity.pick_distinct(random, BATCH_SIZE))
        elif share < BATCH_SHARE + LAZY_SHARE:
            yield Operation(Kind.LAZY, (popularity.pick(random),))
        else:
            yield Operation(Kind.GET, (popularity.pick(random),))
