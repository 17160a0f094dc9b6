"""The figures of a run: as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from sqlalchemy_rediscache.cli.bench.contestants import (
    DOGPILE,
    ENABLED,
    NO_CACHE,
    NOT_ENABLED,
    REDISCACHE,
)
from sqlalchemy_rediscache.cli.bench.run import CaseResult, Outcome
from sqlalchemy_rediscache.cli.bench.targets import Verdict

SCHEMA = 1
_BUSY_SHARE = 0.5


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the figures as values that JSON knows."""
    plan = outcome.plan
    return {
        "schema": SCHEMA,
        "facts": outcome.facts,
        "settings": {
            **asdict(plan.settings),
            "products": plan.products,
            "suppliers": plan.suppliers,
            "pinned": plan.pin,
        },
        "cases": {result.case.name: _case_as_json(result) for result in outcome.cases},
        "calls": {
            name: {
                "title": each.title,
                "round_trips": each.round_trips,
                "sql_statements": each.statements,
                "targets": [asdict(each.verdict)] if each.verdict else [],
            }
            for name, each in outcome.calls.items()
        },
        "bytes": {name: asdict(size) for name, size in outcome.sizes.items()},
        "targets_reached": sum(verdict.reached for verdict in outcome.verdicts),
        "targets": len(outcome.verdicts),
    }


def _case_as_json(result: CaseResult) -> dict[str, Any]:
    times = result.times
    subject = times.get(REDISCACHE, times.get(ENABLED))
    return {
        "title": result.case.title,
        "figure": result.case.figure.__name__,
        "contestants": {
            name: {
                "us": round(times[name], 3),
                "median_us": round(timing.median(), 3),
                "loops": timing.loops,
                "rounds_us": [round(value, 3) for value in timing.rounds],
            }
            for name, timing in result.timings.items()
        },
        "times_as_long": {
            name: round(value / subject, 3)
            for name, value in times.items()
            if subject is not None and value != subject
        },
        "targets": [asdict(verdict) for verdict in result.verdicts],
    }


def print_report(console: Console, outcome: Outcome) -> None:
    """Print the tables.

    Args:
        console: where to.
        outcome: the figures.
    """
    console.print(_headline(outcome), highlight=False)
    gains = [result for result in outcome.cases if REDISCACHE in result.timings]
    costs = [result for result in outcome.cases if NOT_ENABLED in result.timings]
    for table, wanted in (
        (_gains(gains), gains),
        (_costs(costs), costs),
        (_calls(outcome), outcome.calls),
        (_sizes(outcome), outcome.sizes),
    ):
        if wanted:
            console.print(table)
    verdicts = outcome.verdicts
    reached = sum(verdict.reached for verdict in verdicts)
    console.print(f"{reached} of {len(verdicts)} targets reached", highlight=False)
    _warn_of_load(console, outcome)


def _headline(outcome: Outcome) -> str:
    facts = outcome.facts
    packages = facts["packages"]
    pinned = ", pinned to one" if outcome.plan.pin else ""
    return (
        f"Python {facts['python']}, SQLAlchemy {packages['sqlalchemy']}, "
        f"redis-py {packages['redis']}, {facts['server']} ({facts['server_transport']}), "
        f"{facts['database']} {facts['database_version']} ({facts['database_transport']}), "
        f"{facts['cpus']} CPUs{pinned}"
    )


def _gains(results: Iterable[CaseResult]) -> Table:
    table = _table("Microseconds, a new session for each operation; best round of all")
    for name in (NO_CACHE, DOGPILE, REDISCACHE, "beside it"):
        table.add_column(name, justify="right")
    table.add_column("gain", justify="right")
    table.add_column("targets")
    for result in results:
        times = result.times
        others = [n for n in times if n not in (NO_CACHE, DOGPILE, REDISCACHE)]
        table.add_row(
            result.case.title,
            *(_time(times.get(name)) for name in (NO_CACHE, DOGPILE, REDISCACHE)),
            "\n".join(f"{name} {_time(times[name])}" for name in others),
            f"{times[NO_CACHE] / times[REDISCACHE]:.1f}x" if NO_CACHE in times else "",
            _shown(result.verdicts),
        )
    return table


def _costs(results: Iterable[CaseResult]) -> Table:
    table = _table("What models without the cache pay in an enabled factory; lower quartile")
    for name in (NOT_ENABLED, ENABLED, "cost"):
        table.add_column(name, justify="right")
    table.add_column("targets")
    for result in results:
        times = result.times
        cost = times[ENABLED] / times[NOT_ENABLED] - 1
        table.add_row(
            result.case.title,
            _time(times[NOT_ENABLED]),
            _time(times[ENABLED]),
            f"{cost:+.1%}",
            _shown(result.verdicts),
        )
    return table


def _calls(outcome: Outcome) -> Table:
    table = _table("What an operation sends")
    table.add_column("round trips to Redis", justify="right")
    table.add_column("SQL statements", justify="right")
    table.add_column("targets")
    for each in outcome.calls.values():
        verdicts = (each.verdict,) if each.verdict else ()
        table.add_row(each.title, str(each.round_trips), str(each.statements), _shown(verdicts))
    return table


def _sizes(outcome: Outcome) -> Table:
    table = _table("Bytes of one row")
    table.add_column("value", justify="right")
    table.add_column("memory of the server, with key", justify="right")
    for size in outcome.sizes.values():
        memory = "" if size.memory is None else f"{size.memory:,}"
        table.add_row(size.form, f"{size.value:,}", memory)
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    return table


def _time(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - 4 digits do


def _shown(verdicts: Iterable[Verdict]) -> str:
    marks = {True: "[green]reached[/]", False: "[red]missed [/]"}
    return "\n".join(
        f"{marks[v.reached]} {v.target}: {v.value:.4g}"
        + ("" if v.floor is None else f" (the floor: {v.floor:.3g})")
        for v in verdicts
    )


def _warn_of_load(console: Console, outcome: Outcome) -> None:
    load, cpus = outcome.facts["load_average"], outcome.facts["cpus"]
    if load and cpus and load[0] > cpus * _BUSY_SHARE:
        console.print(
            f"The load average was {load[0]} on {cpus} CPUs before the first round: other "
            "programs were running, and the figures are worth less.",
            style="yellow",
            highlight=False,
        )
