"""Rows are loaded anew before they are gone: one reader does, the others are served meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.util import await_only

from sqlalchemy_rediscache import early, from_cache, refresh_cache
from tests.fix_caches import CacheMaker
from tests.integration.aging import STALE, TTL, Aging, Base, Forgotten, Plain, Ware
from tests.integration.stage import Stage
from tests.servers import Database

READERS = 20


@pytest.fixture
def aging(database: Database, make_cache: CacheMaker, redis_client: redis.Redis) -> Aging:
    """Three rows of each model in the cache; who is to wait for another's load waits long."""
    cache = make_cache(lease_ttl=60, lease_wait=60, read_timeout=5, connect_timeout=5)
    stage = Stage(database, cache, Base.metadata, begin=True)
    if stage.is_sqlite:
        with stage.outside.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    with stage.Plain.begin() as session:
        session.add_all(Ware(id=n, name="old", kind=1, notes="x") for n in (1, 2, 3))
        session.flush()
        session.add_all(Plain(id=n, name="old", ware_id=n) for n in (1, 2, 3))
        session.add_all(Forgotten(id=n, name="old") for n in (1, 2, 3))
    for model in (Ware, Plain, Forgotten):
        stage.warm(model, 1, 2, 3)
    return Aging(stage, redis_client)


def test_one_loads_while_the_others_are_served(aging: Aging) -> None:
    """After its ttl a row is loaded by one of many threads; none of the others waits, or asks."""
    stage = aging.stage
    aging.age()
    loading, others_done = threading.Event(), threading.Event()
    found: list[str | None] = []

    @event.listens_for(stage.engine, "before_cursor_execute", once=True)
    def load(*args: Any) -> None:
        loading.set()
        assert others_done.wait(60)

    before = stage.cache.stats()
    with stage.counting() as count:
        one = threading.Thread(target=aging.name)
        one.start()
        assert loading.wait(60)
        others = [threading.Thread(target=lambda: found.append(aging.name()))
                  for _ in range(READERS)]  # fmt: skip
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
        others_done.set()
        one.join()
    after = stage.cache.stats()
    assert found == ["old"] * READERS
    assert count.selects == 1
    assert after.waits == before.waits
    assert after.hits - before.hits == READERS
    assert (after.early_loads, after.misses - before.misses, after.fills - before.fills) == (
        1,
        1,
        1,
    )
    assert aging.served(1) == ["old"]


def test_a_row_lives_for_both_times(aging: Aging) -> None:
    """Filled, published or loaded anew, a row has its ttl and what follows."""
    stage = aging.stage
    assert all(STALE < left <= TTL + STALE for left in aging.left())
    with stage.Session.begin() as session:
        session.get_one(Ware, 1).name = "new"
        session.add(Ware(id=9, name="new"))
    assert aging.served(1, 9) == ["new", "new"]
    assert len(aging.left()) == 4
    assert all(STALE < left <= TTL + STALE for left in aging.left())
    aging.age()
    assert aging.name() == "new"
    assert aging.served(1) == ["new"]
    assert sum(left > STALE for left in aging.left()) == 1
    assert all(left <= TTL for left in aging.left(Plain))


def test_within_its_ttl_nothing_is_loaded(aging: Aging) -> None:
    """A row whose time is not over is a hit, and so is one without stale_ttl to its end."""
    stage = aging.stage
    aging.age(left=STALE + 10)
    aging.age(left=20, model=Plain)
    assert aging.served(1, 2, 3) == ["old"] * 3
    assert aging.sql(lambda: aging.name(model=Plain)) == ("old", 0)
    assert stage.cache.stats().early_loads == 0


def test_a_write_ends_it_at_once(aging: Aging) -> None:
    """In the time after its ttl, too, nobody is served what was there before a commit."""
    stage = aging.stage
    aging.age()

    def write() -> list[str | None]:
        seen = aging.served(1)
        with stage.Session.begin() as session:
            session.get_one(Ware, 1).name = "new"
        return [*seen, aging.name(), aging.name()]

    with aging.meanwhile(write) as found:
        assert aging.name() in {"old", "new"}
    assert found == [["old", "new", "new"]]
    assert [aging.name(), aging.name()] == ["new", "new"]
    aging.age()
    stage.cache.invalidate(Ware, 1)
    assert aging.sql(aging.name) == ("new", 1)


