"""The command `rediscache bench`: its options, its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sqlalchemy_rediscache.cli.bench.run import Plan

URL_HELP = "Redis URL; without it, a Valkey of its own on a Unix socket."
DATABASE_HELP = (
    "SQLAlchemy URL of a database; without it, a PostgreSQL of its own on a Unix socket. "
    "Tables named rediscache_bench_* in it are dropped."
)
ONLY_HELP = "Run this case only; may be given more than once."
PIN_HELP = (
    "Keep the benchmark and the servers that it starts on one CPU: steadier, and without the "
    "time that another CPU needs to wake up."
)
EXIT_ERROR = 2
WIDTH_WITHOUT_TERMINAL = 140


def bench(
    *,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write the figures here.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds for each contestant.")] = 15,
    seconds: Annotated[float, typer.Option(min=0.001, help="Length of a round.")] = 0.1,
    loops: Annotated[
        int | None, typer.Option(min=1, help="Operations of a round, instead of --seconds.")
    ] = None,
    url: Annotated[str | None, typer.Option(help=URL_HELP)] = None,
    database_url: Annotated[str | None, typer.Option(help=DATABASE_HELP)] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CASE", help=ONLY_HELP)] = None,
    pin: Annotated[bool, typer.Option(help=PIN_HELP)] = False,
    quick: Annotated[
        bool, typer.Option(help="Try everything once: the figures mean nothing.")
    ] = False,
) -> None:
    """Measure what the cache would gain here.

    Times the same operations without a cache, with the recipe that SQLAlchemy documents for
    dogpile.cache, with this cache, and as bare redis-py commands; each in a new session. The
    contestants take turns in rounds, and the fastest round counts. Cases: get_hit,
    refresh_expired, refresh_in_transaction, lazy_many_to_one, in_100, query_100,
    aggregate, unique_key, miss, update_one_commit,
    commit_only, flush_1000, plain_get, plain_select_1, plain_select_100, round_trips, bytes.

    The exit code is 0 when the benchmark ran, whatever it found, and 2 when it could not run.
    """
    # Imported here and below, so that --help is quick.
    try:
        from sqlalchemy_rediscache.cli.bench.run import Plan, case_names
    except ModuleNotFoundError as error:
        raise _failure(
            f"{error.name} is not installed: pip install 'sqlalchemy-rediscache[bench]'"
        ) from error
    from sqlalchemy_rediscache.cli.bench.contestants import LEAST_ROWS
    from sqlalchemy_rediscache.cli.bench.timing import Settings

    unknown = set(only or ()) - set(case_names())
    if unknown:
        raise _failure(f"no case {', '.join(sorted(unknown))}; there are {', '.join(case_names())}")
    plan = Plan(
        settings=Settings(1, 0.001, 2) if quick else Settings(rounds, seconds, loops),
        products=LEAST_ROWS if quick else 40_000,
        suppliers=50 if quick else 1_000,
        only=frozenset(only or ()),
        redis_url=url,
        database_url=database_url,
        pin=pin,
    )
    _run(plan, json_file)


def _run(plan: Plan, json_file: Path | None) -> None:
    from redis import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from sqlalchemy_rediscache.cli.bench.report import as_json, print_report
    from sqlalchemy_rediscache.cli.bench.run import run_bench
    from sqlalchemy_rediscache.errors import CacheError

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    try:
        outcome = run_bench(plan, console)
        print_report(console, outcome)
        if json_file is not None:
            json_file.write_text(json.dumps(as_json(outcome), indent=2) + "\n", encoding="utf-8")
    except (CacheError, RedisError, SQLAlchemyError, OSError) as error:
        raise _failure(str(error)) from error


def _failure(message: str) -> typer.Exit:
    typer.secho(f"rediscache bench: {message}", fg="red", err=True)
    return typer.Exit(EXIT_ERROR)
