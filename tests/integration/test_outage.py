"""Redis goes away: reads go to the database, writes commit and are made good afterwards."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from sqlalchemy_rediscache import CacheUnavailable, RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.fix_servers import PrivateRedis
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.integration.test_writes import city
from tests.servers import Database


@pytest.mark.warnings_allowed
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_reads_and_writes_go_on(database: Database, private_redis: PrivateRedis, how: str) -> None:
    """Nothing raises, nothing is stale afterwards, in this process."""
    server = private_redis()
    stage = Stage(database, RedisCache(server.url, prefix="t", lock_ttl=1))
    stage.populate()
    stage.warm(User, 1, 2)
    if how == "killed":
        server.process.kill()
    else:
        server.process.pause()
    assert city(stage, 1) == "x"
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = "new"
    assert city(stage, 1) == "new"
    with stage.Session() as session:
        session.get_one(User, 2).city = "lost"
        session.flush()
        session.rollback()
    assert stage.cache.stats().errors > 0
    assert stage.cache.stats().unsettled > 0
    if how == "killed":
        server.process.start()
    else:
        server.process.resume()
    for _ in range(2):
        assert (city(stage, 1), city(stage, 2)) == ("new", "x")
    assert audit(stage.cache, stage.outside) == []
    stage.cache.close()


@pytest.mark.warnings_allowed
def test_an_outage_is_said_once(
    database: Database, private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """However many commits Redis is not told of, the log says so once, and that it is over."""
    server = private_redis()
    stage = Stage(database, RedisCache(server.url, prefix="t", lock_ttl=1))
    stage.populate()
    caplog.set_level("INFO", "sqlalchemy_rediscache")
    for outage in (1, 2):
        stage.warm(User, 1)
        server.process.kill()
        for number in range(4):
            with stage.Session.begin() as session:
                session.get_one(User, 1).city = f"{outage}-{number}"
        server.process.start()
        assert city(stage, 1) == f"{outage}-3"
        said = [record.levelname for record in caplog.records]
        assert said == ["WARNING", "INFO"] * outage
    stage.cache.close()


@pytest.mark.warnings_allowed
def test_a_strict_commit_fails(database: Database, private_redis: PrivateRedis) -> None:
    """consistency="strict": no commit that Redis was not told of."""
    server = private_redis()
    stage = Stage(database, RedisCache(server.url, prefix="t", consistency="strict"))
    stage.populate()
    stage.warm(User, 1)
    server.process.kill()
    session = stage.Session()
    session.get_one(User, 1).city = "new"
    with pytest.raises(CacheUnavailable):
        session.commit()
    session.rollback()
    session.close()
    with stage.Plain() as plain:
        assert plain.get_one(User, 1).city == "x"
    server.process.start()
    assert city(stage, 1) == "x"
    stage.cache.close()


@pytest.mark.warnings_allowed
def test_a_restart_loses_nothing(database: Database, private_redis: PrivateRedis) -> None:
    """After a restart, entries of the run before are out of reach, and reads are right."""
    server = private_redis()
    stage = Stage(database, RedisCache(server.url, prefix="t", lock_ttl=1))
    stage.populate()
    stage.warm(User, 1)
    server.process.stop()
    stage.behind("UPDATE users SET city = 'behind' WHERE id = 1")
    server.process.start()
    assert city(stage, 1) == "behind"
    stage.cache.close()


@pytest.mark.warnings_allowed
def test_invalidate_without_redis(database: Database, private_redis: PrivateRedis) -> None:
    """invalidate() and clear() raise, and are made good before the cache is used again."""
    server = private_redis()
    stage = Stage(database, RedisCache(server.url, prefix="t"))
    stage.populate()
    stage.warm(User, 1)
    stage.behind("UPDATE users SET city = 'behind' WHERE id = 1")
    server.process.pause()
    with pytest.raises(CacheUnavailable):
        stage.cache.invalidate(User, 1)
    with pytest.raises(CacheUnavailable):
        stage.cache.clear()
    server.process.resume()
    assert city(stage, 1) == "behind"
    stage.cache.close()


def _in_child(stage: Stage, answers: Any) -> None:
    stage.engine.dispose(close=False)
    with stage.counting() as count:
        first = city(stage, 1)
    with stage.Session.begin() as session:
        session.get_one(User, 2).city = "child"
    answers.put((first, count.statements, city(stage, 2)))


def test_fork_with_a_warm_cache(database: Database, make_cache: CacheMaker) -> None:
    """A forked child uses connections of its own; parent and child see each other's writes."""
    stage = Stage(database, make_cache())
    stage.populate()
    stage.warm(User, 1, 2)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(stage, answers))
    child.start()
    for _ in range(20):  # at the same time, on the parent's connection
        assert city(stage, 1) == "x"
    assert answers.get() == ("x", [], "child")
    child.join()
    assert city(stage, 2) == "child"
