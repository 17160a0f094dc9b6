"""What SQLite's drivers tell of their transactions."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

_UNTOLD = object()


def driver_in_transaction(connection: Connection) -> bool | None:
    """Is a transaction of the database open? None where the driver doesn't say.

    A savepoint outside of any transaction begins one.
    """
    found = getattr(_of_driver(connection), "in_transaction", None)
    return found if isinstance(found, bool) else None


def driver_begins(connection: Connection) -> bool | None:
    """Does the driver begin a transaction by itself before DML? None where it doesn't say."""
    driver = _of_driver(connection)
    try:
        if getattr(driver, "autocommit", None) is True:  # Python 3.12
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
