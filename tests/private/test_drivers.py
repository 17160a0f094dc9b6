"""What SQLite's drivers tell: is a transaction open, and do they begin them?"""

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
