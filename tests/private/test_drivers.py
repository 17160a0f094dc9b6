"""What drivers tell: is a transaction open, who begins and who commits it?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from sqlalchemy_rediscache import private
from tests.servers import Database

Told = tuple[bool | None, bool | None]


def told(connection: Connection) -> Told:
    """Both answers."""
    return private.driver_in_transaction(connection), private.driver_begins(connection)


def asked(connection: Connection) -> list[Told]:
    """What is told at first, within a savepoint, after its release, after a write."""
    found = [told(connection)]
    for statement in ("SAVEPOINT a", "RELEASE a", "DELETE FROM t"):
        connection.execute(text(statement))
        found.append(told(connection))
    connection.rollback()
    return [*found, told(connection)]


OPEN = [False, True, False, True, False]
LEGACY = [(open_, True) for open_ in OPEN]


def test_sqlite3(tmp_path: Path) -> None:
    """The driver of the standard library, as it is by default."""
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        assert asked(connection) == LEGACY
    engine.dispose()


def test_sqlite3_that_begins_nothing(tmp_path: Path) -> None:
    """With `isolation_level=None`, as under AUTOCOMMIT, it is never in a transaction by itself."""
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        assert asked(connection) == [(open_, False) for open_ in (False, True, False, False, False)]
    engine.dispose()


@pytest.mark.parametrize("options", [{}, {"poolclass": StaticPool}], ids=["file", "memory"])
def test_aiosqlite(tmp_path: Path, options: dict[str, Any]) -> None:
    """Its connection, which another thread works with, has one of sqlite3 in it."""

    async def main() -> list[Told]:
        place = "" if options else f"/{tmp_path / 'rows.db'}"
        engine = create_async_engine(f"sqlite+aiosqlite://{place}", **options)
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE t (x INTEGER)"))
            found = await connection.run_sync(asked)
        await engine.dispose()
        return found

    assert asyncio.run(main()) == LEGACY


def told_of_autocommit(connection: Connection) -> tuple[bool | None, ...]:
    """Is one open, does the driver begin it, and does each statement commit itself?"""
    connection.execute(text("SELECT 1"))
    return (*told(connection), private.driver_autocommits(connection))


@pytest.mark.parametrize("autocommit", [True, False, None])
def test_sqlites_autocommit(tmp_path: Path, autocommit: bool | None) -> None:
    """Python 3.12's: with True none is begun, with False one always was; by default as before."""
    if autocommit is not None and not private.SQLITE_AUTOCOMMITS:
        pytest.skip("the driver has no `autocommit`")
    given: Any = {} if autocommit is None else {"connect_args": {"autocommit": autocommit}}
    expected = (False, True, None) if autocommit is None else (not autocommit, False, autocommit)
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}", **given)
    with engine.connect() as connection:
        assert told_of_autocommit(connection) == expected
    engine.dispose()

    async def main() -> tuple[bool | None, ...]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'rows.db'}", **given)
        async with engine.connect() as connection:
            found = await connection.run_sync(told_of_autocommit)
        await engine.dispose()
        return found

    assert asyncio.run(main()) == expected


