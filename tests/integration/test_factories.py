"""What can be enabled, and undone; threads share it."""

from __future__ import annotations

import threading

import pytest
import redis
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqlalchemy_rediscache import AlreadyEnabled, ConfigurationError, RedisCache
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage


def is_hit(stage: Stage, factory: object) -> bool:
    """Does a session of the factory get a warm row without SQL?"""
    stage.warm(User, 1)
    with stage.counting() as count, factory() as session:  # type: ignore[operator]
        assert session.get(User, 1).name == "ann"
    return count.statements == []


def test_sessionmaker(stage: Stage) -> None:
    """enable() returns what it was given; a second call changes nothing."""
    factory = sessionmaker(stage.engine)
    assert stage.cache.enable(factory) is factory
    stage.cache.enable(factory)
    assert is_hit(stage, factory)
    assert isinstance(factory(), Session)


def test_scoped_session(stage: Stage) -> None:
    """A registry of sessions for each thread."""
    registry = stage.cache.enable(scoped_session(sessionmaker(stage.engine)))
    stage.warm(User, 1)
    with stage.counting() as count:
        assert registry.get(User, 1).name == "ann"
    assert count.statements == []
    registry.remove()


def test_session_class(stage: Stage) -> None:
    """A class of sessions is served by events: keys, relationships and expired objects."""

    class Own(Session):
        pass

    stage.cache.enable(Own)
    stage.warm(User, 1)
    with stage.counting() as count, Own(stage.engine) as session:
        assert session.get_one(User, 1).name == "ann"
    assert count.statements == []
    with Own(stage.engine) as session:
        session.get_one(User, 1).city = "new"
        session.commit()
    with Own(stage.engine) as session:
        assert session.get_one(User, 1).city == "new"


def test_a_class_of_ones_own_is_extended(stage: Stage) -> None:
    """A factory of a subclass keeps its methods."""

    class Own(Session):
        def greet(self) -> str:
            return "hello"

    factory = stage.cache.enable(sessionmaker(stage.engine, class_=Own))
    assert is_hit(stage, factory)
    assert factory().greet() == "hello"


def test_disable(stage: Stage) -> None:
    """A disabled factory is as it was."""
    factory = stage.cache.enable(sessionmaker(stage.engine))
    stage.cache.disable(factory)
    assert factory.class_ is sessionmaker(stage.engine).class_ or factory.class_.__bases__ == (
        Session,
    )
    assert not is_hit(stage, factory)
    stage.cache.disable(factory)


def test_two_caches_on_one_factory(stage: Stage, make_cache: CacheMaker) -> None:
    """The second is refused, until the first lets go."""
    other = make_cache(prefix="other")
    with pytest.raises(AlreadyEnabled, match="disable"):
        other.enable(stage.Session)
    stage.cache.disable(stage.Session)
    other.enable(stage.Session)


def test_what_can_not_be_enabled(stage: Stage) -> None:
    """An engine, a session or a function is refused with a word about what is wanted."""
    for wrong in (stage.engine, stage.Session(), lambda: None, int, None):
        with pytest.raises(ConfigurationError, match="sessionmaker"):
            stage.cache.enable(wrong)


def test_a_client_of_the_other_kind(redis_url: str, stage: Stage) -> None:
    """A blocking client can't serve asyncio sessions, nor the other way round."""
    with redis.Redis.from_url(redis_url) as client, RedisCache(client, prefix="t") as cache:
        cache.enable(sessionmaker(stage.engine))
        with pytest.raises(ConfigurationError, match="asyncio"):
            cache.enable(async_sessionmaker())
    with RedisCache(redis.asyncio.Redis.from_url(redis_url), prefix="t") as cache:
        cache.enable(async_sessionmaker())
        with pytest.raises(ConfigurationError, match="synchronous"):
            cache.enable(sessionmaker(stage.engine))


def test_threads_share_a_factory(stage: Stage) -> None:
    """Readers and a writer in threads: each read is one of the values that were committed."""
    stage.warm(User, 1)
    seen: list[set[str | None]] = [set() for _ in range(4)]
    done = threading.Event()

    def read(found: set[str | None]) -> None:
        while not done.is_set():
            with stage.Session() as session:
                found.add(session.get_one(User, 1).city)

    threads = [threading.Thread(target=read, args=(found,)) for found in seen]
    for thread in threads:
        thread.start()
    written = {"x"}
    for number in range(20):
        written.add(f"v{number}")
        with stage.Session.begin() as session:
            session.get_one(User, 1).city = f"v{number}"
        with stage.Session() as session:
            assert session.get_one(User, 1).city == f"v{number}"
    done.set()
    for thread in threads:
        thread.join()
    assert all(found <= written for found in seen)


def test_after_close_sessions_go_to_the_database(stage: Stage) -> None:
    """A closed cache leaves the factory working, without cache."""
    stage.warm(User, 1)
    stage.cache.close()
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(User, 1).name == "ann"
    assert count.selects == 1
