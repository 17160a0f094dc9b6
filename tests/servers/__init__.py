"""Real servers, started by the tests for themselves alone.

Each server lives in a temporary directory, listens on a Unix socket there (never on a standard
port) and ends with the test process, however that ends. Which ones exist on this machine is
found by `tests.servers.inventory`; the environment variable ``REDISCACHE_TEST_SERVERS`` (a comma
separated list of ``valkey``, ``redis``, ``sqlite``, ``postgresql``, ``mariadb``) restricts a run
to some of them.
"""

from __future__ import annotations

from tests.servers.databases import Database, DatabaseServer
from tests.servers.inventory import DATABASES, REDISES, Inventory
from tests.servers.mariadb import MariaDBServer
from tests.servers.pool import ServerPool
from tests.servers.postgresql import PostgreSQLServer
from tests.servers.process import ServerNotReadyError, ServerProcess
from tests.servers.redis_server import RedisServer
from tests.servers.sqlite import SQLiteServer

__all__ = [
    "DATABASES",
    "REDISES",
    "Database",
    "DatabaseServer",
    "Inventory",
    "MariaDBServer",
    "PostgreSQLServer",
    "RedisServer",
    "SQLiteServer",
    "ServerNotReadyError",
    "ServerPool",
    "ServerProcess",
]
