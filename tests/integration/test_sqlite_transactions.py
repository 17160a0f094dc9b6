"""What SQLite commits without a COMMIT: its driver begins transactions late, and not for all."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, event, exists, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool

from sqlalchemy_rediscache import CacheUnavailable, RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.integration.models import Base, Team, User
from tests.integration.stage import Stage, make_engine
from tests.integration.test_writes import city
from tests.servers import Database

pytestmark = pytest.mark.databases("sqlite")


def truth(stage: Stage, number: int = 1) -> str | None:
    """What is committed."""
    with stage.outside.connect() as connection:
        return connection.scalar(select(User.city).where(User.id == number))


def agreed(stage: Stage, number: int = 1) -> str | None:
    """What readers are given: what is committed, twice, the second time from the cache."""
    expected = truth(stage, number)
    assert (city(stage, number), city(stage, number)) == (expected, expected)
    return expected


def hit(stage: Stage, number: int = 1) -> bool:
    """Does the cache have the row?"""
    with stage.counting() as count:
        city(stage, number)
    return count.selects == 0


def test_a_savepoint_that_begins_a_transaction_commits(stage: Stage) -> None:
    """Its RELEASE is the COMMIT: readers see the row before the session's, and publishes it."""
    stage.warm(User, 1)
    with stage.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "inner"
        assert hit(stage)
        assert agreed(stage) == "inner"
        session.commit()
    assert agreed(stage) == "inner"
    assert stage.cache.stats().published == 1


def test_a_rollback_after_such_a_savepoint_comes_too_late(stage: Stage) -> None:
    """The driver's own transactions: what a released savepoint wrote is there to stay."""
    stage.warm(User, 1, 2)
    with stage.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "inner"
        session.get_one(User, 2).city = "outer"
        session.flush()
        session.rollback()
        assert session.get_one(User, 1).city == "inner"
    assert (agreed(stage, 1), agreed(stage, 2)) == ("inner", "x")
    assert audit(stage.cache, stage.engine) == []


def test_what_is_rolled_back_ends_no_entry(stage: Stage) -> None:
    """Undone by the savepoint, by the transaction around it, by a savepoint in it."""
    stage.warm(User, 1, 2, 3)
    with stage.Session() as session:
        savepoint = session.begin_nested()
        session.get_one(User, 1).city = "undone"
        session.flush()
        savepoint.rollback()
        with session.begin_nested():  # within the first: it is still open
            session.get_one(User, 2).city = "undone"
        assert hit(stage, 2)
        session.rollback()
    with stage.Session() as session:
        session.begin_nested()
        session.get_one(User, 3).city = "undone"
        session.flush()
        session.rollback()
    assert [hit(stage, number) for number in (1, 2, 3)] == [True, True, True]
    assert [agreed(stage, number) for number in (1, 2, 3)] == ["x", "x", "x"]


def test_savepoints_within_such_a_savepoint(stage: Stage) -> None:
    """The innermost commit nothing, the outermost commits what is left."""
    stage.warm(User, 1, 2, 3)
    with stage.Session() as session:
        with session.begin_nested():
            with session.begin_nested():
                session.get_one(User, 1).city = "kept"
            inner = session.begin_nested()
            session.get_one(User, 2).city = "undone"
            session.flush()
            inner.rollback()
            assert (hit(stage, 1), hit(stage, 2)) == (True, True)
            assert (agreed(stage, 1), agreed(stage, 2)) == ("x", "x")
        assert (agreed(stage, 1), agreed(stage, 2)) == ("kept", "x")
        session.get_one(User, 3).city = "later"
        session.commit()
    assert [agreed(stage, number) for number in (1, 2, 3)] == ["kept", "x", "later"]


