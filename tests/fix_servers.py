"""Fixtures: a Redis server and databases, on the servers that the test's markers ask for.

A test that requests `redis_server`, `redis_url` or `redis_client` runs on Valkey; marked
``every_redis``, on every kind there is. A test that requests `database` runs on SQLite and
PostgreSQL; marked ``every_database``, on every kind; marked ``databases("postgresql", ...)``, on
those. A server that is not there makes a skipped test with the reason, never no test. Marked
``by_turns``, each case runs on one of its databases, and on the others with ``-m long``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
import redis

from tests.servers import DATABASES, REDISES, Database, Inventory, RedisServer, ServerPool

INVENTORY = pytest.StashKey[Inventory]()

_USUAL_DATABASES = ("sqlite", "postgresql")


class PrivateRedis(Protocol):
    """Starts a server for one test alone, to be stopped, frozen or configured."""

    def __call__(
        self, options: Mapping[str, str] | None = None, *, tcp: bool = False
    ) -> RedisServer:
        """Start it.

        Args:
            options: Settings as in the server's configuration file.
            tcp: Listen on a free TCP port too.
        """


def pytest_configure(config: pytest.Config) -> None:
    """Look which servers there are."""
    try:
        config.stash[INVENTORY] = Inventory()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply the tests by the servers that their markers ask for."""
    inventory = metafunc.config.stash[INVENTORY]
    marker = metafunc.definition.get_closest_marker
    if "redis_server" in metafunc.fixturenames:
        usual = (inventory.default_redis(),)
        _parametrize(metafunc, "redis_server", REDISES if marker("every_redis") else usual)
    if "database" in metafunc.fixturenames:
        chosen = marker("databases")
        names = DATABASES if marker("every_database") else _USUAL_DATABASES
        _parametrize(metafunc, "database", names if chosen is None else chosen.args)


def _parametrize(metafunc: pytest.Metafunc, fixture: str, names: tuple[str, ...]) -> None:
    inventory = metafunc.config.stash[INVENTORY]
    params = [
        pytest.param(name, marks=pytest.mark.skip(reason=f"{name}: {problem}"))
        if (problem := inventory.problem(name))
        else name
        for name in names
    ]
    metafunc.parametrize(fixture, params, indirect=True)


@pytest.hookimpl(tryfirst=True)  # before those are left out that are `long`
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have tests that are marked ``by_turns`` run on one of their databases by default."""
    turns: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("by_turns"):
            given = item.callspec.params if hasattr(item, "callspec") else {}
            name = str(given.get("database", ""))
            if name and not config.stash[INVENTORY].problem(name):
                turns.setdefault(item.nodeid.replace(name, "", 1), []).append(item)
    for case, found in turns.items():
        chosen = zlib.crc32(case.encode()) % len(found)  # the same in every process
        for place, item in enumerate(found):
            if place != chosen:
                item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def server_pool() -> Iterator[ServerPool]:
    """The servers of this test process, started on demand and stopped at its end."""
    pool = ServerPool()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest, server_pool: ServerPool) -> RedisServer:
    """A running server that the tests of this process share: leave its settings as they were."""
    return server_pool.redis(request.param)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the shared server, with nothing in it when the test starts."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def redis_client(redis_server: RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    """A plain redis-py client of `redis_url` that returns bytes."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def private_redis(redis_server: RedisServer) -> Iterator[PrivateRedis]:
    """Start servers of the kind of `redis_server` for this test alone."""
    started: list[RedisServer] = []

    def start(options: Mapping[str, str] | None = None, *, tcp: bool = False) -> RedisServer:
        started.append(RedisServer(redis_server.name, options, tcp=tcp))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def database(request: pytest.FixtureRequest, server_pool: ServerPool) -> Iterator[Database]:
    """An empty database; its engines are disposed of and it is emptied after the test."""
    database = server_pool.database(request.param).acquire()
    yield database
    database.release()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def two_databases(database: Database) -> tuple[Database, Database]:
    """`database` and a twin of it, both empty, on one server."""
    return database, database.twin()
