"""MariaDB, where its server is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.servers.databases import Database, DatabaseName, DatabaseServer
from tests.servers.process import ServerProcess, temporary_directory

_SETTINGS = {
    "skip-networking": "1",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "16M",
    "innodb-lock-wait-timeout": "10",
    "lock-wait-timeout": "10",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_bin",  # strings compare as they do in Python
    "default-time-zone": "+00:00",
}


def mariadb_programs() -> tuple[Path, Path] | None:
    """Find the server and the program that makes its first files; None if one is absent."""
    server = _which("mariadbd", "mysqld")
    installer = _which("mariadb-install-db", "mysql_install_db")
    return None if server is None or installer is None else (server, installer)


def _which(*names: str) -> Path | None:
    # Debian keeps servers where the PATH of a user other than root does not lead.
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = (shutil.which(name, path=path) for name in names)
    return next((Path(program) for program in found if program), None)


class MariaDBServer(DatabaseServer):
    """A MariaDB server on a Unix socket, without durability."""

    name: DatabaseName = "mariadb"

    def __init__(self) -> None:
        programs = mariadb_programs()
        if programs is None:
            raise LookupError("no MariaDB server on this machine")
        server, installer = programs
        directory = temporary_directory()
        data = directory / "data"
        self._socket = directory / "s"
        self._made = 0
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(
            [
                *(str(installer), "--no-defaults", f"--datadir={data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", *as_root),
            ],
            check=True,
            capture_output=True,
            cwd=directory,
        )
        self.process = ServerProcess(
            [
                *(str(server), "--no-defaults", *as_root, f"--datadir={data}"),
                *(f"--socket={self._socket}", f"--pid-file={directory / 'pid'}"),
                *(f"--{key}={value}" for key, value in _SETTINGS.items()),
            ],
            directory,
            self._answers,
        )
        self.process.start()
        self.version = self._run("SELECT VERSION()")[0].split("-")[0]

    def acquire(self) -> Database:
        """Hand out a new database."""
        database = f"t{self._made}"
        self._made += 1
        self._run(f"CREATE DATABASE {database}")
        where = f"root@localhost/{database}?unix_socket={self._socket}&charset=utf8mb4"
        return Database(
            self,
            f"mariadb+pymysql://{where}",
            f"mariadb+aiomysql://{where}",
            lambda: self._clean(database),
        )

    def close(self) -> None:
        """Kill the server and remove its files; there is nothing in them to save."""
        self.process.kill()
        self.process.close()

    def _clean(self, database: str) -> None:
        for session in self._run(
            f"SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE db = '{database}'"
        ):
            self._run(f"KILL {session}", missing_is_fine=True)
        for transaction in self._run("XA RECOVER FORMAT='SQL'", column=3):
            self._run(f"XA ROLLBACK {transaction}", missing_is_fine=True)
        self._run(f"DROP DATABASE {database}")

    def _run(self, statement: str, *, column: int = 0, missing_is_fine: bool = False) -> list[str]:
        import pymysql  # noqa: PLC0415 - may be absent where another database is tested

        connection = pymysql.connect(
            unix_socket=str(self._socket), user="root", charset="utf8mb4", autocommit=True
        )
        with connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except (pymysql.OperationalError, pymysql.InternalError):
                if not missing_is_fine:  # what was to be ended may have ended by itself
                    raise
                return []
            return [row[column] for row in cursor.fetchall()]

    def _answers(self) -> bool:
        # Not with the driver: an attempt that fails leaves its socket to the garbage collector.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self._socket))
                return bool(connection.recv(1))  # the server speaks first
        except OSError:
            return False
