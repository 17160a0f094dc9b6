"""SQLite: a file for each database."""

from __future__ import annotations

import shutil
import sqlite3
from itertools import count
from pathlib import Path

from tests.servers.databases import Database, DatabaseName, DatabaseServer
from tests.servers.process import temporary_directory


class SQLiteServer(DatabaseServer):
    """Database files in a temporary directory; there is no server to start."""

    name: DatabaseName = "sqlite"
    version = sqlite3.sqlite_version

    def __init__(self) -> None:
        self._directory = temporary_directory()
        self._numbers = count()

    def acquire(self) -> Database:
        """Hand out a file that does not exist yet."""
        path = self._directory / f"{next(self._numbers)}.db"
        return Database(
            self, f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}", lambda: _remove(path)
        )

    def close(self) -> None:
        """Remove every file."""
        shutil.rmtree(self._directory, ignore_errors=True)


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):  # the journals beside it too
        file.unlink()
