"""The load: threads that run operations, each in a session of its own, and measure them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache.cli.demo.access import AirportAccess
from sqlalchemy_rediscache.cli.demo.operations import Kind, Operation, Popularity, operations
from sqlalchemy_rediscache.cli.demo.settings import DemoError, DemoSettings
from sqlalchemy_rediscache.cli.demo.staleness import CommittedRevisions
from sqlalchemy_rediscache.errors import CacheError

PROGRESS_SECONDS = 0.1

Progress = Callable[[float, int], None]


def _latencies() -> dict[Kind, list[int]]:
    return {kind: [] for kind in Kind}


@dataclass(slots=True)
class LoadResult:
    """What a load did.

    Attributes:
        seconds: how long it took.
        latencies: nanoseconds of each operation, by kind.
        stale_reads: rows that a read gave older than they were when it started.
        checked_reads: rows that were checked for that.
        conflicts: updates that lost against another one and were tried again.
        airport_ids: the airports that were read or written.
    """

    seconds: float = 0.0
    latencies: dict[Kind, list[int]] = field(default_factory=_latencies)
    stale_reads: int = 0
    checked_reads: int = 0
    conflicts: int = 0
    airport_ids: set[int] = field(default_factory=set)

    @property
    def operations(self) -> int:
        """The number of operations."""
        return sum(len(values) for values in self.latencies.values())

    def add(self, other: LoadResult) -> None:
        """Add the operations of another thread; the seconds stay."""
        for kind, values in other.latencies.items():
            self.latencies[kind].extend(values)
        self.stale_reads += other.stale_reads
        self.checked_reads += other.checked_reads
        self.conflicts += other.conflicts
        self.airport_ids |= other.airport_ids


class Worker:
    """One thread of the load."""

    def __init__(
        self, access: AirportAccess, stream: Iterator[Operation], limit: int | None, stop: Event
    ) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            access: performs an operation.
            stream: the operations.
            limit: how many of them; None goes on until `stop`.
            stop: ends the thread after its current operation.
        """
        self.done = 0
        self.error: BaseException | None = None
        self.result = LoadResult()
        self._access = access
        self._stream = stream
        self._limit = limit
        self._stop = stop
        self._thread = Thread(target=self._run, name="rediscache-demo", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread's end, and say whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for operation in self._stream:
                if self._stop.is_set() or self.done == self._limit:
                    return
                self._measure(operation)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that joins
            self.error = error
            self._stop.set()

    def _measure(self, operation: Operation) -> None:
        result = self.result
        started = time.perf_counter_ns()
        outcome = self._access.perform(operation)
        result.latencies[operation.kind].append(time.perf_counter_ns() - started)
        result.stale_reads += outcome.stale
        result.checked_reads += outcome.checked
        result.conflicts += outcome.conflicts
        result.airport_ids.update(operation.airport_ids)
        self.done += 1


def run_load(
    factory: sessionmaker[Session],
    popularity: Popularity,
    committed: CommittedRevisions,
    settings: DemoSettings,
    progress: Progress,
) -> LoadResult:
    """Run the load to its end.

    Args:
        factory: makes the sessions, with or without a cache.
        popularity: which airports are asked for.
        committed: what has been committed so far; the load adds to it.
        settings: threads, share of writes, seed, and when to end.
        progress: is told the seconds since the start and the number of operations, ten times a
            second and at the end.

    Raises:
        DemoError: an operation failed; the others are stopped.
    """
    stop = Event()
    access = AirportAccess(factory, committed)
    workers = [
        Worker(
            access,
            operations(popularity, writes=settings.writes, seed=settings.seed, thread=number),
            _share(settings, number),
            stop,
        )
        for number in range(settings.threads)
    ]
    started = time.perf_counter()
    try:
        for worker in workers:
            worker.start()
        _watch(workers, started, None if settings.operations else settings.seconds, progress)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    result = _collect(workers, time.perf_counter() - started)
    progress(result.seconds, result.operations)
    return result


def _share(settings: DemoSettings, number: int) -> int | None:
    if settings.operations is None:
        return None
    each, rest = divmod(settings.operations, settings.threads)
    return each + (number < rest)


def _watch(
    workers: list[Worker], started: float, seconds: float | None, progress: Progress
) -> None:
    for worker in workers:
        while not worker.join(PROGRESS_SECONDS):
            elapsed = time.perf_counter() - started
            progress(elapsed, sum(each.done for each in workers))
            if seconds is not None and elapsed >= seconds:
                return


def _collect(workers: list[Worker], seconds: float) -> LoadResult:
    total = LoadResult(seconds=seconds)
    for worker in workers:
        if isinstance(worker.error, SQLAlchemyError | CacheError):
            raise DemoError(f"The load was stopped by an error: {worker.error}") from worker.error
        if worker.error is not None:
            raise worker.error
        total.add(worker.result)
    return total
