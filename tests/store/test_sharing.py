"""One store under threads, event loops, cancellation and forks: no answer reaches another."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from sqlalchemy_rediscache import private
from sqlalchemy_rediscache.store import State, Store
from sqlalchemy_rediscache.store.tokens import Tokens
from tests.fix_caches import CacheMaker
from tests.fix_servers import PrivateRedis
from tests.store.conftest import StoreMaker
from tests.store.shelf import Shelf, until

NAMES = [b"%d" % number for number in range(100)]


def in_child(work: Callable[[], bytes]) -> bytes:
    """What a forked child answers."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, Python 3.12
        pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, work())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    return found


def connections(client: redis.Redis) -> int:
    """How many connections there are beside the client's own."""
    return len(client.client_list(_type="normal")) - 1


def test_threads_get_their_own_answers(shelf: Shelf, redis_client: redis.Redis) -> None:
    """Eight threads read different rows on one store, and once more after the server hung up."""
    for name in NAMES:
        shelf.put(name, b"value " + name)
    wrong: list[Any] = []

    def work(first: int) -> None:
        for step in range(200):
            name = NAMES[(first * 13 + step) % len(NAMES)]
            found = shelf.read(name)
            if found != b"value " + name:
                wrong.append((name, found))

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert 1 <= connections(redis_client) <= 8
        own = redis_client.client_id()
        for one in redis_client.client_list():
            if one["id"] != str(own):
                redis_client.client_kill_filter(_id=one["id"])
    shelf.scripts.transport.close()
    until(lambda: connections(redis_client) == 0)


def test_a_forked_child_opens_its_own_connection(redis_url: str, new_store: StoreMaker) -> None:
    """Parent and child go on side by side, neither reads the other's answers."""
    store = new_store(redis_url)
    shelf = Shelf(store.blocking)
    for name in NAMES[:3]:
        shelf.put(name, b"value " + name)

    def work() -> bytes:
        store.after_fork()
        found = [shelf.read(NAMES[1]) for _ in range(20)]
        shelf.put(b"childs", b"own")
        return found[0] if len(set(found)) == 1 and isinstance(found[0], bytes) else b"mixed up"

    assert in_child(work) == b"value 1"
    assert {shelf.read(NAMES[2]) for _ in range(20)} == {b"value 2"}
    assert shelf.read(b"childs") == b"own"


def test_tokens_are_never_the_same() -> None:
    """Not in two threads, two makers, nor in parent and child."""
    tokens = Tokens()
    found: list[bytes] = []

    def work() -> None:
        found.extend([tokens.new() for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += [Tokens().new() for _ in range(100)]

    def in_the_child() -> bytes:
        tokens.renew()
        return b" ".join(tokens.new() for _ in range(100))

    children = in_child(in_the_child).split()
    found += children
    found += [tokens.new() for _ in range(100)]
    assert len(children) == 100
    assert len(set(found)) == 8300


def test_a_cache_knows_of_forks(make_cache: CacheMaker) -> None:
    """A forked child of a program with a cache makes other tokens, without being told."""
    tokens = make_cache()._store.tokens
    childs = in_child(tokens.new)
    assert childs != b""
    assert childs not in [tokens.new() for _ in range(3)]


def run(store: Store, main: Callable[[Shelf], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in a loop of its own, and close what the loop opened."""

    async def whole() -> Any:
        try:
            return await main(Shelf(store.asyncio))
        finally:
            await store.aclose()

    return asyncio.run(whole())


def test_asyncio_reads_what_threads_wrote(redis_url: str, new_store: StoreMaker) -> None:
    """Both transports of a store speak of the same rows and generations."""
    store = new_store(redis_url)
    Shelf(store.blocking).put(b"1", b"value")

    async def main(shelf: Shelf) -> Any:
        await private.spawn(shelf.put, b"2", b"more")
        return await private.spawn(shelf.read, b"1")

    assert run(store, main) == b"value"
    assert Shelf(store.blocking).read(b"2") == b"more"


def test_several_event_loops(redis_url: str, new_store: StoreMaker) -> None:
    """A store serves one loop after another, each with connections of its own."""
    store = new_store(redis_url)

    async def main(shelf: Shelf) -> Any:
        return await private.spawn(shelf.read, b"1", lease=False)

    assert [run(store, main) for _ in range(3)] == [State.ABSENT] * 3


def test_event_loops_side_by_side(redis_url: str, new_store: StoreMaker) -> None:
    """Loops of two threads use one store at the same time."""
    store = new_store(redis_url)
    Shelf(store.blocking).put(b"1", b"value")
    found: list[Any] = []

    async def main() -> None:
        shelf = Shelf(store.asyncio)
        found.extend([await private.spawn(shelf.read, b"1") for _ in range(50)])
        await store._asyncio.aclose()

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"value"] * 100


def test_tasks_get_their_own_answers(
    redis_url: str, new_store: StoreMaker, redis_client: redis.Redis
) -> None:
    """Tasks of one loop share connections without mixing answers, and none is left over."""
    store = new_store(redis_url)
    blocking = Shelf(store.blocking)
    for name in NAMES:
        blocking.put(name, b"value " + name)
    store.blocking.transport.close()

    async def main(shelf: Shelf) -> Any:
        for _ in range(5):
            found = await asyncio.gather(*(private.spawn(shelf.read, name) for name in NAMES[:20]))
            assert found == [b"value " + name for name in NAMES[:20]]
        return await asyncio.to_thread(connections, redis_client)

    assert run(store, main) <= 20
    until(lambda: connections(redis_client) == 0)


@pytest.mark.parametrize("frozen", [False, True], ids=["not yet run", "run by the server"])
def test_a_cancelled_read_gives_its_lease_back(
    private_redis: PrivateRedis, new_store: StoreMaker, frozen: bool
) -> None:
    """Whether the server ran the call or not, the row is free and no connection is broken."""
    server = private_redis()
    store, other = new_store(server.url), Shelf(new_store(server.url).blocking)
    other.read(b"0")

    async def main(shelf: Shelf) -> None:
        await private.spawn(shelf.read, b"0")
        sent = asyncio.Event()
        once = shelf.scripts.transport._reply  # type: ignore[attr-defined]

        async def noted(connection: Any) -> Any:
            sent.set()
            return await once(connection)

        shelf.scripts.transport._reply = noted  # type: ignore[attr-defined]
        with server.client() as client:
            if frozen:
                server.process.pause()
            else:
                client.client_pause(60_000, all=False)
            task = asyncio.ensure_future(private.spawn(shelf.look, b"1"))
            await sent.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if frozen:
                server.process.resume()
            else:
                client.client_unpause()
        assert await private.spawn(shelf.read, b"0") is State.LEASED

    run(store, main)
    assert other.look(b"1")[0].rows == [State.LEASED]
