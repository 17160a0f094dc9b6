"""Several of SQLAlchemy's connections on one of the driver's: its COMMIT commits what all wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, create_engine, text, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from sqlalchemy_rediscache import RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.integration.models import Base, Team, User
from tests.integration.test_commit_outcomes import locks


class Shared:
    """An engine whose connections are one, and a cache."""

    def __init__(self, engine: Engine, cache: RedisCache) -> None:
        self.engine = engine
        self.cache = cache
        Base.metadata.create_all(engine)
        self.Session: sessionmaker[Session] = cache.enable(sessionmaker(engine))
        with self.Session.begin() as session:
            session.add_all([User(id=1, name="ann", city="x"), User(id=2, name="bob", city="x")])
        assert self.read() == ("x", "x")

    def read(self) -> tuple[Any, ...]:
        """What readers are given."""
        found = set()
        for _ in range(2):
            with self.Session() as session:
                found.add(tuple(session.get_one(User, number).city for number in (1, 2)))
        assert len(found) == 1
        return found.pop()

    def truth(self) -> tuple[Any, ...]:
        """What the database has, committed or not: there is one transaction."""
        with self.engine.connect() as connection:
            found = connection.execute(text("SELECT city FROM users ORDER BY id")).scalars()
            return tuple(found)


@pytest.fixture(params=[StaticPool, SingletonThreadPool])
def shared(request: pytest.FixtureRequest, make_cache: CacheMaker) -> Iterator[Shared]:
    """A database in memory."""
    engine = create_engine("sqlite://", poolclass=request.param)
    yield Shared(engine, make_cache())
    engine.dispose()


def write(target: Any, city: str, number: int = 1) -> None:
    """Write past the unit of work."""
    target.execute(update(User).where(User.id == number).values(city=city))


def by_session(shared: Shared) -> None:
    """A session that has read commits."""
    with shared.Session() as session:
        session.connection()
        session.commit()


def by_writing_session(shared: Shared) -> None:
    """A session that has written another row commits."""
    with shared.Session() as session:
        session.get_one(User, 2).city = "new"
        session.commit()


def by_connection(shared: Shared) -> None:
    """A connection that has sent nothing."""
    with shared.engine.begin():
        pass


def by_derived_connection(shared: Shared) -> None:
    """One of an engine that is derived."""
    with shared.engine.execution_options(x=1).begin() as connection:
        connection.execute(text("SELECT 1"))


def by_plain_session(shared: Shared) -> None:
    """A session that the cache knows nothing of."""
    with Session(shared.engine) as session:
        session.execute(text("SELECT 1"))
        session.commit()


def by_text(shared: Shared) -> None:
    """COMMIT as text."""
    with shared.engine.connect() as connection:
        connection.execute(text("COMMIT"))


COMMITS = [
    by_session, by_writing_session, by_connection, by_derived_connection, by_plain_session, by_text,
]  # fmt: skip


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize("derived", [False, True])
def test_another_commits_what_a_connection_wrote(
    shared: Shared, commit: Any, derived: bool
) -> None:
    """Readers see it from then on, and what the connection does later changes nothing of it."""
    engine = shared.engine.execution_options(y=1) if derived else shared.engine
    with closing(engine.connect()) as connection:
        write(connection, "core")
        commit(shared)
        with shared.Session() as session:
            assert session.get_one(User, 1).city == "core"
        write(connection, "undone", 2)
        connection.rollback()
    assert shared.read() == shared.truth()
    assert shared.read()[0] == "core"
    assert audit(shared.cache, shared.engine) == []


def test_what_is_not_committed_is_kept_from_the_cache(shared: Shared) -> None:
    """A session reads what a connection wrote from the database, and does not fill it."""
    with shared.engine.connect() as connection:
        write(connection, "undone")
        with shared.Session() as session:
            assert session.get_one(User, 1).city == "undone"
            connection.rollback()
    assert shared.read() == ("x", "x")
    with shared.engine.connect() as connection:
        write(connection, "undone")
        with shared.Session() as session:
            session.execute(text("SELECT 1"))
            shared.cache.invalidate(User)
            assert session.get_one(User, 1).city == "undone"
            connection.rollback()
    assert shared.read() == ("x", "x")


@pytest.mark.parametrize("consistency", ["available", "strict"])
def test_a_rollback_is_no_trouble(
    request: pytest.FixtureRequest, make_cache: CacheMaker, consistency: Any
) -> None:
    """What it undoes is emptied: it was told in time, and nothing is owed."""
    engine = create_engine("sqlite://")
    request.addfinalizer(engine.dispose)
    shared = Shared(engine, make_cache(consistency=consistency))
    with shared.Session() as session:
        session.get_one(User, 1).city = "undone"
        session.flush()
        session.rollback()
    with shared.Session() as session:
        session.add(User(id=3, name="cid", city="undone"))
        session.flush()
    assert shared.read() == ("x", "x")
    assert (shared.cache.stats().unsettled, shared.cache.stats().errors) == (0, 0)
    assert audit(shared.cache, engine) == []


def test_a_connection_that_closes_ends_nothing_of_anothers(shared: Shared) -> None:
    """What a connection has written stays noted while others come and go."""
    with closing(shared.engine.connect()) as one, closing(shared.engine.connect()) as other:
        write(one, "one")
        write(other, "other", 2)
        other.commit()
        assert shared.read() == ("one", "other")
        other.close()
        write(one, "late")
        with shared.engine.begin():
            pass
        one.commit()
        assert shared.read() == shared.truth() == ("late", "other")
    assert audit(shared.cache, shared.engine) == []


def test_the_row_is_locked_before_the_others_commit(
    shared: Shared, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And released right after it, not when the transaction ends that wrote it."""
    seen: list[Any] = []
    dialect: Any = type(shared.engine.dialect)
    original = dialect.do_commit

    def committed(self: Any, connection: Any) -> None:
        original(self, connection)
        seen.extend(locks(redis_client))

    with closing(shared.engine.connect()) as connection:
        write(connection, "core")
        monkeypatch.setattr(dialect, "do_commit", committed)
        by_connection(shared)
        monkeypatch.undo()
        assert seen != []
        assert list(locks(redis_client)) == []
    assert shared.read() == ("core", "x")


def test_a_connection_that_has_committed_keeps_nobody_out(shared: Shared) -> None:
    """It is open still, and nothing of it is uncommitted: other rows are served."""
    with shared.engine.connect() as connection:
        connection.execute(update(Team).values(name="new"))
        connection.commit()
        assert shared.read() == ("x", "x")
        before = shared.cache.stats().hits
        assert shared.read() == ("x", "x")
        assert shared.cache.stats().hits == before + 4


def test_asyncio(make_cache: CacheMaker) -> None:
    """The same with aiosqlite, within its event loop."""

    async def main() -> list[Any]:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        cache = make_cache()
        factory = cache.enable(async_sessionmaker(engine))
        found = []
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with factory.begin() as session:
            session.add(User(id=1, name="ann", city="x"))
        async with engine.connect() as connection:
            for city in ("one", "two"):
                async with factory() as session:
                    found.append((await session.get_one(User, 1)).city)
                await connection.execute(update(User).values(city=city))
                async with engine.begin():
                    pass
                await connection.rollback()
        async with factory() as session:
            found.append((await session.get_one(User, 1)).city)
        await engine.dispose()
        await cache.aclose()
        return found

    assert asyncio.run(main()) == ["x", "one", "two"]
