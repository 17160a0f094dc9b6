"""What a session writes is never read stale, and nothing uncommitted is ever in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
from sqlalchemy import delete, insert, select, text, update

from tests.fix_caches import CacheMaker
from tests.integration.models import Base, Emptied, Log, Page, Team, User
from tests.integration.stage import Stage
from tests.servers import Database

USERS: Any = User.__table__


def values_in(client: redis.Redis, table: str) -> Iterator[bytes]:
    """The cached values of a table's rows."""
    for key in client.scan_iter(match=f"*{{{table}@*"):
        if not key.endswith(b":guard"):
            for field, value in cast("dict[bytes, bytes]", client.hgetall(key)).items():
                if field.startswith(b"row:"):
                    yield value


def city(stage: Stage, number: int) -> str | None:
    """What a new session reads."""
    with stage.Session() as session:
        user = session.get(User, number)
        return "gone" if user is None else user.city


def test_an_update_is_seen_by_the_next_reader(stage: Stage) -> None:
    """Read, update, read."""
    stage.warm(User, 1)
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = "new"
    assert city(stage, 1) == "new"


def test_an_update_is_written_through(stage: Stage) -> None:
    """After the commit the new row is in Redis: the next reader is a hit."""
    stage.warm(User, 1)
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = "new"
    with stage.counting() as count:
        assert city(stage, 1) == "new"
    assert (count.statements, stage.cache.stats().published) == ([], 1)


def test_an_expired_attribute_is_no_write(stage: Stage) -> None:
    """An object that a flush looks at, and sends nothing for, ends nothing and misses no COMMIT."""
    stage.warm(User, 1)
    with stage.Session() as session:
        user = session.merge(User(id=1, city="x"))
        user.city = user.city
        session.expire(user, ["name"])
        assert user in session.dirty
        session.commit()
    with stage.counting() as count:
        assert city(stage, 1) == "x"
    assert (count.statements, stage.cache.stats().unsettled) == ([], 0)


def test_write_invalidate_only_empties(stage: Stage) -> None:
    """With write="invalidate" nothing is published."""
    with stage.Session.begin() as session:
        session.add(Emptied(id=1, name="one"))
    stage.warm(Emptied, 1)
    with stage.Session.begin() as session:
        session.get_one(Emptied, 1).name = "two"
    assert stage.cache.stats().published == 0
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(Emptied, 1).name == "two"
    assert count.selects == 1


def test_a_one_row_commit_takes_two_round_trips(stage: Stage) -> None:
    """One to lock, one to release, however many rows."""
    stage.warm(User, 1, 2, 3)
    with stage.Session() as session:
        session.scalars(select(User).where(User.id.in_([1, 2, 3]))).all()[0].city = "new"
        with stage.counting() as count:
            session.commit()
        assert count.trips == 2
        for user in session.scalars(select(User)):
            user.city = "all"
        with stage.counting() as count:
            session.commit()
        assert count.trips == 2


def test_own_writes_are_visible_inside(stage: Stage, redis_client: redis.Redis) -> None:
    """A transaction reads what it flushed; Redis and other sessions do not see it."""
    stage.warm(User, 1, 2)
    with stage.Session() as session:
        user = session.get_one(User, 1)
        user.city = "uncommitted"
        session.add(User(id=7, name="new", city="uncommitted"))
        session.delete(session.get_one(User, 2))
        session.flush()
        session.expire_all()
        assert session.get_one(User, 1).city == "uncommitted"
        session.expunge_all()
        assert session.get_one(User, 1).city == "uncommitted"
        assert session.scalars(select(User).where(User.id.in_([1, 2, 7]))).all()[1].id == 7
        assert session.get(User, 2) is None
        assert not any(b"uncommitted" in value for value in values_in(redis_client, "users"))
        assert (city(stage, 1), city(stage, 2), city(stage, 7)) == ("x", "x", "gone")
        session.rollback()
    assert (city(stage, 1), city(stage, 2), city(stage, 7)) == ("x", "x", "gone")
    assert not any(b"uncommitted" in value for value in values_in(redis_client, "users"))


