"""Servers that restart, forget, refuse, hang and hang up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from sqlalchemy_rediscache.errors import CacheUnavailable
from sqlalchemy_rediscache.store import State
from tests.fix_judge import judge_keys
from tests.fix_servers import PrivateRedis
from tests.servers import RedisServer
from tests.store.conftest import StoreMaker
from tests.store.shelf import Shelf, until

pytestmark = pytest.mark.every_redis


def test_a_restart_starts_a_quarantine(private_redis: PrivateRedis, new_store: StoreMaker) -> None:
    """After a restart no lease is granted until every lock that was lost would have expired."""
    server = private_redis()
    shelf = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    shelf.put(b"1", b"old")
    with server.client() as client:
        before = shelf.key(client, b"1")
    server.process.kill()
    server.process.start()
    fresh = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    assert shelf.read(b"1") is State.LOCKED
    assert fresh.read(b"1") is State.LOCKED  # whom the guard told
    assert shelf.look(b"2")[0].busy
    until(lambda: fresh.read(b"1") is State.LEASED)
    with server.client() as client:
        assert shelf.key(client, b"1") != before
        assert list(judge_keys(client)) == []


@pytest.mark.parametrize("who", ["one that knew the server", "one that did not"])
def test_rows_from_before_a_restart_are_out_of_reach(
    private_redis: PrivateRedis, new_store: StoreMaker, who: str
) -> None:
    """What a restarted server loads from its disk is never served: locks may have been lost."""
    server = private_redis()
    shelf = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    shelf.put(b"1", b"old")
    with server.client() as client:
        client.save()
        before = shelf.key(client, b"1")
    server.process.kill()
    server.process.start()
    if who == "one that did not":
        shelf = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    with server.client() as client:
        assert client.exists(before)
    assert shelf.read(b"1") is State.LOCKED
    until(lambda: shelf.read(b"1") is State.LEASED)


@pytest.mark.parametrize("kept", [False, True], ids=["emptied", "kept"])
def test_a_release_after_a_restart_publishes_nothing(
    private_redis: PrivateRedis, new_store: StoreMaker, kept: bool
) -> None:
    """A lock that was taken before a restart is lost with it."""
    server = private_redis()
    shelf = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    token, generation, _ = shelf.lock(b"1")
    if kept:
        with server.client() as client:
            client.save()
    server.process.kill()
    server.process.start()
    assert shelf.release(token, generation, b"1", value=b"new") == 0
    assert shelf.read(b"1") is State.LOCKED
    until(lambda: shelf.read(b"1") is State.LEASED)


def test_a_lease_does_not_survive_a_restart(
    private_redis: PrivateRedis, new_store: StoreMaker
) -> None:
    """What was loaded before a restart is not filled after it."""
    server = private_redis()
    shelf = Shelf(new_store(server.url, lock_ttl=0.3).blocking)
    lease = shelf.lease(b"1")
    with server.client() as client:
        client.save()
    server.process.kill()
    server.process.start()
    assert shelf.fill([(lease, b"old", 1000)]) == 0


def test_scripts_are_loaded_again(shelf: Shelf, redis_client: redis.Redis) -> None:
    """A server that forgot the scripts is given them, in the middle of whatever was asked."""
    redis_client.script_flush()
    lease = shelf.lease(b"1")
    redis_client.script_flush()
    assert shelf.fill([(lease, b"value", 1000)]) == 1
    redis_client.script_flush()
    assert shelf.read(b"1") == b"value"
    redis_client.script_flush()
    token, generation, values = shelf.lock(b"1")
    assert list(values) == [b"value"]
    redis_client.script_flush()
    assert shelf.release(token, generation, b"1", value=b"new") == 1
    redis_client.script_flush()
    shelf.invalidate(b"1")
    assert shelf.read(b"1") is State.LEASED


def test_a_connection_closed_while_idle(shelf: Shelf, redis_client: redis.Redis) -> None:
    """That the server closed an idle connection is noticed by nobody."""
    shelf.put(b"1", b"value")
    for _ in range(3):
        assert hang_up(redis_client) >= 1
        assert shelf.read(b"1") == b"value"


def hang_up(client: redis.Redis, command: str | None = None) -> int:
    """Close the others' connections, those that wait for a command only where it is given."""
    own = client.client_id()
    found = [
        one
        for one in client.client_list()
        if one["id"] != str(own) and (command is None or one["cmd"].startswith(command))
    ]
    return sum(bool(client.client_kill_filter(_id=one["id"])) for one in found)


