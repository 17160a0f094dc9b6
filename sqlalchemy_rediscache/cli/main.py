"""The program `rediscache` and its subcommands."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from sqlalchemy_rediscache.cli.bench import bench
from sqlalchemy_rediscache.cli.demo.command import demo

app = typer.Typer(
    name="rediscache",
    help="A second-level cache for the SQLAlchemy ORM on Redis.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)
# Each imports what its extra brings when it runs, and says which extra is missing.
app.command("demo")(demo)
app.command("bench")(bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rediscache {_version()}")
        raise typer.Exit


@app.callback()
def options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """A second-level cache for the SQLAlchemy ORM on Redis."""


def _version() -> str:
    try:
        return version("sqlalchemy-rediscache")
    except PackageNotFoundError:
        return "(not installed: run from its source)"
