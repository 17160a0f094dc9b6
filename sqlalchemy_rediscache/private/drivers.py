"""What drivers tell of their transactions. Nothing here asks the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

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
    name = connection.dialect.name
    if name == "postgresql":
        return _postgresql_in_transaction(driver)
    status = getattr(driver, "server_status", None)
    if name in _MYSQL and isinstance(status, int):
        return bool(status & _IN_TRANSACTION)
    found = getattr(driver, "in_transaction", None)
    return found if isinstance(found, bool) else None


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

    None where the driver doesn't say, or would ask the database. SQLite's is asked by
    `driver_begins`.
    """
    dialect = connection.dialect
    pooled: Any = connection._dbapi_connection  # asked for each statement of a flush: 0.1 us less
    wrapped = pooled.dbapi_connection
    if dialect.name in _MYSQL:
        told = getattr(dialect.get_driver_connection(wrapped), "get_autocommit", None)
        if told is not None:
            return bool(told())
        if dialect.driver == "mysqlconnector":  # it sends a SELECT
            return None
    found = getattr(wrapped, "autocommit", None)
    return found if isinstance(found, bool) else None


def driver_begins(connection: Connection) -> bool | None:
    """Does SQLite's driver begin a transaction by itself before DML? None where it doesn't say."""
    driver = _of_driver(connection)
    try:
        # Python 3.12: with False, a transaction is open at all times but after a COMMIT as text.
        if isinstance(getattr(driver, "autocommit", None), bool):
            return False
    except Exception:  # noqa: BLE001, S110 (it may be asked in its own thread alone)
        pass
    level = getattr(driver, "isolation_level", _UNTOLD)
    if level is None:
        return False
    return True if isinstance(level, str) else None


def _of_driver(connection: Connection) -> Any:
    wrapped: Any = connection.connection.dbapi_connection
    driver: Any = connection.dialect.get_driver_connection(wrapped)
    return getattr(driver, "_conn", driver)  # aiosqlite's has one of sqlite3 in it