def test_a_rolled_back_insert_leaves_nothing(stage: Stage, redis_client: redis.Redis) -> None:
    """The flushed row is in nobody's sight after the rollback."""
    with stage.Session() as session:
        session.add(User(id=7, name="new", city="uncommitted"))
        session.flush()
        session.get(User, 7)
        session.rollback()
    assert city(stage, 7) == "gone"
    assert all(value.startswith(b"\xc0") for value in values_in(redis_client, "users"))


def test_close_without_commit_is_a_rollback(stage: Stage) -> None:
    """A session that is only closed publishes nothing."""
    stage.warm(User, 1)
    session = stage.Session()
    session.get_one(User, 1).city = "uncommitted"
    session.flush()
    session.close()
    assert city(stage, 1) == "x"


def test_insert_ends_a_remembered_absence(stage: Stage) -> None:
    """A row that was known not to exist is found once it is inserted."""
    assert city(stage, 7) == "gone"
    assert city(stage, 7) == "gone"
    with stage.Session.begin() as session:
        session.add(User(id=7, name="new", city="here"))
    assert city(stage, 7) == "here"


def test_delete_and_insert_again(stage: Stage) -> None:
    """A deleted row is gone for all, and back when it is inserted again."""
    stage.warm(User, 3)
    with stage.Session.begin() as session:
        session.delete(session.get_one(User, 3))
    assert city(stage, 3) == "gone"
    with stage.Session.begin() as session:
        session.add(User(id=3, name="cid", city="again"))
    assert city(stage, 3) == "again"


def test_delete_and_insert_in_one_transaction(stage: Stage) -> None:
    """The row that a transaction deleted and inserted is the new one."""
    stage.warm(User, 3)
    with stage.Session.begin() as session:
        session.delete(session.get_one(User, 3))
        session.flush()
        session.add(User(id=3, name="cid", city="again"))
    assert city(stage, 3) == "again"


def test_a_changed_key(stage: Stage) -> None:
    """A row is found under its new key and not under its old one."""
    stage.warm(User, 3, 8)
    with stage.Session.begin() as session:
        session.get_one(User, 3).id = 8
    assert (city(stage, 3), city(stage, 8)) == ("gone", "x")


def test_cascades_in_python(stage: Stage) -> None:
    """Rows that the unit of work deletes or changes along are seen."""
    stage.warm(User, 1, 2, 3)
    stage.warm(Team, 1)
    with stage.Session.begin() as session:
        team = session.get_one(Team, 1)
        team.users.remove(session.get_one(User, 1))
    assert (city(stage, 1), city(stage, 2)) == ("gone", "x")
    with stage.Session.begin() as session:
        session.delete(session.get_one(Team, 1))
    assert (city(stage, 2), city(stage, 3)) == ("gone", "gone")


def test_cascades_in_the_database(stage: Stage) -> None:
    """Rows that the database deletes or changes by a foreign key's action are seen."""
    with stage.Plain.begin() as session:
        session.add_all([
            Page(id=1, owner_id=3, title="a"),
            Page(id=2, owner_id=2, parent_id=1, title="b"),
        ])  # fmt: skip
    stage.warm(Page, 1, 2)
    with stage.Session.begin() as session:
        session.delete(session.get_one(User, 3))
    with stage.Session() as session:
        assert session.get(Page, 1) is None
    with stage.Session() as session:
        assert session.get_one(Page, 2).parent_id is None


@pytest.mark.parametrize("how", ["update", "delete", "insert", "text", "core", "connection"])
def test_statements_that_write(stage: Stage, how: str) -> None:
    """Bulk statements, text and Core in the session's transaction are seen after the commit."""
    stage.warm(User, 1, 2, 3, 7)
    table: Any = User.__table__
    with stage.Session.begin() as session:
        if how == "update":
            session.execute(update(User).where(User.name == "ann").values(city="new"))
        elif how == "delete":
            session.execute(delete(User).where(User.name == "ann"))
        elif how == "insert":
            session.execute(insert(User), [{"id": 7, "name": "dan", "city": "new"}])
        elif how == "text":
            session.execute(text("UPDATE users SET city = 'new' WHERE id = 1"))
        elif how == "core":
            session.execute(table.update().where(table.c.id == 1).values(city="new"))
        else:
            connection = session.connection()
            connection.exec_driver_sql("UPDATE users SET city = 'new' WHERE id = 1")
        if how not in ("delete", "insert"):
            assert session.get_one(User, 1).city == "new"
        assert city(stage, 1) == "x"
    expected = {"delete": ("gone", "gone"), "insert": ("x", "new")}.get(how, ("new", "gone"))
    assert (city(stage, 1), city(stage, 7)) == expected


