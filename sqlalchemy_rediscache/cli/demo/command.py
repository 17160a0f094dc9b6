"""The command `rediscache demo`: its options, its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sqlalchemy_rediscache.cli.demo.settings import DemoSettings

URL_HELP = "Redis URL; embedded:// starts a server of its own."
DATABASE_HELP = "SQLAlchemy URL of a database; without it, a temporary SQLite file."
OPERATIONS_HELP = "Operations of each half, instead of --seconds."
SKEW_HELP = "Exponent of the Zipf distribution over airports; 0 is uniform."
WRITES_HELP = "Per cent of the operations that write."
EXIT_STALE = 1
EXIT_ERROR = 2


def demo(  # noqa: PLR0913 - each is an option of the command
    *,
    url: Annotated[str, typer.Option(help=URL_HELP)] = "embedded://",
    database_url: Annotated[str | None, typer.Option(help=DATABASE_HELP)] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each half.")] = 10.0,
    operations: Annotated[int | None, typer.Option(min=1, help=OPERATIONS_HELP)] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads.")] = 4,
    writes: Annotated[float, typer.Option(min=0, max=100, help=WRITES_HELP)] = 2.0,
    skew: Annotated[float, typer.Option(min=0, max=5, help=SKEW_HELP)] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same operations.")] = 1,
    airports: Annotated[int | None, typer.Option(min=20, help="Airports; default all.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write the figures here.")
    ] = None,
) -> None:
    """Load the airports of the world and read them, without and with the cache.

    Both halves do the same operations from several threads: session.get, lazy loads, IN batches,
    and writes that update an airport and add a runway report. Every read is checked. Tables are
    named `rediscache_demo_*` and dropped at the end; Redis keys start with `rediscache_demo`, and
    the cached rows are deleted at the end.

    The exit code is 0 when no read was stale, 1 when one was, 2 when the demo could not run.
    """
    # Imported here and below, so that --help is quick.
    from sqlalchemy_rediscache.cli.demo.settings import DemoSettings

    settings = DemoSettings(
        url=url,
        database_url=database_url,
        seconds=seconds,
        operations=operations,
        threads=threads,
        writes=writes / 100,
        skew=skew,
        seed=seed,
        airports=airports,
    )
    _run(settings, json_file)


def _run(settings: DemoSettings, json_file: Path | None) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from sqlalchemy_rediscache.cli.demo.report import print_report
    from sqlalchemy_rediscache.cli.demo.run import run_demo
    from sqlalchemy_rediscache.errors import CacheError

    console = Console()
    try:
        report = run_demo(settings, console)
        print_report(console, report)
        if json_file is not None:
            json_file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    except (CacheError, SQLAlchemyError, OSError) as error:
        typer.secho(f"rediscache demo: {error}", fg="red", err=True)
        raise typer.Exit(EXIT_ERROR) from error
    if report.stale:
        raise typer.Exit(EXIT_STALE)
