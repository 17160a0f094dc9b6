"""What drivers tell of their transactions. Nothing here asks the database."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.engine import Connection

SQLITE_AUTOCOMMITS = hasattr(sqlite3.Connection, "autocommit")
"""SQLite's driver may have been told to begin no transactions (Python 3.12)."""
_UNTOLD = object()
_IDLE, _UNKNOWN = 0, 4
"""libpq's status outside of any transaction, and of a connection that is lost."""
_MYSQL = ("mysql", "mariadb")
_IN_TRANSACTION = 1
"""MySQL's SERVER_STATUS_IN_TRANS, a bit of what comes with each answer."""


def driver_in_transaction(connection: Connection) -> bool | None:
    """Is a transaction of the database open? None where the driver doesn't say.

    A savepoint of SQLite's outside of any transaction begins one.
    """
    driver = _of_driver(connection)
    found = getattr(driver, "in_transaction", None)
    if found is True or found is False:
        return found
    name = connection.dialect.name
    if name == "postgresql":
        return _postgresql_in_transaction(driver)
    status = getattr(driver, "server_status", None)
    return bool(status & _IN_TRANSACTION) if name in _MYSQL and isinstance(status, int) else None


def _postgresql_in_transaction(driver: Any) -> bool | None:
    told = getattr(driver, "is_in_transaction", None)  # asyncpg
    if told is not None:
        return bool(told())
    status = getattr(getattr(driver, "info", None), "transaction_status", None)  # psycopg
    if not isinstance(status, int) or status == _UNKNOWN:
        return None
    if getattr(getattr(driver, "pgconn", None), "pipeline_status", 0):
        return None  # what was sent is not answered yet
    return status != _IDLE


def driver_autocommits(connection: Connection) -> bool | None:
    """Does the database commit each statement, unless text began a transaction?

    None where the driver doesn't say, or would ask the database. That is so of SQLite's driver,
    unless its `autocommit` was set (Python 3.12): see `driver_begins`.
    """
    dialect = connection.dialect
    pooled: Any = connection._dbapi_connection
    wrapped = pooled.dbapi_connection
    if dialect.driver == "mysqlconnector":  # it sends a SELECT
        return None
    try:
        found = getattr(wrapped, "autocommit", None)
    except Exception:  # noqa: BLE001 (see `_autocommit`)
        return None
    if found is False or found is True:  # of most: it is asked for each statement of a flush
        return found
    if dialect.name in _MYSQL:
        told = getattr(dialect.get_driver_connection(wrapped), "get_autocommit", None)
        return None if told is None else bool(told())
    return _autocommit(_of_driver(connection)) if dialect.name == "sqlite" else None


def _autocommit(driver: Any) -> bool | None:
    try:
        found = getattr(driver, "autocommit", None)  # SQLite's has none before Python 3.12
    except Exception:  # noqa: BLE001 (it may be asked in its own thread alone)
        return None
    return found if isinstance(found, bool) else None  # a number stands for the old ways


def driver_begins(connection: Connection) -> bool | None:
    """Does SQLite's driver begin a transaction by itself before DML? None where it doesn't say."""
    driver = _of_driver(connection)
    if _autocommit(driver) is not None:
        return False  # where it is False, one is open at all times, but after a COMMIT as text
    level = getattr(driver, "isolation_level", _UNTOLD)
    if level is None:
        return False
    return True if isinstance(level, str) else None


def _of_driver(connection: Connection) -> Any:
    # Asked for each statement of a flush: `connection.connection` takes 0.1 us longer.
    pooled: Any = connection._dbapi_connection
    driver: Any = connection.dialect.get_driver_connection(pooled.dbapi_connection)
    return getattr(driver, "_conn", driver)  # aiosqlite's has one of sqlite3 in it