@pytest.mark.parametrize("how", ["update", "text", "core"])
def test_rolled_back_statements_change_nothing(stage: Stage, how: str) -> None:
    """After a rollback readers see what was there, and nothing of the attempt is cached."""
    stage.warm(User, 1)
    with stage.Session() as session:
        if how == "update":
            session.execute(update(User).values(city="new"))
        elif how == "text":
            session.execute(text("UPDATE users SET city = 'new'"))
        else:
            session.connection().execute(USERS.update().values(city="new"))
        assert session.get_one(User, 1).city == "new"
        session.rollback()
    assert city(stage, 1) == "x"


def test_bulk_methods(stage: Stage) -> None:
    """bulk_save_objects and the mappings methods, which fire no event of the unit of work."""
    stage.warm(User, 1, 2, 7, 8)
    with stage.Session.begin() as session:
        session.bulk_save_objects([User(id=7, name="dan", city="new")])
        session.bulk_insert_mappings(User, [{"id": 8, "name": "eve", "city": "new"}])
        session.bulk_update_mappings(User, [{"id": 1, "city": "new"}])
        changed = session.get_one(User, 2)
        changed.city = "new"
        session.bulk_save_objects([changed])
    assert [city(stage, number) for number in (1, 2, 7, 8)] == ["new"] * 4


def test_core_outside_of_sessions(stage: Stage) -> None:
    """Writes on a connection of the same engine are seen after its commit."""
    stage.warm(User, 1)
    with stage.engine.begin() as connection:
        connection.execute(USERS.update().values(city="new"))
        assert city(stage, 1) == "x"
    assert city(stage, 1) == "new"
    with stage.engine.connect() as connection:
        connection.execute(text("UPDATE users SET city = 'lost'"))
        connection.rollback()
    assert city(stage, 1) == "new"
    autocommit = stage.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(text("UPDATE users SET city = 'auto'"))
    assert city(stage, 1) == "auto"


def test_a_database_default_is_read_back(database: Database, make_cache: CacheMaker) -> None:
    """A SQL expression as a value is not published as Python's idea of it."""
    stage = Stage(database, make_cache())
    stage.populate()
    stage.warm(User, 1)
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = text("'a' || 'b'")  # type: ignore[assignment]
        session.add(User(id=7, name="dan", city=text("'c' || 'd'")))
    assert (city(stage, 1), city(stage, 7)) == ("ab", "cd")


def test_several_engines(two_databases: tuple[Database, Database], make_cache: CacheMaker) -> None:
    """A session bound to two engines commits to both; rows of equal keys are kept apart."""
    cache = make_cache()
    one, other = (Stage(database, cache) for database in two_databases)
    one.populate()
    other.populate()
    other.behind("UPDATE users SET city = 'other'")
    one.warm(User, 1)
    other.warm(User, 1)
    assert (city(one, 1), city(other, 1)) == ("x", "other")
    both = cache.enable(type(one.Session)(binds={Log: other.engine, Base: one.engine}))
    with both.begin() as session:
        session.get_one(User, 1).city = "new"
        session.add(Log(id=1, user_id=1))
    assert (city(one, 1), city(other, 1)) == ("new", "other")


def test_an_unchanged_object_keeps_its_entry(stage: Stage) -> None:
    """A flush that has nothing to write takes nothing out of the cache."""
    stage.warm(User, 1)
    with stage.Session.begin() as session:
        user = session.get_one(User, 1)
        user.city = user.city
    with stage.counting() as count:
        city(stage, 1)
    assert count.statements == []