class Strange:
    """A driver's connection that tells something else, or nothing, or refuses."""

    def __init__(self, **told: Any) -> None:
        self.__dict__.update(told)

    @property
    def autocommit(self) -> bool:
        """What sqlite3 says outside of its thread."""
        raise ValueError("another thread")


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (object, (None, None)),
        (lambda: Strange(isolation_level=""), (None, True)),
        (lambda: Strange(in_transaction=lambda: True), (None, None)),
        (lambda: Strange(in_transaction=True, isolation_level=None), (True, False)),
    ],
)
def test_other_drivers(driver: Callable[[], Any], expected: Told) -> None:
    """What is not told is None."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        record: Any = connection.connection
        kept, record.dbapi_connection = record.dbapi_connection, driver()
        try:
            assert told(connection) == expected
        finally:
            record.dbapi_connection = kept
    engine.dispose()


SERVERS = pytest.mark.databases("postgresql", "mariadb")


def told_by_server(connection: Connection) -> Told:
    """Is a transaction open, and is each statement committed by itself?"""
    return private.driver_in_transaction(connection), private.driver_autocommits(connection)


def asked_of_server(connection: Connection) -> list[Told]:
    """What is told at first, within a transaction that text began, after its end."""
    found = [told_by_server(connection)]
    for statement in ("BEGIN", "CREATE TEMPORARY TABLE t (x INT)", "COMMIT", "BEGIN", "ROLLBACK"):
        connection.exec_driver_sql(statement)
        if not statement.startswith("CREATE"):  # MariaDB's rules for temporary tables are its own
            found.append(told_by_server(connection))
    return found


AT_ONCE = [(open_, True) for open_ in (False, True, False, True, False)]


@SERVERS
def test_servers_drivers(database: Database) -> None:
    """The blocking ones: psycopg and PyMySQL."""
    engine = database.engine()
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert told_by_server(connection) in ((True, False), (False, False))
        connection.rollback()
        assert told_by_server(connection) == (False, False)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert asked_of_server(connection) == AT_ONCE
        if database.name == "mariadb":
            connection.exec_driver_sql("SET autocommit = 0")
            assert told_by_server(connection) == (False, False)
    with database.engine(connect_args={"autocommit": True}).connect() as connection:
        assert asked_of_server(connection) == AT_ONCE


@SERVERS
def test_servers_drivers_of_asyncio(database: Database) -> None:
    """Those of asyncio: asyncpg and aiomysql."""

    async def main() -> list[list[Told]]:
        found = []
        for level, ask in (
            ("AUTOCOMMIT", asked_of_server),
            ("READ COMMITTED", lambda connection: [told_by_server(connection)]),
        ):
            engine = database.async_engine(isolation_level=level)
            async with engine.connect() as connection:
                found.append(await connection.run_sync(ask))
            await engine.dispose()
        return found

    assert asyncio.run(main()) == [AT_ONCE, [(False, False)]]


class Telling(Strange):
    """One that tells what it is made with, and nothing of `autocommit` but that."""

    autocommit: Any = None


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (object, (None, None)),
        (lambda: Telling(autocommit=True), (None, True)),
        (lambda: Telling(autocommit=lambda value: None), (None, None)),
        (lambda: Telling(info=Telling(transaction_status=0), autocommit=False), (False, False)),
        (lambda: Telling(info=Telling(transaction_status=1)), (True, None)),
        (lambda: Telling(info=Telling(transaction_status=3)), (True, None)),
        (lambda: Telling(info=Telling(transaction_status=4)), (None, None)),
        (
            lambda: Telling(info=Telling(transaction_status=0), pgconn=Telling(pipeline_status=1)),
            (None, None),
        ),
    ],
)
@pytest.mark.databases("postgresql")
def test_other_drivers_of_postgresql(
    database: Database, driver: Callable[[], Any], expected: Told
) -> None:
    """What is not told is None: by others than these, in a pipeline, when the server is gone."""
    with database.engine().connect() as connection:
        record: Any = connection.connection
        kept, record.dbapi_connection = record.dbapi_connection, driver()
        try:
            assert told_by_server(connection) == expected
        finally:
            record.dbapi_connection = kept


@pytest.mark.databases("mariadb")
def test_other_drivers_of_mariadb(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, one tells of `autocommit` alone, and one would have to send a SELECT for it."""
    with database.engine().connect() as connection:
        record: Any = connection.connection
        kept = record.dbapi_connection
        try:
            record.dbapi_connection = Telling(get_autocommit=lambda: 1)
            assert told_by_server(connection) == (None, True)
            monkeypatch.setattr(connection.dialect, "driver", "mysqlconnector")
            record.dbapi_connection = Telling(in_transaction=True, autocommit=False)
            assert told_by_server(connection) == (True, None)
        finally:
            record.dbapi_connection = kept