def test_a_savepoint_after_a_write_commits_nothing(stage: Stage) -> None:
    """There the driver had begun a transaction, also after a RELEASE that committed."""
    stage.warm(User, 1, 2, 3)
    with stage.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "one"
        session.get_one(User, 2).city = "two"
        session.flush()
        with session.begin_nested():
            session.get_one(User, 3).city = "three"
        assert (hit(stage, 2), hit(stage, 3)) == (True, True)
        assert [agreed(stage, number) for number in (1, 2, 3)] == ["one", "x", "x"]
        session.rollback()
    assert (hit(stage, 2), hit(stage, 3)) == (True, True)
    assert [agreed(stage, number) for number in (1, 2, 3)] == ["one", "x", "x"]


def test_a_row_written_again_after_its_savepoint(stage: Stage) -> None:
    """Each of its commits is announced; what another wrote between is not overwritten."""
    stage.warm(User, 1)
    with stage.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "one"
        with stage.Session.begin() as other:
            other.get_one(User, 1).name = "other"
        session.get_one(User, 1).city = "two"
        session.commit()
    assert agreed(stage) == "two"
    assert audit(stage.cache, stage.engine) == []


UPDATE = "UPDATE users SET city = 'core' WHERE id = 1"


@pytest.mark.parametrize(
    ("begin", "release"),
    [
        ("SAVEPOINT a", "RELEASE a"),
        ("savepoint A", "release savepoint a"),
        (' /* x */ SAVEPOINT "a b"', "RELEASE [A B]"),
        ("SAVEPOINT 'a'", "-- x\nRELEASE SAVEPOINT `a`"),
    ],
)
def test_savepoints_by_text(stage: Stage, begin: str, release: str) -> None:
    """Sent as text, through a session or a connection."""
    stage.warm(User, 1)
    with stage.Session() as session:
        session.execute(text(begin))
        session.execute(text(UPDATE))
        session.execute(text("SAVEPOINT inner"))
        session.execute(text("ROLLBACK TRANSACTION TO SAVEPOINT inner"))
        session.execute(text("RELEASE inner"))
        assert hit(stage)
        session.execute(text(release))
        assert agreed(stage) == "core"
        session.rollback()
    assert agreed(stage) == "core"


def test_savepoints_of_a_connection(stage: Stage) -> None:
    """Without a session, and released twice under one name."""
    stage.warm(User, 1)
    with stage.engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(text(UPDATE))
        assert agreed(stage) == "core"
        connection.execute(text("SAVEPOINT a"))
        connection.execute(text("SAVEPOINT a"))
        connection.execute(text("UPDATE users SET city = 'twice' WHERE id = 1"))
        connection.execute(text("RELEASE a"))
        assert hit(stage)
        connection.execute(text("RELEASE a"))
        assert agreed(stage) == "twice"
        connection.rollback()
    assert agreed(stage) == "twice"


def test_back_to_the_first_savepoint_and_its_release(stage: Stage) -> None:
    """Nothing is left to commit, and nothing ends."""
    stage.warm(User, 1)
    with stage.Session() as session:
        session.execute(text("SAVEPOINT a"))
        session.get_one(User, 1).city = "undone"
        session.flush()
        session.execute(text("ROLLBACK TO a"))
        session.execute(text("RELEASE a"))
        assert hit(stage)
        session.commit()
    assert hit(stage)
    assert agreed(stage) == "x"


