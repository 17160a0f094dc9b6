"""Commits that fail, in two phases, or whose outcome nobody knows; isolation levels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import redis
from sqlalchemy import Connection, ForeignKey, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin, CacheUnavailable
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage, make_engine
from tests.integration.test_sqlite_transactions import unreachable
from tests.integration.test_writes import city
from tests.listening import listening
from tests.servers import Database


class _Base(DeclarativeBase):
    pass


class Node(CacheMixin, _Base):
    """Its reference is checked at COMMIT."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("node.id", deferrable=True, initially="DEFERRED")
    )


def locks(client: redis.Redis) -> Iterator[bytes]:
    """The fields of writers' locks and readers' leases that are left."""
    for key in client.scan_iter():
        for field in cast("list[bytes]", client.hkeys(key)):
            if field == b"lease" or field.lower().startswith(b"w:"):
                yield key + b" " + field


def test_a_commit_that_fails(
    database: Database, make_cache: CacheMaker, redis_client: redis.Redis
) -> None:
    """A deferred constraint fails at COMMIT: nothing is published, no lock is left."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(Node(id=1, name="one"))
    stage.warm(Node, 1)
    session = stage.Session()
    node = session.get_one(Node, 1)
    node.name = "lost"
    node.parent_id = 99
    with pytest.raises(IntegrityError):
        session.commit()
    session.rollback()
    session.close()
    assert list(locks(redis_client)) == []
    with stage.Session() as session:
        assert session.get_one(Node, 1).name == "one"
    with stage.Session.begin() as session:
        session.get_one(Node, 1).name = "two"
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(Node, 1).name == "two"
    assert count.selects <= 1


def test_an_error_in_a_flush(stage: Stage, redis_client: redis.Redis) -> None:
    """An integrity error rolls back; readers see what was there."""
    stage.warm(User, 1, 2)
    with stage.Session() as session:
        session.get_one(User, 1).city = "lost"
        session.flush()
        session.add(User(id=2, name="double"))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        assert session.get_one(User, 1).city == "x"
    assert city(stage, 1) == "x"
    assert list(locks(redis_client)) == []


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("commit", [True, False])
def test_two_phases(stage: Stage, redis_client: redis.Redis, commit: bool) -> None:
    """Prepared, then committed or rolled back: others read the old row until the second phase."""
    with stage.outside.connect() as connection:
        if int(connection.scalar(text("SHOW max_prepared_transactions")) or 0) == 0:
            pytest.skip("max_prepared_transactions is 0")
    stage.warm(User, 1)
    factory = stage.cache.enable(sessionmaker(stage.engine, twophase=True))
    with factory() as session:
        session.get_one(User, 1).city = "new"
        session.prepare()
        assert city(stage, 1) == "x"
        if commit:
            session.commit()
        else:
            session.rollback()
    assert city(stage, 1) == ("new" if commit else "x")
    assert list(locks(redis_client)) == []


@pytest.mark.databases("postgresql")
def test_a_connection_lost_in_commit(stage: Stage, redis_client: redis.Redis) -> None:
    """Nobody knows whether the commit landed: the row stays locked, readers ask the database."""
    stage.warm(User, 1)
    session = stage.Session()
    session.get_one(User, 1).city = "new"
    session.flush()
    pid = session.scalar(text("SELECT pg_backend_pid()"))

    def cut(connection: object) -> None:
        stage.behind(f"SELECT pg_terminate_backend({pid})")

    with listening(stage.engine, "commit", cut), pytest.raises(DBAPIError):
        session.commit()
    session.close()
    assert list(locks(redis_client)) != []
    stage.behind("UPDATE users SET city = 'landed' WHERE id = 1")
    assert city(stage, 1) == "landed"
    stage.behind("UPDATE users SET city = 'later' WHERE id = 1")
    assert city(stage, 1) == "later"


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_stays_a_snapshot(stage: Stage, level: str) -> None:
    """A transaction does not see through the cache what its snapshot does not show."""
    stage.warm(User, 1, 2)
    engine = make_engine(stage.database, isolation_level=level)
    factory = stage.cache.enable(sessionmaker(engine))
    with factory() as old:
        old.connection()
        old.execute(text("SELECT 1 FROM users"))  # the snapshot is taken
        with stage.Session.begin() as session:
            session.get_one(User, 1).city = "new"
        stage.warm(User, 1)
        assert old.get_one(User, 1).city == "x"
    assert city(stage, 1) == "new"
    with factory() as new:
        assert new.get_one(User, 1).city == "new"


@pytest.mark.databases("postgresql")
def test_an_old_snapshot_does_not_fill(stage: Stage) -> None:
    """A cold row read in an old snapshot after a commit is not put in the cache."""
    engine = make_engine(stage.database, isolation_level="REPEATABLE READ")
    factory = stage.cache.enable(sessionmaker(engine))
    stage.warm(User, 2)
    with factory() as old:
        old.execute(text("SELECT 1 FROM users"))
        with stage.Session.begin() as session:
            session.get_one(User, 1).city = "new"
        stage.cache.invalidate(User, 1)
        assert old.get_one(User, 1).city == "x"
    assert city(stage, 1) == "new"


def test_a_change_by_another_transaction_is_not_overwritten(stage: Stage) -> None:
    """Write-through publishes the row as it is, not the older object with one change."""
    with stage.Session() as session:
        user = session.get_one(User, 1)
        session.commit()
        assert user.city == "x"
        session.connection().close()
        session.close()
        with stage.Session.begin() as other:
            other.get_one(User, 1).city = "theirs"
        session.add(user)
        user.name = "mine"
        session.commit()
    with stage.Session() as session:
        user = session.get_one(User, 1)
        assert (user.name, user.city) == ("mine", "theirs")


def test_a_trigger_changes_a_row_on_its_way_in(database: Database, make_cache: CacheMaker) -> None:
    """What the database makes of a row is what readers get, not Python's copy."""
    stage = Stage(database, make_cache())
    stage.populate()
    for statement in _TRIGGER[database.name]:
        with stage.outside.begin() as connection:
            connection.exec_driver_sql(statement)
    stage.warm(User, 1)
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = "lower"
        session.add(User(id=7, name="dan", city="inserted"))
    assert (city(stage, 1), city(stage, 7)) == ("LOWER", "INSERTED")