def test_what_was_loaded_before_a_write_is_refused(aging: Aging) -> None:
    """The load that was under way when a writer came does not get in."""
    stage = aging.stage
    aging.age()
    seen: list[Any] = []

    @event.listens_for(stage.engine, "after_cursor_execute")
    def loaded(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("SELECT") and not seen:
            seen.append(statement)
            stage.behind("UPDATE ware SET name = 'new' WHERE id = 1")
            stage.cache.invalidate(Ware, 1)

    before = stage.cache.stats().refused_fills
    assert aging.name() == "old"
    assert len(seen) == 1
    assert [aging.name(), aging.name()] == ["new", "new"]
    assert stage.cache.stats().refused_fills == before + 1


def test_a_write_past_the_cache_is_found(aging: Aging) -> None:
    """What nobody told the cache of is seen by the first reader after the ttl, then by all."""
    stage = aging.stage
    stage.behind("UPDATE ware SET name = 'new' WHERE id = 1")
    assert aging.served(1) == ["old"]
    aging.age()
    with aging.meanwhile(lambda: aging.served(1)) as found:
        assert aging.name() == "new"
    assert found == [["old"]]
    assert aging.served(1) == ["new"]


@pytest.mark.parametrize("model", [Ware, Forgotten])
def test_a_row_that_is_gone(aging: Aging, model: Any) -> None:
    """Where the load finds no row, its value goes, whether or not the absence is remembered."""
    stage = aging.stage
    stage.behind("UPDATE plain SET ware_id = NULL")
    stage.behind(f"DELETE FROM {model.__tablename__} WHERE id = 1")
    stage.cache.invalidate(Plain)
    aging.age(model=model)
    assert [aging.name(model=model) for _ in range(3)] == [None] * 3
    assert stage.cache.stats().early_loads == 1
    if model is Ware:  # the absence is there, and is not loaded early though its time is short
        assert aging.served(1) == [None]


def test_who_loads_and_dies(aging: Aging) -> None:
    """Others are served until the lease of a dead reader expires, then one of them loads."""
    stage = aging.stage
    aging.age()
    services = stage.cache._services
    with stage.Session() as dead:
        access = services.reading(dead, Ware.__mapper__, None)
        assert access is not None
        permit = services.permit(dead, None, access)
        assert permit is not None
        outcome = services.reads.read_row(access.scripts, access.region, access.place, b"1", permit)
        assert outcome.lease is not None
    assert aging.served(1, 1, 1) == ["old"] * 3
    row = outcome.lease.row.decode()
    aging.client.hset(row, "lease", outcome.lease.token + b"|1")
    with aging.meanwhile(lambda: aging.served(1)) as found:
        assert aging.name() == "old"
    assert found == [["old"]]
    assert aging.served(1) == ["old"]


def test_a_load_that_fails(aging: Aging) -> None:
    """The lease is free at once, the value still there, its time as it was."""
    aging.age()

    def fail() -> None:
        raise RuntimeError("the database is gone")

    for _ in range(2):
        with pytest.raises(RuntimeError), aging.meanwhile(fail):
            aging.name()
        assert aging.leases() == 0
        assert all(left < STALE for left in aging.left())
    with aging.meanwhile(lambda: aging.served(1)) as found:
        assert aging.name() == "old"
    assert found == [["old"]]


def test_every_way_of_reading(aging: Aging) -> None:
    """Selects, lazy loads and refreshes load a row anew; each is one statement."""
    stage = aging.stage
    one = select(Ware).where(Ware.id == 1)

    def lazily(session: Session) -> Any:
        return session.get_one(Plain, 1).ware

    def again(session: Session) -> Any:
        ware = session.get_one(Ware, 1)
        session.commit()
        aging.age()
        return ware

    reads: list[Callable[[Session], Any]] = [
        lambda session: session.scalars(one).one(), lazily, again,
    ]  # fmt: skip
    for count_of, read in enumerate(reads, 1):
        if read is not again:
            aging.age()
        with stage.counting() as count, stage.Session() as session:
            assert read(session).name == "old"
        assert count.selects == 1
        assert aging.served(1) == ["old"]
        assert stage.cache.stats().early_loads == count_of


def test_a_batch(aging: Aging) -> None:
    """With one row of an IN over, one reader loads all of them, the others are served them all."""
    stage = aging.stage
    statement = select(Ware).where(Ware.id.in_([1, 2, 3]))

    def read() -> list[str]:
        with stage.Session() as session:
            return [ware.name for ware in session.scalars(statement)]

    aging.age(key=2)

    with aging.meanwhile(lambda: aging.sql(read)) as found:
        assert aging.sql(read) == (["old"] * 3, 1)
    assert found == [(["old"] * 3, 0)]
    assert stage.cache.stats().early_loads == 1
    assert aging.sql(read) == (["old"] * 3, 0)


def test_columns_that_are_loaded_later(aging: Aging) -> None:
    """A group of deferred columns is as old as it was: it goes when the row is loaded anew."""
    stage = aging.stage

    def notes() -> str | None:
        with stage.Session() as session:
            return session.get_one(Ware, 1).notes

    assert [notes(), notes()] == ["x", "x"]
    stage.behind("UPDATE ware SET notes = 'y' WHERE id = 1")
    aging.age()
    aging.name()
    assert [notes(), notes()] == ["y", "y"]
    assert all(left <= TTL + STALE for left in aging.left())


def test_queries_see_rows_that_move(aging: Aging) -> None:
    """A row that was loaded anew has its tags: a write to it ends what depends on them."""
    stage = aging.stage
    statement = select(Ware).where(Ware.kind == 1).order_by(Ware.id).options(from_cache())

    def ids() -> list[int]:
        with stage.Session() as session:
            return [ware.id for ware in session.scalars(statement)]

    assert [ids(), ids()] == [[1, 2, 3]] * 2
    aging.age()
    aging.name()
    with stage.Session.begin() as session:
        session.get_one(Ware, 1).kind = 2
    assert [ids(), ids()] == [[2, 3]] * 2


def test_who_may_not_fill_is_served(aging: Aging) -> None:
    """A transaction that has written, and one with a snapshot, leave the load to others."""
    stage = aging.stage
    aging.age()
    with stage.Session() as session:
        session.add(Plain(id=50, name="own"))
        session.flush()
        with stage.counting() as count:
            assert session.get_one(Ware, 1).name == "old"
        assert count.statements == []
    factory = stage.Session
    if not stage.is_sqlite:
        engine = stage.engine.execution_options(isolation_level="REPEATABLE READ")
        factory = stage.cache.enable(sessionmaker(engine))
    with factory() as session:
        session.get(Ware, 77)  # the stamp is known from now on
    with factory() as session:
        session.execute(text("SELECT count(*) FROM plain"))
        with stage.counting() as count:
            assert session.get_one(Ware, 1).name == "old"
        assert count.statements == []
    assert stage.cache.stats().early_loads == 0
    assert aging.leases() == 0


def test_a_refresh_in_that_time(aging: Aging) -> None:
    """refresh_cache() has its answer from the database, as ever."""
    stage = aging.stage
    stage.behind("UPDATE ware SET name = 'new' WHERE id = 1")
    aging.age()
    with stage.Session() as session:
        assert session.get_one(Ware, 1, options=[refresh_cache()]).name == "new"
    assert aging.name() == "new"


def test_xfetch(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row without stale_ttl is loaded before its end by a reader who drew that, and by no other.

    What is drawn depends on how long loads take.
    """
    stage = aging.stage
    took: list[float] = []

    def ahead(took_ms: float, chance: float) -> float:
        took.append(took_ms)
        return 50_000.0

    chances = [0.9]
    monkeypatch.setattr(early, "ahead_ms", ahead)
    monkeypatch.setattr(early, "random", SimpleNamespace(random=lambda: chances[0]))
    assert aging.sql(lambda: aging.name(model=Plain)) == ("old", 0)  # it has time
    assert took
    assert min(took) > 0
    aging.age(left=40, model=Plain)
    chances[0] = 0.1
    assert aging.sql(lambda: aging.name(model=Plain)) == ("old", 0)  # not drawn
    chances[0] = 0.9

    def read() -> tuple[Any, int]:
        return aging.sql(lambda: aging.name(model=Plain))

    with aging.meanwhile(read) as found:
        assert read() == ("old", 1)
    assert found == [("old", 0)]
    assert stage.cache.stats().early_loads == 1
    assert sum(left > 50 for left in aging.left(Plain)) == 1


def test_asyncio(database: Database, make_cache: CacheMaker, redis_client: redis.Redis) -> None:
    """The same in asyncio sessions: while one loads, the others are served at once."""
    Base.metadata.create_all(plain := database.engine())
    with Session(plain) as session, session.begin():
        session.add(Ware(id=1, name="old"))

    async def main() -> None:
        cache = make_cache(read_timeout=5, connect_timeout=5, lease_ttl=60, lease_wait=60)
        engine = database.async_engine()
        factory = cache.enable(async_sessionmaker(engine))

        async def read() -> str:
            async with factory() as session:
                found: str = (await session.get_one(Ware, 1)).name
                return found

        try:
            for _ in range(2):
                assert await read() == "old"
            for key in redis_client.scan_iter(match="*{ware@*:1"):
                redis_client.pexpire(key, (STALE - 10) * 1000)
            loading, others = asyncio.Event(), asyncio.Event()

            @event.listens_for(engine.sync_engine, "before_cursor_execute", once=True)
            def load(*args: Any) -> None:
                loading.set()
                await_only(others.wait())

            first = asyncio.create_task(read())
            await loading.wait()
            assert await asyncio.gather(*(read() for _ in range(5))) == ["old"] * 5
            others.set()
            assert await first == "old"
            stats = cache.stats()
            assert (stats.early_loads, stats.waits, stats.fills) == (1, 0, 2)
        finally:
            await engine.dispose()
            await cache.aclose()

    asyncio.run(main())
