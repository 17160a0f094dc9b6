"""Fair timing: rounds of all contestants interleaved, so that noise hits them alike."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Contender:
    """One contestant of a case.

    Args:
        name: the contestant's name.
        run: does its operation as many times as it is told, and returns the nanoseconds that
            count.
        max_loops: the most operations that one round may have.
    """

    name: str
    run: Callable[[int], int]
    max_loops: int = 1_000_000


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Args:
        rounds: rounds for each contestant.
        seconds: the length of a round, in seconds; the number of operations follows from it.
        loops: operations in each round; overrides `seconds`.
    """

    rounds: int = 15
    seconds: float = 0.1
    loops: int | None = None


@dataclass(frozen=True)
class Timing:
    """The rounds of one contestant, in microseconds for an operation."""

    loops: int
    rounds: tuple[float, ...]

    def best(self) -> float:
        """The fastest round: the figure that other programs on the machine disturb least."""
        return min(self.rounds)

    def lower_quartile(self) -> float:
        """The round that a quarter of the rounds do not exceed."""
        return sorted(self.rounds)[len(self.rounds) // 4]

    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.rounds)


def whole(operation: Callable[[], object]) -> Callable[[int], int]:
    """Return a `Contender.run` that times a loop of `operation`."""

    def run(loops: int) -> int:
        start = perf_counter_ns()
        for _ in range(loops):
            operation()
        return perf_counter_ns() - start

    return run


def part(operation: Callable[[], int]) -> Callable[[int], int]:
    """Return a `Contender.run` that adds up what `operation` says that it measured itself."""

    def run(loops: int) -> int:
        return sum(operation() for _ in range(loops))

    return run


def measure(
    contenders: Sequence[Contender], settings: Settings, tick: Callable[[], None]
) -> dict[str, Timing]:
    """Time `contenders` in turn, round by round, and call `tick` after each round of all."""
    loops = {c.name: _calibrate(c, settings) for c in contenders}
    rounds: dict[str, list[float]] = {c.name: [] for c in contenders}
    with _frozen_heap():
        for number in range(settings.rounds):
            # Each round begins with another contestant: none always follows the same one.
            shift = number % len(contenders)
            for contender in (*contenders[shift:], *contenders[:shift]):
                count = loops[contender.name]
                with _no_gc():
                    spent = contender.run(count)
                rounds[contender.name].append(spent / count / 1000)
            tick()
    return {c.name: Timing(loops[c.name], tuple(rounds[c.name])) for c in contenders}


def _calibrate(contender: Contender, settings: Settings) -> int:
    """Warm the contestant up, and return how many operations fill a round."""
    if settings.loops is not None:
        loops = min(settings.loops, contender.max_loops)
        contender.run(min(loops, 5))
        return loops
    loops = 1
    while True:
        start = perf_counter_ns()
        contender.run(loops)
        spent = (perf_counter_ns() - start) / _NS_PER_SECOND
        if spent >= settings.seconds / 4 or loops >= contender.max_loops:
            return max(1, min(contender.max_loops, round(loops * settings.seconds / spent)))
        loops = min(contender.max_loops, loops * 2)


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Keep what is there now out of the collections between rounds, which would take longer."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
