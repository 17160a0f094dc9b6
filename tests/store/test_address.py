"""From what users give (URLs, clients, `embedded://`) to connections, and what messages say."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from sqlalchemy_rediscache.errors import CacheUnavailable, ConfigurationError, ServerRefused
from sqlalchemy_rediscache.store.address import Address, Deadlines, redacted
from sqlalchemy_rediscache.store.embedded import EmbeddedServer
from sqlalchemy_rediscache.store.server import run_id
from tests.fix_servers import PrivateRedis
from tests.store.conftest import StoreMaker
from tests.store.shelf import Shelf, make_store

DEADLINES = Deadlines(0.25, 0.5)


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("redis://host:7000/3", "Connection", {"host": "host", "port": 7000, "db": 3}),
        ("rediss://host/0", "SSLConnection", {"host": "host"}),
        ("unix:///run/redis.sock?db=2", "UnixDomainSocketConnection",
         {"path": "/run/redis.sock", "db": 2}),
        ("redis://user:word@host", "Connection", {"username": "user", "password": "word"}),
    ],
)  # fmt: skip
def test_urls(url: str, kind: str, expected: dict[str, Any]) -> None:
    """Each scheme makes its kind of connection, blocking and asyncio, of raw bytes."""
    address = Address(url, DEADLINES)
    for connection in (address.connection(), address.async_connection()):
        assert type(connection).__name__ == kind
        assert {name: getattr(connection, name) for name in expected} == expected
        assert connection.encoder.decode_responses is False


@pytest.mark.parametrize("given", ["http://host", "host:6379", "", "redis://host:port/0", None, 7,
                                   object()])  # fmt: skip
def test_what_is_no_address(given: Any) -> None:
    """Anything else is refused with what to give instead."""
    with pytest.raises(ConfigurationError):
        Address(given, DEADLINES)


def test_blocking_connections_have_deadlines() -> None:
    """The socket's own time limits are ours, whatever the URL says."""
    made = Address("redis://host?socket_timeout=99", DEADLINES).connection()
    assert (made.socket_connect_timeout, made.socket_timeout) == (0.25, 0.5)


def test_clients_give_their_settings() -> None:
    """A client's server and login are taken over; its decoding and timeouts are not."""
    for kind in (redis.Redis, redis.asyncio.Redis):
        client: Any = kind(
            host="h", port=7, db=5, password="word",  # noqa: S106
            decode_responses=True, socket_timeout=99, health_check_interval=5,
        )  # fmt: skip
        address = Address(client, DEADLINES)
        made = address.connection() if kind is redis.Redis else address.async_connection()
        assert (made.host, made.port, made.db, made.password) == ("h", 7, 5, "word")
        assert made.socket_timeout != 99
        assert made.encoder.decode_responses is False


def test_a_client_serves_sessions_of_its_kind() -> None:
    """A blocking client has no asyncio connections, and the other way round."""
    with pytest.raises(ConfigurationError, match="give a URL"):
        Address(redis.Redis(), DEADLINES).async_connection()
    with pytest.raises(ConfigurationError, match="give a URL"):
        Address(redis.asyncio.Redis(), DEADLINES).connection()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pass@host:1/0", "redis://***@host:1/0"),
        ("redis://:p@ss@host", "redis://***@host"),
        ("redis://host:1/0", "redis://host:1/0"),
        ("unix://:pass@/run/s?db=0", "unix://***@/run/s?db=0"),
        ("unix:///run/s", "unix:///run/s"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    """A URL in a message has neither user nor password."""
    assert redacted(url) == shown


def test_messages_have_no_password(private_redis: PrivateRedis, new_store: StoreMaker) -> None:
    """Wrong login, no server, no URL: none of the errors tells the password."""
    server = private_redis({"requirepass": "right"})
    path = server.socket_path
    with pytest.raises(ServerRefused) as refused:
        new_store(f"unix://:hunter2@{path}").check(10)
    with pytest.raises(ServerRefused) as unauthenticated:
        new_store(f"unix://{path}").check(10)
    with pytest.raises(CacheUnavailable) as gone:
        new_store(f"unix://:hunter2@{path}.not").check(10)
    with pytest.raises(ConfigurationError) as no_url:
        make_store("https://me:hunter2@host")
    messages = [str(one.value) for one in (refused, unauthenticated, gone, no_url)]
    assert not any("hunter2" in message for message in messages)
    new_store(f"unix://:right@{path}").check(10)


def test_a_database_that_is_not_there(redis_url: str, new_store: StoreMaker) -> None:
    """A database number the server does not have is refused when the cache is made."""
    with pytest.raises(ServerRefused):
        new_store(redis_url.replace("db=0", "db=9999")).check(10)


def test_nobody_listens(new_store: StoreMaker) -> None:
    """A port that nobody listens on is told at once, with the remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(CacheUnavailable, match="check_server=False"):
            new_store(f"redis://127.0.0.1:{port}").check(10)


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("6.0.16", False), ("5.0", False), ("6.2.0", True), ("7.2.4", True), ("10.0.0", True)],
)
def test_the_oldest_server(version: str, accepted: bool) -> None:
    """Servers before 6.2 are refused by name; the run id of others is known."""
    info = f"# Server\r\nredis_version:{version}\r\nrun_id:{'ab' * 20}\r\n".encode()
    if accepted:
        assert run_id(info) == b"ab" * 8
    else:
        with pytest.raises(ServerRefused, match=version):
            run_id(info)


def test_a_client_of_the_user_is_left_alone(redis_url: str, new_store: StoreMaker) -> None:
    """The cache opens connections of its own beside a client that it was given."""
    with redis.Redis.from_url(redis_url) as client:
        shelf = Shelf(new_store(client).blocking)
        shelf.put(b"1", b"value")
        assert shelf.read(b"1") == b"value"
        assert client.ping() is True


def test_embedded_servers() -> None:
    """Two servers run side by side, each with rows of its own, and leave nothing behind."""
    one, two = EmbeddedServer(), EmbeddedServer()
    stores = [make_store(server.url) for server in (one, two)]
    try:
        first, second = (Shelf(store.blocking) for store in stores)
        first.put(b"1", b"value")
        assert first.read(b"1") == b"value"
        assert second.read(b"1", lease=False) != b"value"
    finally:
        for store in stores:
            store.close()
        for server in (one, two):
            server.stop()
            server.stop()
    for server in (one, two):
        assert not Path(server.url.removeprefix("unix://")).parent.exists()


def test_an_embedded_store() -> None:
    """`embedded://` starts a server, and closing the store stops it."""
    store = make_store("embedded://")
    Shelf(store.blocking).put(b"1", b"value")
    url = str(store.url)
    store.close()
    with pytest.raises(CacheUnavailable):
        make_store(url).check(10)
