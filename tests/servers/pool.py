"""The servers of one test process, each started when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from tests.servers.databases import DatabaseName, DatabaseServer
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.redis_server import RedisName, RedisServer
from tests.servers.sqlite import SQLiteServer


class ServerPool:
    """Starts servers and keeps them until `close`."""

    def __init__(self) -> None:
        self._servers: dict[str, RedisServer | DatabaseServer] = {}

    def redis(self, name: RedisName) -> RedisServer:
        """The Valkey or Redis server that the tests share."""
        if name not in self._servers:
            self._servers[name] = RedisServer(name)
        return cast(RedisServer, self._servers[name])

    def database(self, name: DatabaseName) -> DatabaseServer:
        """The database server that the tests share."""
        if name not in self._servers:
            kinds: dict[DatabaseName, Callable[[], DatabaseServer]] = {
                "sqlite": SQLiteServer,
                "postgresql": PostgreSQLServer,
                "mariadb": MariaDBServer,
            }
            self._servers[name] = kinds[name]()
        return cast(DatabaseServer, self._servers[name])

    def close(self) -> None:
        """Stop them all."""
        while self._servers:
            self._servers.popitem()[1].close()
