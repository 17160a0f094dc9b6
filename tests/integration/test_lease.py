"""Many readers of one cold row: one of them asks the database."""

from __future__ import annotations

import multiprocessing
import threading
import time
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool

from sqlalchemy_rediscache import RedisCache
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.servers import Database

READERS = 200


def slow(engine: Any, counted: list[str]) -> None:
    """Count the engine's SELECTs of users and make each take a moment."""

    @event.listens_for(engine, "before_cursor_execute")
    def executed(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if "FROM users" in statement:
            counted.append(statement)
            time.sleep(0.1)  # a SELECT that takes its time, so that the others meet it


def read_at_once(factory: Any, readers: int, start: Any) -> list[str | None]:
    """Have threads read one row at the same moment."""
    found: list[str | None] = []

    def read() -> None:
        start.wait()
        with factory() as session:
            found.append(session.get(User, 1).city)

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads(database: Database, make_cache: CacheMaker) -> None:
    """200 threads, one SELECT."""
    # a busy machine may take longer than the default deadline for one of 200 answers
    stage = Stage(database, make_cache(read_timeout=5, connect_timeout=5, lease_ttl=30,
                                       lease_wait=30))  # fmt: skip
    stage.populate()
    stage.warm(User, 2)
    counted: list[str] = []
    slow(stage.engine, counted)
    barrier = threading.Barrier(READERS)
    assert read_at_once(stage.Session, READERS, barrier) == ["x"] * READERS
    assert len(counted) == 1


def _child(redis_url: str, url: str, start: Any, answers: Any) -> None:
    cache = RedisCache(redis_url, prefix="t", read_timeout=5, connect_timeout=5, lease_ttl=30,
                       lease_wait=30)  # fmt: skip
    engine = create_engine(url, poolclass=NullPool)
    factory = cache.enable(sessionmaker(engine))
    counted: list[str] = []
    slow(engine, counted)
    found = read_at_once(factory, READERS // 4, start)
    answers.put((len(counted), found))
    cache.close()
    engine.dispose()


def test_processes(stage: Stage, redis_url: str) -> None:
    """4 processes of 50 threads each, one SELECT."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(READERS), context.Queue()
    processes = [
        context.Process(target=_child, args=(redis_url, stage.database.url, start, answers))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    results = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert [found for _, found in results] == [["x"] * (READERS // 4)] * 4
    assert sum(counted for counted, _ in results) == 1


def test_the_wait_is_bounded(database: Database, make_cache: CacheMaker) -> None:
    """A reader whose predecessor died asks the database itself after a while."""
    stage = Stage(database, make_cache(lease_ttl=30, lease_wait=0.05))
    stage.populate()
    stage.warm(User, 2)
    services = stage.cache._services
    dead = stage.Session()
    dead._rediscache_lookups  # type: ignore[attr-defined]  # noqa: B018
    mapper = User.__mapper__
    access = services.reading(dead, mapper, None)
    assert access is not None
    permit = services.permit(dead, None, access)
    assert permit is not None
    outcome = services.reads.read_row(access.scripts, access.region, access.place, b"1", permit)
    assert outcome.lease is not None
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(User, 1).city == "x"
    assert count.selects == 1
    assert stage.cache.stats().waits == 1
    dead.close()