class Call(threading.Thread):
    """A call on a thread of its own, which a paused server keeps waiting."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        """Read one row."""
        try:
            self.outcome = self.shelf.read(b"1")
        except CacheUnavailable as error:
            self.outcome = error


def blocked(client: redis.Redis) -> bool:
    """Does a call wait for the server to go on?"""
    return any("b" in one["flags"] for one in client.client_list())


@pytest.mark.parametrize("warm", [True, False])
def test_a_connection_closed_in_mid_call(
    private_redis: PrivateRedis, new_store: StoreMaker, warm: bool
) -> None:
    """An old connection that breaks is replaced once; a new one that breaks is an error."""
    server = private_redis()
    first = Shelf(new_store(server.url).blocking)
    first.put(b"1", b"value")
    shelf = Shelf(new_store(server.url).blocking)
    if warm:
        assert shelf.read(b"1") == b"value"
    with server.client() as client:
        client.client_pause(60_000, all=False)
        call = Call(shelf)
        until(lambda: blocked(client))
        assert hang_up(client, "evalsha") >= 1
        if warm:
            until(lambda: blocked(client))
        else:
            call.join()
        client.client_unpause()
        call.join()
    if warm:
        assert call.outcome == b"value"
    else:
        assert isinstance(call.outcome, CacheUnavailable)
    assert shelf.read(b"1") == b"value"


def test_a_server_that_hangs(private_redis: PrivateRedis, new_store: StoreMaker) -> None:
    """A call to a frozen server fails at its deadline, and its late answer reaches nobody."""
    server = private_redis()
    first = Shelf(new_store(server.url).blocking)
    for name in (b"1", b"2"):
        first.put(name, b"value " + name)
    shelf = Shelf(new_store(server.url, read_timeout=0.05, connect_timeout=0.05).blocking)
    assert shelf.read(b"1") == b"value 1"
    server.process.pause()
    for name in (b"1", b"2"):
        with pytest.raises(CacheUnavailable):
            shelf.read(name)
    with pytest.raises(CacheUnavailable):
        shelf.lock(b"1")
    server.process.resume()
    until(lambda: answers(shelf, b"2"))
    assert shelf.read(b"2") == b"value 2"


def answers(shelf: Shelf, name: bytes) -> bool:
    """Does the server answer within the deadline?"""
    try:
        shelf.read(name)
    except CacheUnavailable:
        return False
    return True


def test_no_server_at_all(private_redis: PrivateRedis, new_store: StoreMaker) -> None:
    """Every call says that the cache is unavailable, and works again when the server is back."""
    server = private_redis()
    shelf = Shelf(new_store(server.url, lock_ttl=0.05).blocking)
    shelf.put(b"1", b"value")
    server.process.kill()
    calls: list[Callable[[], object]] = [
        lambda: shelf.read(b"1"),
        lambda: shelf.lock(b"1"),
        lambda: shelf.release(b"t", b"g", b"1"),
        lambda: shelf.scripts.clear(b"*"),
        shelf.invalidate,
    ]
    for call in calls:
        with pytest.raises(CacheUnavailable, match="Redis"):
            call()
    server.process.start()
    until(lambda: shelf.read(b"1") is State.LEASED)


def test_a_primary_that_became_a_replica(
    private_redis: PrivateRedis, new_store: StoreMaker
) -> None:
    """A refused write drops the connection and is an error; a promoted server serves again."""
    server: RedisServer = private_redis()
    shelf = Shelf(new_store(server.url).blocking)
    shelf.put(b"1", b"value")
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        for call in (lambda: shelf.look(b"2"), lambda: shelf.lock(b"1"), shelf.invalidate):
            with pytest.raises(CacheUnavailable, match=r"READONLY|read only"):
                call()
            assert len(client.client_list(_type="normal")) == 1
        client.replicaof("NO", "ONE")
    assert shelf.read(b"2") is State.LEASED


def test_memory_that_is_used_up(private_redis: PrivateRedis, new_store: StoreMaker) -> None:
    """A server that takes no more is an error of the cache, not of the program."""
    server = private_redis({"maxmemory-policy": "noeviction"})
    shelf = Shelf(new_store(server.url).blocking)
    shelf.put(b"1", b"value")
    with server.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(CacheUnavailable):
            shelf.lock(b"1")
        client.config_set("maxmemory", "0")
    assert shelf.read(b"2") is State.LEASED
