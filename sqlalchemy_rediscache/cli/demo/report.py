"""The figures of a run: as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from sqlalchemy_rediscache.cli.demo.load import LoadResult
from sqlalchemy_rediscache.cli.demo.operations import BATCH_SIZE, Kind
from sqlalchemy_rediscache.cli.demo.settings import DemoSettings

KIND_TITLES: Final[Mapping[Kind, str]] = {
    Kind.GET: "session.get(Airport, id)",
    Kind.LAZY: "get, 3 lazy many-to-one",
    Kind.BATCH: f"IN batch of {BATCH_SIZE} airports",
    Kind.WRITE: "update and insert, commit",
}
SQLITE_NOTE = (
    "SQLite answers inside this process, without a network: here a cache saves SQL statements "
    "rather than time. See a database server's gain with --database-url."
)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the operations of one kind took.

    Attributes:
        operations: how many there were.
        p50_us: the median, in microseconds; None without operations.
        p99_us: the 99th percentile, in microseconds; None without operations.
    """

    operations: int
    p50_us: float | None
    p99_us: float | None


@dataclass(frozen=True, slots=True)
class HalfReport:
    """The figures of one half of a run, without or with the cache.

    Attributes:
        name: "no cache" or "cache".
        seconds: how long the load ran.
        operations: the number of operations.
        latency: by kind of operation.
        sql_statements: what the load sent to the database.
        hit_ratio: the cache's hits by its look-ups; None without a cache.
        conflicts: updates that lost against another one and were tried again.
        checked_reads: rows that were checked for being stale while the load ran.
        stale_reads: those that were.
        compared_rows: rows that were compared with the database after the load.
        compared_from_cache: how many of these the cache answered.
        different_rows: those that differed.
    """

    name: str
    seconds: float
    operations: int
    latency: dict[Kind, Latency]
    sql_statements: int
    hit_ratio: float | None
    conflicts: int
    checked_reads: int
    stale_reads: int
    compared_rows: int
    compared_from_cache: int
    different_rows: int

    @property
    def operations_per_second(self) -> float:
        """Operations per second, over all threads."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def sql_per_operation(self) -> float:
        """SQL statements that an operation took on average."""
        return self.sql_statements / self.operations if self.operations else 0.0


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The figures of a run.

    Attributes:
        settings: what was asked for.
        database: the database, without a password.
        server: the Redis server, without a password.
        rows: rows of the data set.
        airports: airports of the data set.
        halves: without the cache, then with it.
    """

    settings: DemoSettings
    database: str
    server: str
    rows: int
    airports: int
    halves: tuple[HalfReport, ...]

    @property
    def stale(self) -> int:
        """Stale reads and differing rows of both halves; anything but 0 is a fault."""
        return sum(half.stale_reads + half.different_rows for half in self.halves)

    def as_json(self) -> dict[str, Any]:
        """Give the figures as values that JSON knows."""
        settings = asdict(self.settings)
        settings.update(url=self.server, database_url=self.database)
        return {
            "settings": settings,
            "data": {"rows": self.rows, "airports": self.airports},
            "runs": [_half_as_json(half) for half in self.halves],
            "stale": self.stale,
        }


def summarise_latencies(result: LoadResult) -> dict[Kind, Latency]:
    """Give the percentiles of each kind of operation."""
    return {kind: _latency(sorted(values)) for kind, values in result.latencies.items()}


def print_report(console: Console, report: DemoReport) -> None:
    """Print the table and, below it, what was checked.

    Args:
        console: where to.
        report: the figures.
    """
    table = Table(title="rediscache demo", title_justify="left")
    table.add_column("")
    for half in report.halves:
        table.add_column(half.name, justify="right")
    table.add_column("gain", justify="right")
    for title, values, gain in _lines(report.halves):
        table.add_row(title, *values, gain)
    console.print(table)
    _print_verdict(console, report)


def _lines(halves: tuple[HalfReport, ...]) -> list[tuple[str, list[str], str]]:
    def line(
        title: str, value: Callable[[HalfReport], float | None], show: str, *, less: bool = True
    ) -> tuple[str, list[str], str]:
        values = [value(half) for half in halves]
        shown = ["-" if each is None else format(each, show) for each in values]
        return title, shown, _gain(values[0], values[-1], less=less)

    def plain(title: str, value: Callable[[HalfReport], float | None], show: str) -> None:
        name, shown, _ = line(title, value, show)
        lines.append((name, shown, ""))

    lines = [line("operations per second", lambda h: h.operations_per_second, ",.0f", less=False)]
    plain("operations", lambda h: h.operations, ",")
    for kind, title in KIND_TITLES.items():
        lines.append(line(f"{title}: p50 us", _percentile(kind, "p50_us"), ",.0f"))
        lines.append(line(f"{title}: p99 us", _percentile(kind, "p99_us"), ",.0f"))
    lines.append(line("SQL statements per operation", lambda h: h.sql_per_operation, ".3f"))
    plain("SQL statements", lambda h: h.sql_statements, ",")
    plain("hit ratio", lambda h: h.hit_ratio, ".1%")
    plain("updates tried again", lambda h: h.conflicts, ",")
    plain("stale reads", lambda h: h.stale_reads, ",")
    plain("rows unlike the database", lambda h: h.different_rows, ",")
    return lines


def _percentile(kind: Kind, name: str) -> Callable[[HalfReport], float | None]:
    def value(half: HalfReport) -> float | None:
        figure: float | None = getattr(half.latency[kind], name)
        return figure

    return value


def _gain(first: float | None, last: float | None, *, less: bool) -> str:
    if not first or not last:
        return ""
    return f"{first / last if less else last / first:.1f}x"


def _print_verdict(console: Console, report: DemoReport) -> None:
    checked = sum(half.checked_reads for half in report.halves)
    compared = sum(half.compared_rows for half in report.halves)
    from_cache = sum(half.compared_from_cache for half in report.halves)
    text = (
        f"{report.stale} stale: {checked:,} rows were checked while they were read, {compared:,} "
        f"compared with the database afterwards ({from_cache:,} of them answered by the cache)."
    )
    style = "bold red" if report.stale else "green"
    console.print(text, style=style, highlight=False, soft_wrap=not console.is_terminal)
    if "sqlite" in report.database.lower():
        console.print(SQLITE_NOTE, highlight=False, soft_wrap=not console.is_terminal)


def _latency(ordered: list[int]) -> Latency:
    if not ordered:
        return Latency(0, None, None)
    p50, p99 = (ordered[int(part * (len(ordered) - 1))] / 1000 for part in (0.5, 0.99))
    return Latency(len(ordered), p50, p99)


def _half_as_json(half: HalfReport) -> dict[str, Any]:
    figures = asdict(half)
    figures["latency"] = {kind.value: asdict(each) for kind, each in half.latency.items()}
    figures["operations_per_second"] = half.operations_per_second
    figures["sql_per_operation"] = half.sql_per_operation
    return figures
