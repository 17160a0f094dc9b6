"""The database of the demo: a temporary SQLite file, or the user's own with tables of our names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from sqlalchemy_rediscache.cli.demo.model import Base
from sqlalchemy_rediscache.cli.demo.settings import DemoError

SQLITE_BUSY_SECONDS = 30
DRIVER_PACKAGES: Final[Mapping[str, str]] = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}


class StatementCounter:
    """Counts the SQL statements that an engine sends; an executemany is one."""

    def __init__(self, engine: Engine) -> None:
        """Start to count.

        Args:
            engine: the engine to watch, from all threads.
        """
        self._lock = Lock()
        self._count = 0
        event.listen(engine, "before_cursor_execute", self._before_cursor_execute)

    @property
    def count(self) -> int:
        """The number of statements since the counter was made."""
        return self._count

    def _before_cursor_execute(self, *_: Any) -> None:
        with self._lock:
            self._count += 1


@contextmanager
def open_database(database_url: str | None, threads: int) -> Iterator[Engine]:
    """Give an engine with the demo's tables, empty; drop them at the end.

    Args:
        database_url: SQLAlchemy URL; None makes a SQLite file that is deleted at the end.
        threads: number of threads that will use the engine at once.

    Raises:
        DemoError: the URL is wrong, its driver is not installed, or the database does not answer.
    """
    if database_url is not None:
        with _with_tables(_parse(database_url), threads) as engine:
            yield engine
        return
    with tempfile.TemporaryDirectory(prefix="rediscache-demo-") as directory:
        url = URL.create("sqlite", database=str(Path(directory) / "airports.db"))
        with _with_tables(url, threads) as engine:
            yield engine


def describe(database_url: str | None) -> str:
    """Name a database for people, without a password."""
    if database_url is None:
        return "temporary SQLite file"
    return make_url(database_url).set(query={}).render_as_string(hide_password=True)


@contextmanager
def _with_tables(url: URL, threads: int) -> Iterator[Engine]:
    engine = _create_engine(url, threads)
    try:
        try:
            # What a run that was killed left behind goes first; the names are the demo's own.
            Base.metadata.drop_all(engine)
            Base.metadata.create_all(engine)
        except DBAPIError as error:
            raise DemoError(
                f"The database {url.render_as_string()} cannot be used: {error.orig}. Check that "
                "it runs, the URL, and the right to create tables."
            ) from error
        try:
            yield engine
        finally:
            Base.metadata.drop_all(engine)
    finally:
        engine.dispose()


def _parse(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise DemoError(
            "--database-url is not a SQLAlchemy URL; it looks like "
            "postgresql+psycopg://user:password@localhost/name"
        ) from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise DemoError(
            "An SQLite database in memory cannot be shared by the demo's threads: name a file, or "
            "leave --database-url out for a temporary one."
        )
    return url


def _create_engine(url: URL, threads: int) -> Engine:
    arguments = {}
    if url.get_backend_name() == "sqlite":
        arguments["timeout"] = SQLITE_BUSY_SECONDS
    try:
        engine = create_engine(url, pool_size=threads + 2, connect_args=arguments)
    except NoSuchModuleError as error:
        raise DemoError(
            f"SQLAlchemy has no dialect {url.drivername!r}: check --database-url, or install the "
            "package of that dialect."
        ) from error
    except ModuleNotFoundError as error:
        package = DRIVER_PACKAGES.get(error.name or "", error.name)
        raise DemoError(
            f"The driver of {url.drivername} is not installed: pip install '{package}'"
        ) from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # In WAL mode readers go on while a writer commits; writers queue for the busy timeout.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