_TRIGGER = {
    "sqlite": [
        "CREATE TRIGGER up AFTER UPDATE ON users BEGIN"
        " UPDATE users SET city = upper(city) WHERE id = new.id; END",
        "CREATE TRIGGER ins AFTER INSERT ON users BEGIN"
        " UPDATE users SET city = upper(city) WHERE id = new.id; END",
    ],
    "postgresql": [
        "CREATE FUNCTION up() RETURNS trigger AS $$ BEGIN NEW.city = upper(NEW.city);"
        " RETURN NEW; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER up BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION up()",
    ],
}


@pytest.mark.parametrize("listens", ["engine", "session's connection"])
def test_what_a_listener_of_commit_writes(stage: Stage, listens: str) -> None:
    """The application's last word before COMMIT is locked too."""
    stage.warm(User, 1)
    stage.warm(User, 2)

    def write(connection: Connection) -> None:
        connection.execute(text("UPDATE users SET city = 'late' WHERE id = 2"))

    with stage.Session() as session:
        session.get_one(User, 1).city = "new"
        target = stage.engine if listens == "engine" else session.connection()
        session.flush()
        with listening(target, "commit", write):
            session.commit()
    assert [city(stage, 1), city(stage, 2)] == ["new", "late"]


@pytest.mark.parametrize("listens", ["engine", "connection"])
@pytest.mark.parametrize("commits", ["session", "plain session", "connection"])
def test_the_first_write_is_a_listeners(
    stage: Stage,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    listens: str,
    commits: str,
) -> None:
    """It is locked before the COMMIT that comes right after it, and released by the usual means."""
    held: list[int] = []
    dialect = type(stage.engine.dialect)
    original = dialect.do_commit

    def committed(self: Any, connection: Any) -> None:
        original(self, connection)
        held.append(len(list(locks(redis_client))))

    def write(connection: Connection) -> None:
        city = connection.scalar(text("SELECT city FROM users WHERE id = 2"))
        connection.execute(text(f"UPDATE users SET city = '{city}y' WHERE id = 2"))

    monkeypatch.setattr(dialect, "do_commit", committed)
    for round_ in (1, 2):
        stage.warm(User, 2)
        stage.warm(User, 2)
        with (
            begun(stage, commits) as (target, connection),
            listening(stage.engine if listens == "engine" else connection, "commit", write),
        ):
            target.commit()
        assert city(stage, 2) == "x" + "y" * round_
    assert all(held), held
    assert list(locks(redis_client)) == []


@contextmanager
def begun(stage: Stage, what: str) -> Iterator[tuple[Any, Connection]]:
    """A transaction that has only read: what commits it, and its connection."""
    if what == "connection":
        with stage.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            yield connection, connection
    else:
        factory = stage.Session if what == "session" else sessionmaker(stage.engine)
        with factory() as session:
            connection = session.connection()
            connection.execute(text("SELECT 1"))
            yield session, connection


def test_a_strict_cache_refuses_what_a_listener_writes_first(
    database: Database, make_cache: CacheMaker
) -> None:
    """Without a lock no COMMIT, and the connection's next user commits nothing of it."""
    cache = make_cache(consistency="strict")
    stage = Stage(database, cache)
    stage.populate()
    stage.warm(User, 2)

    def write(connection: Connection) -> None:
        connection.execute(text("UPDATE users SET city = 'late' WHERE id = 2"))

    with stage.Session() as session:
        session.execute(text("SELECT 1"))
        with (
            listening(stage.engine, "commit", write),
            unreachable(cache),
            pytest.raises(CacheUnavailable),
        ):
            session.commit()
    with stage.engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    assert city(stage, 2) == "x"


def test_a_flush_under_autocommit(stage: Stage) -> None:
    """It is announced at once, and not published by a commit that comes later than others'."""
    stage.warm(User, 1)
    engine = stage.engine.execution_options(isolation_level="AUTOCOMMIT")
    with stage.cache.enable(sessionmaker(engine))() as session:
        session.get_one(User, 1).city = "mine"
        session.flush()
        assert city(stage, 1) == "mine"
        with stage.Session.begin() as other:
            other.get_one(User, 1).city = "other"
        session.commit()
    assert city(stage, 1) == "other"
