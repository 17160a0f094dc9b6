"""Bulk UPDATE and DELETE that name rows by primary key: these rows alone, where that is sure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, delete, func, select, text, update
from sqlalchemy.orm import Session

from sqlalchemy_rediscache import from_cache
from tests.fix_caches import CacheMaker
from tests.integration.models import Page, Team, User
from tests.integration.stage import Count, Stage
from tests.servers import Database

Write = Callable[[Session], Any]
USERS: Any = User.__table__


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """Two teams, four users, all of them in the cache."""
    stage = Stage(database, make_cache())
    stage.populate()
    with stage.Plain.begin() as session:
        session.add(Team(id=2, name="blue"))
        session.flush()
        session.add(User(id=4, name="dot", city="x", team_id=2))
        session.flush()
        session.add(Page(id=1, owner_id=None, title="own"))
        session.add(Page(id=2, owner_id=4, title="dot's"))
    return stage


def look(stage: Stage) -> tuple[list[Any], Count]:
    """Rows by key, a collection by its tag, a query of the whole table; and what it took."""
    found: list[Any] = []
    with stage.counting() as count, stage.Session() as session:
        for number in range(1, 5):
            user = session.get(User, number)
            found.append(user and (user.name, user.city, user.team_id))
        found += [sorted(one.id for one in session.get_one(Team, n).users) for n in (1, 2)]
        cities = select(User.city, func.count()).group_by(User.city).order_by(User.city)
        found += session.execute(cities.options(from_cache())).all()
        found += [session.get_one(Page, number).title for number in (1, 2)]
    return found, count


def warmed(stage: Stage) -> None:
    """Have all of `look` come from the cache."""
    for _ in range(8):  # a snapshot is served of regions alone whose stamp was known before it
        if look(stage)[1].selects == 0:
            return
    pytest.fail("it does not become warm")


def _executemany(session: Session) -> None:
    statement = update(USERS).where(USERS.c.id == bindparam("key")).values(city=bindparam("to"))
    session.connection().execute(statement, [{"key": 1, "to": "y"}, {"key": 2, "to": "z"}])


def _core(session: Session) -> None:
    connection: Connection = session.connection()
    connection.execute(update(USERS).where(USERS.c.id == 1).values(city="y"))


PRECISE: dict[str, tuple[Write, int]] = {
    "update": (lambda s: s.execute(update(User).where(User.id == 1).values(city="y")), 1),
    "one of a list": (
        lambda s: s.execute(update(User).where(User.id.in_([1, 2])).values(city="y")),
        2,
    ),
    "key on the right": (lambda s: s.execute(update(User).where(User.id == 1).values(city="y")), 1),
    "more conditions": (
        lambda s: s.execute(
            update(User).where(User.id == 1, User.city == "x").values({User.city: "y"})
        ),
        1,
    ),
    "conditions that hold for none": (
        lambda s: s.execute(update(User).where(User.id == 1, User.city == "no").values(city="y")),
        1,
    ),
    "expression": (
        lambda s: s.execute(
            update(User).where(User.id == 1).values(city=User.city + "y"),
            execution_options={"synchronize_session": False},
        ),
        1,
    ),
    "fetch": (
        lambda s: s.execute(
            update(User).where(User.id == 1).values(city="y"),
            execution_options={"synchronize_session": "fetch"},
        ),
        1,
    ),
    "returning": (
        lambda s: s.execute(
            update(User).where(User.id == 1).values(city="y").returning(User.city)
        ).all(),
        1,
    ),
    "ordered values": (
        lambda s: s.execute(update(User).where(User.id == 1).ordered_values((User.city, "y"))),
        1,
    ),
    "objects by key": (
        lambda s: s.execute(update(User), [{"id": 1, "city": "y"}, {"id": 2, "city": "z"}]),
        2,
    ),
    "core": (_core, 1),
    "executemany": (_executemany, 2),
    "legacy": (lambda s: s.query(User).filter(User.id == 1).update({"city": "y"}), 1),
}


@pytest.mark.parametrize("way", PRECISE)
def test_only_the_named_rows_are_loaded_again(stage: Stage, way: str) -> None:
    """Other rows, and collections that none of the named rows is in, stay hits."""
    warmed(stage)
    write, rows = PRECISE[way]
    with stage.Session.begin() as session:
        write(session)
        own = session.scalars(select(User.city).where(User.id == 1)).one()
    found, count = look(stage)
    with stage.Plain() as session:
        expected = [
            (user.name, user.city, user.team_id)
            for user in session.scalars(select(User).order_by(User.id))
        ]
    assert found[:4] == expected
    assert found[0][1] == own
    # the rows, the collection that they are in, the query of the whole table
    assert count.selects == rows + 2, count.statements
    warmed(stage)


def test_rows_are_deleted_by_key(stage: Stage) -> None:
    """With what the database deletes along with them; other rows of the table stay hits."""
    warmed(stage)
    with stage.Session.begin() as session:
        session.execute(delete(User).where(User.id == 2))
    found, count = look(stage)
    assert found[:6] == [
        ("ann", "x", 1), None, ("cid", "x", 1), ("dot", "x", 2), [1, 3], [4],
    ]  # fmt: skip
    # that row, the first team's users, the query; pages follow their owners
    assert count.selects == 5, count.statements


def test_a_deleted_row_takes_others_along(stage: Stage) -> None:
    """Pages refer to pages: a delete of one may change any, so that all are loaded again."""
    with stage.Plain.begin() as session:
        session.add(Page(id=3, parent_id=1, title="below"))
    stage.warm(Page, 1, 2, 3)
    with stage.Session.begin() as session:
        session.execute(delete(Page).where(Page.id == 1))
    with stage.Session() as session:
        assert session.get_one(Page, 3).parent_id is None


FALLBACKS: dict[str, Write] = {
    "a column of a foreign key": lambda s: s.execute(
        update(User).where(User.id == 1).values(team_id=2)
    ),
    "the key": lambda s: s.execute(update(User).where(User.id == 3).values(id=30)),
    "either": lambda s: s.execute(
        update(User).where((User.id == 1) | (User.name == "bob")).values(city="y")
    ),
    "not": lambda s: s.execute(update(User).where(User.id != 1).values(city="y")),
    "an expression of the key": lambda s: s.execute(
        update(User).where(User.id + 1 == 2).values(city="y")
    ),
    "a subquery": lambda s: s.execute(
        update(User)
        .where(User.id.in_(select(User.id).where(User.name == "ann")))
        .values(city="y")
        .execution_options(synchronize_session=False)
    ),
    "text": lambda s: s.execute(text("UPDATE users SET city = 'y' WHERE id = 1")),
    "all": lambda s: s.execute(update(User).values(city="y")),
    "a text for a number": lambda s: s.execute(
        update(User)
        .where(User.id == bindparam("key", "1", type_=USERS.c.name.type))
        .values(city="y")
        .execution_options(synchronize_session=False)
    ),
}


@pytest.mark.parametrize("way", FALLBACKS)
def test_what_is_not_sure_empties_the_region(stage: Stage, way: str) -> None:
    """Every row is as the database has it."""
    if way == "a text for a number" and not stage.is_sqlite:
        pytest.skip("PostgreSQL compares no text with a number")
    warmed(stage)
    with stage.Session.begin() as session:
        FALLBACKS[way](session)
    with stage.Plain() as session:
        expected = {user.id: (user.city, user.team_id) for user in session.scalars(select(User))}
    with stage.Session() as session:
        users = [session.get(User, number) for number in (1, 2, 3, 4, 30)]
        assert {user.id: (user.city, user.team_id) for user in users if user} == expected
        teams = {n: {one.id for one in session.get_one(Team, n).users} for n in (1, 2)}
    assert teams == {n: {id_ for id_, (_, team) in expected.items() if team == n} for n in (1, 2)}


def test_a_trigger_may_write_more(stage: Stage) -> None:
    """Where the table has a trigger, rows that were not named may have been written."""
    if not stage.is_sqlite:
        pytest.skip("one database is enough")
    warmed(stage)
    stage.behind(
        "CREATE TRIGGER spread AFTER UPDATE ON users WHEN new.id = 1 "
        "BEGIN UPDATE users SET city = new.city WHERE id = 2; END"
    )
    with stage.Session.begin() as session:
        session.execute(update(User).where(User.id == 1).values(city="y"))
    with stage.Session() as session:
        assert session.get_one(User, 2).city == "y"
