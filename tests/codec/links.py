"""Open connections to each kind of database, one for each driver whose values the codec keeps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.types import TypeEngine

# The name of each kind of connection, with the server and the driver that it needs.
DRIVERS = {
    "pysqlite": ("sqlite", "sqlite+pysqlite"),
    "psycopg": ("postgresql", "postgresql+psycopg"),
    "asyncpg": ("postgresql", "postgresql+asyncpg"),
    "pymysql": ("mariadb", "mariadb+pymysql"),
    "pymysql-mysql": ("mariadb", "mysql+pymysql"),
}


def dialect_of(scheme: str, **options: Any) -> Dialect:
    """Make a dialect that has not seen a server.

    Args:
        scheme: As in a URL: "postgresql+asyncpg".
        options: Arguments of the dialect.
    """
    return make_url(f"{scheme}://").get_dialect()(**options)


REFUSED: Any = object()
"""What `Link.write` answers when the driver or the database does not take the value."""


_REFUSALS = (
    DBAPIError,
    StatementError,
    ValueError,
    TypeError,
    OverflowError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NotImplementedError,
)


class Link:
    """An open connection and a table of one column.

    Attributes:
        name: Which of `DRIVERS`.
        dialect: The dialect, once it has seen the server.
    """

    def __init__(self, name: str, run: Callable[[Callable[[Connection], Any]], Any]) -> None:
        self.name = name
        self._run = run
        self._made: Table | None = None
        self._ids = itertools.count(1)
        self.dialect: Dialect = run(lambda connection: connection.dialect)

    def table(self, name: str, type_: TypeEngine[Any], **options: Any) -> Table:
        """Make a table with the columns `id` and `v`, and drop the one made before.

        Args:
            name: Its name.
            type_: The type of `v`.
            options: More arguments of the column `v`.
        """
        table = Table(
            name, MetaData(), Column("id", Integer, primary_key=True), Column("v", type_, **options)
        )
        # Types of one name belong to one table at a time.
        if self._made is not None:
            self._run(self._made.metadata.drop_all)
        self._made = table
        self._run(table.metadata.create_all)
        return table

    def write(self, table: Table, value: Any) -> Any:
        """Write a value and read it back: the value that the database gives, or `REFUSED`."""
        identity = next(self._ids)

        def write(connection: Connection) -> Any:
            savepoint = connection.begin_nested()
            try:
                connection.execute(insert(table).values(id=identity, v=value))
                read = connection.execute(select(table.c.v).where(table.c.id == identity)).scalar()
            except _REFUSALS:
                savepoint.rollback()
                return REFUSED
            savepoint.commit()
            return read

        return self._run(write)

    def finds(self, table: Table, written: Any, asked: Any) -> bool:
        """Write a value, then ask whether the database takes another for equal to it."""
        identity = next(self._ids)

        def find(connection: Connection) -> bool:
            connection.execute(insert(table).values(id=identity, v=written))
            found = select(table.c.id).where(table.c.id == identity, table.c.v == asked)
            return connection.execute(found).scalar() is not None

        return bool(self._run(find))


def sync_link(name: str, url: str) -> Iterator[Link]:
    """Open a connection, roll back and close it in the end."""
    engine = create_engine(url)
    if name == "pysqlite":
        _let_sqlalchemy_begin(engine)
    with engine.connect() as connection:
        yield Link(name, lambda function: function(connection))
        connection.rollback()
    engine.dispose()


def async_link(name: str, url: str) -> Iterator[Link]:
    """Open a connection of an asyncio driver, roll back and close it in the end."""
    engine = create_async_engine(url)
    with asyncio.Runner() as runner:
        connection: AsyncConnection = runner.run(_opened(engine.connect()))
        yield Link(name, lambda function: runner.run(connection.run_sync(function)))
        runner.run(connection.close())
        runner.run(engine.dispose())


async def _opened(connection: AsyncConnection) -> AsyncConnection:
    return await connection.start()


def _let_sqlalchemy_begin(engine: Engine) -> None:
    """Savepoints of SQLite need a BEGIN that its driver leaves out."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")