def test_a_release_that_is_refused(stage: Stage) -> None:
    """A deferred constraint: the savepoint stays open, and is released later, or never."""
    stage.behind("CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER"
                 " REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
    stage.warm(User, 1)
    for repaired in (False, True):
        with stage.Session() as session:
            session.execute(text("SAVEPOINT a"))
            session.get_one(User, 1).city = "late"
            session.flush()
            session.execute(text("INSERT INTO child VALUES (1, 99)"))
            with pytest.raises(IntegrityError):
                session.execute(text("RELEASE a"))
            assert agreed(stage) == "x"
            if repaired:
                session.execute(text("DELETE FROM child"))
                session.execute(text("RELEASE a"))
            session.rollback()
        assert agreed(stage) == ("late" if repaired else "x")


def test_a_strict_cache_without_redis_releases_nothing(
    database: Database, make_cache: CacheMaker
) -> None:
    """The RELEASE is not sent, as no COMMIT would be; a COMMIT is refused after it, too."""
    cache = make_cache(consistency="strict")
    stage = Stage(database, cache)
    stage.populate()
    stage.warm(User, 1)
    with stage.Session() as session:
        session.execute(text("SAVEPOINT a"))
        session.get_one(User, 1).city = "refused"
        session.flush()
        with unreachable(cache):
            for end in ("RELEASE a", None):
                with pytest.raises(CacheUnavailable):
                    session.execute(text(end)) if end else session.commit()
        session.rollback()
    assert agreed(stage) == "x"


@contextmanager
def unreachable(cache: RedisCache) -> Iterator[None]:
    """No lock can be taken."""
    calls = cache._services.store.blocking.calls

    def refuse(*args: Any, **options: Any) -> Any:
        raise CacheUnavailable("not now")

    original = calls.transport.exchange
    calls.transport.exchange = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        calls.transport.exchange = original  # type: ignore[method-assign]


def test_the_recipe_for_test_suites(stage: Stage) -> None:
    """Each session's commit is a RELEASE, which commits: the outer rollback undoes nothing."""
    stage.warm(User, 1)
    with stage.engine.connect() as connection:
        outer = connection.begin()
        factory = stage.cache.enable(
            sessionmaker(connection, join_transaction_mode="create_savepoint")
        )
        for name in ("one", "two"):
            with factory() as session:
                session.get_one(User, 1).city = name
                session.commit()
            assert agreed(stage) == name
        outer.rollback()
    assert agreed(stage) == "two"


def test_a_statement_that_the_driver_begins_nothing_for(stage: Stage) -> None:
    """It knows INSERT, UPDATE, DELETE and REPLACE by the first word: not WITH, not DDL."""
    stage.warm(User, 1, 2)
    teams = select(Team.id).where(Team.id == 1).cte("teams")
    statement = update(User).where(User.id == 1, exists().where(User.team_id == teams.c.id))
    with stage.Session() as session:
        session.execute(
            statement.values(city="with").add_cte(teams),
            execution_options={"synchronize_session": False},
        )
        assert agreed(stage) == "with"
        session.rollback()
    assert agreed(stage) == "with"
    with stage.Session() as session:
        session.execute(text("/* x */ UPDATE users SET city = 'comment' WHERE id = 2"))
        session.rollback()
    assert agreed(stage, 2) == truth(stage, 2)
    with stage.Session() as session:
        session.execute(text("ALTER TABLE users RENAME COLUMN city TO town"))
        session.rollback()
        with pytest.raises(OperationalError):
            session.get(User, 1)


def test_a_driver_that_never_begins(database: Database, make_cache: CacheMaker) -> None:
    """`isolation_level=None` without the recipe: each statement of a flush is there at once."""
    stage = Stage(database, make_cache())
    stage.populate()

    @event.listens_for(stage.engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    stage.warm(User, 1, 2)
    with stage.Session() as session:
        session.get_one(User, 1).city = "flushed"
        session.flush()
        assert agreed(stage) == "flushed"
        with stage.Session.begin() as other:
            other.get_one(User, 1).city = "other"
        with session.begin_nested():
            session.get_one(User, 2).city = "inner"
        assert (agreed(stage, 1), agreed(stage, 2)) == ("other", "inner")
        session.commit()
    assert (agreed(stage, 1), agreed(stage, 2)) == ("other", "inner")


class Silent(sqlite3.Connection):
    """A driver that doesn't say whether a transaction is open."""

    in_transaction: Any = None


def test_a_driver_that_does_not_tell(database: Database, make_cache: CacheMaker) -> None:
    """What may be committed is announced, and counts as written until the transaction ends."""
    stage = Stage(database, make_cache())
    stage.populate()
    engine = make_engine(database, connect_args={"factory": Silent})
    factory = stage.cache.enable(sessionmaker(engine))
    stage.warm(User, 1, 2)
    with factory() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "inner"
        assert agreed(stage) == "inner"
        session.rollback()
    assert agreed(stage) == "inner"
    for commits in (False, True):
        with factory() as session:
            session.get_one(User, 1).city = "outer"
            session.flush()
            with session.begin_nested():
                session.get_one(User, 2).city = "inner"
            assert (agreed(stage, 1), agreed(stage, 2)) == ("inner", "x")
            if commits:
                session.commit()
        expected = ("outer", "inner") if commits else ("inner", "x")
        assert (agreed(stage, 1), agreed(stage, 2)) == expected
    assert audit(stage.cache, stage.engine) == []


def test_a_savepoint_under_autocommit(stage: Stage) -> None:
    """There SAVEPOINT begins a transaction too: nothing is announced before its RELEASE."""
    stage.warm(User, 1)
    engine = stage.engine.execution_options(isolation_level="AUTOCOMMIT")
    with sessionmaker(engine)() as session:
        with session.begin_nested():
            session.execute(text(UPDATE))
            assert agreed(stage) == "x"
        assert agreed(stage) == "core"
        session.execute(text("UPDATE users SET city = 'at once' WHERE id = 1"))
        assert agreed(stage) == "at once"
        session.rollback()
    assert agreed(stage) == "at once"


def test_sessions_on_one_connection(make_cache: CacheMaker) -> None:
    """The RELEASE of one commits what the other wrote."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    cache = make_cache()
    factory = cache.enable(sessionmaker(engine))
    with factory.begin() as session:
        session.add_all([User(id=1, name="ann", city="x"), User(id=2, name="bob", city="x")])
    with factory() as one, factory() as two:
        savepoint = one.begin_nested()
        one.connection()
        two.get_one(User, 2).city = "two"
        two.flush()
        one.get_one(User, 1).city = "one"
        savepoint.commit()
        two.rollback()
        one.rollback()
    assert audit(cache, engine) == []
    with factory() as session:
        assert [session.get_one(User, number).city for number in (1, 2)] == ["one", "two"]
    engine.dispose()


def test_a_listener_releases_in_the_middle_of_a_flush(stage: Stage) -> None:
    """What the flush wrote before it is committed, and not known: everything is emptied."""
    stage.warm(User, 1)

    def release(mapper: Any, connection: Any, target: Any) -> None:
        connection.execute(text("RELEASE a"))

    event.listen(User, "after_update", release)
    try:
        with stage.Session() as session:
            session.execute(text("SAVEPOINT a"))
            session.get_one(User, 1).city = "flushed"
            session.flush()
            assert agreed(stage) == "flushed"
            session.rollback()
    finally:
        event.remove(User, "after_update", release)
    assert agreed(stage) == "flushed"


def test_asyncio(database: Database, make_cache: CacheMaker) -> None:
    """The same with aiosqlite, whose connection has the driver's in it."""
    stage = Stage(database, make_cache())
    stage.populate()

    async def main() -> None:
        engine = database.async_engine()
        factory = stage.cache.enable(async_sessionmaker(engine))
        async with factory() as session:
            assert (await session.get_one(User, 1)).city == "x"
        async with factory() as session:
            async with session.begin_nested():
                (await session.get_one(User, 1)).city = "inner"
            async with factory() as other:
                assert (await other.get_one(User, 1)).city == "inner"
            await session.rollback()
        async with factory() as session:
            assert (await session.get_one(User, 1)).city == "inner"
        await engine.dispose()
        await stage.cache.aclose()

    asyncio.run(main())
    assert truth(stage) == "inner"
