"""Rows are read through the cache: once from the database, from then on from Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event, inspect, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session, selectinload

from tests.integration.models import Log, Team, User
from tests.integration.stage import Stage


def test_get_asks_the_database_once(stage: Stage) -> None:
    """A second session's get is one round trip to Redis and no SQL."""
    with stage.counting() as cold, stage.Session() as session:
        assert session.get_one(User, 1).name == "ann"
    assert cold.selects == 1
    with stage.counting() as hit, stage.Session() as session:
        assert session.get_one(User, 1).name == "ann"
    assert (hit.statements, hit.trips) == ([], 1)


def test_a_miss_costs_two_round_trips_and_one_select(stage: Stage) -> None:
    """A cold read: look up with a lease, SELECT, fill."""
    stage.warm(User, 2)  # the guard's generation is known to the process
    with stage.counting() as cold, stage.Session() as session:
        session.get(User, 1)
    assert (cold.selects, cold.trips) == (1, 2)


def test_a_hit_takes_no_database_connection(stage: Stage) -> None:
    """The pool hands out no connection for a hit."""
    stage.warm(User, 1)
    taken: list[object] = []
    event.listen(stage.engine, "checkout", lambda *args: taken.append(args))
    with stage.Session() as session:
        user = session.get_one(User, 1)
        assert user.city == "x"
        assert session.in_transaction()
        session.commit()
    assert taken == []


def test_get_one_of_a_missing_row_raises(stage: Stage) -> None:
    """Absence is the same error from the database and from the cache."""
    for _ in range(2):
        with stage.Session() as session, pytest.raises(NoResultFound):
            session.get_one(User, 99)
    assert stage.cache.stats().negative_hits == 1


def test_a_hit_is_a_persistent_unmodified_object(stage: Stage) -> None:
    """What comes from the cache is like what comes from the database."""
    stage.warm(User, 1)
    with stage.Session() as session:
        user = session.get_one(User, 1)
        state = inspect(user)
        assert state.persistent
        assert not state.modified
        assert session.identity_map[state.key] is user  # type: ignore[index]
        assert session.get(User, 1) is user
        assert user not in session.dirty
        user.city = "y"
        session.commit()
    with stage.Plain() as session:
        assert session.get_one(User, 1).city == "y"


def test_lazy_many_to_one(stage: Stage) -> None:
    """A relationship to a cached class is loaded from the cache, from cached and other parents."""
    with stage.Plain.begin() as session:
        session.add(Log(id=1, user_id=1))
    stage.warm(User, 1)
    stage.warm(Team, 1)
    with stage.Session() as session:
        user = session.get_one(User, 1)
        with stage.counting() as count:
            assert user.team is not None
            assert user.team.name == "red"
        assert (count.statements, count.trips) == ([], 1)
    with stage.Session() as session:
        log = session.get_one(Log, 1)
        with stage.counting() as count:
            assert log.user is not None
            assert log.user.name == "ann"
        assert count.statements == []


def test_refresh_after_commit(stage: Stage) -> None:
    """What a commit expired comes back from the cache."""
    with stage.Session() as session:
        user = session.get_one(User, 1)
        session.commit()
        with stage.counting() as count:
            assert user.name == "ann"
        assert (count.statements, count.trips) == ([], 1)


def test_select_by_key(stage: Stage) -> None:
    """A SELECT of one row by its primary key is a hit."""
    stage.warm(User, 1)
    with stage.counting() as count, stage.Session() as session:
        found = session.scalars(select(User).where(User.id == 1)).one()
        assert found.name == "ann"
        assert session.execute(select(User).where(User.id == 1)).scalar_one() is found
    assert count.statements == []


def test_the_first_of_one_row(stage: Stage) -> None:
    """`Query.first()` has a LIMIT, which is no matter where there is one row at most."""
    ways: list[Callable[[Session, int], User | None]] = [
        lambda session, number: session.query(User).filter_by(id=number).first(),
        lambda session, number: session.query(User).filter(User.id == number).limit(2).first(),
        lambda session, number: session.scalars(select(User).filter_by(id=number).limit(1)).first(),
    ]
    for way in ways:
        stage.cache.clear()
        for number, name in ((1, "ann"), (99, None)):
            for cold in (True, False):
                with stage.counting() as count, stage.Session() as session:
                    found = way(session, number)
                    assert (found.name if found is not None else None) == name
                assert count.selects == cold
    with stage.Session.begin() as session:
        session.get_one(User, 1).name = "new"
        session.add(User(id=99, name="made"))
    for number, name in ((1, "new"), (99, "made")):
        with stage.Session() as session:
            found = ways[0](session, number)
            assert found is not None
            assert found.name == name


def test_select_by_keys_is_one_round_trip(stage: Stage) -> None:
    """A list of keys, duplicates and missing ones included, is one call when all are known."""
    statement = select(User).where(User.id.in_([3, 1, 1, 99]))
    with stage.counting() as cold, stage.Session() as session:
        assert sorted(user.id for user in session.scalars(statement)) == [1, 3]
    assert cold.selects == 1
    with stage.counting() as hit, stage.Session() as session:
        assert sorted(user.id for user in session.scalars(statement)) == [1, 3]
    assert (hit.statements, hit.trips) == ([], 1)


def test_a_list_of_which_some_are_cold(stage: Stage) -> None:
    """Some rows cached, some not: the answer is whole, and afterwards all are cached."""
    stage.warm(User, 1)
    statement = select(User).where(User.id.in_([1, 2, 3]))
    with stage.Session() as session:
        assert sorted(user.name for user in session.scalars(statement)) == ["ann", "bob", "cid"]
    with stage.counting() as count, stage.Session() as session:
        assert len(session.scalars(statement).all()) == 3
    assert (count.statements, count.trips) == ([], 1)


def test_selectinload_of_many_to_one(stage: Stage) -> None:
    """The second statement of selectinload is answered by the cache."""
    with stage.Plain.begin() as session:
        session.add_all([Log(id=number, user_id=number) for number in (1, 2, 3)])
    stage.warm(User, 1, 2, 3)
    with stage.counting() as count, stage.Session() as session:
        logs = session.scalars(select(Log).options(selectinload(Log.user))).all()
        assert "user" in logs[0].__dict__
    # SQLite's snapshot began with the first statement; what is known since before it is served
    assert count.selects == 1


def test_what_is_no_key_lookup_goes_to_the_database(stage: Stage) -> None:
    """Other criteria, limits, orders, locks and joins are not answered from rows."""
    stage.warm(User, 1, 2, 3)
    statements = (
        select(User).where(User.name == "ann"),
        select(User).where(User.id == 1, User.name == "bob"),
        select(User).where(User.id == 1).with_for_update(),
        select(User).where(User.id.in_([1, 2])).limit(1),
        select(User).where(User.id.not_in([1])),
        select(User).where(User.id > 1),
    )
    for statement in statements:
        with stage.counting() as count, stage.Session() as session:
            session.scalars(statement).all()
        assert count.selects == 1, statement


def test_for_update_and_refresh_ask_the_database(stage: Stage) -> None:
    """Locking reads, populate_existing and refresh() see what the cache has not heard of."""
    stage.warm(User, 1)
    stage.behind("UPDATE users SET city = 'behind' WHERE id = 1")
    with stage.Session() as session:
        assert session.get_one(User, 1).city == "x"  # nobody told the cache
    with stage.Session() as session:
        assert session.get_one(User, 1, with_for_update=True).city == "behind"
    with stage.Session() as session:
        assert session.get_one(User, 1, populate_existing=True).city == "behind"
    with stage.Session() as session:
        user = session.get_one(User, 1)
        session.refresh(user)
        assert user.city == "behind"
    with stage.Session() as session:
        assert session.get_one(User, 1).city == "behind"  # refresh() refilled it


def test_pending_changes_are_kept(stage: Stage) -> None:
    """A cached answer does not overwrite what an object is about to write."""
    stage.warm(User, 1)
    with stage.Session(autoflush=False) as session:
        user = session.get_one(User, 1)
        user.name = "mine"
        assert session.scalars(select(User).where(User.id == 1)).one().name == "mine"
        assert session.scalars(select(User).where(User.id.in_([1, 2]))).all()[0].name == "mine"
        assert user in session.dirty
        session.commit()
    with stage.Plain() as session:
        assert session.get_one(User, 1).name == "mine"


def test_an_inactive_session_is_not_served(stage: Stage) -> None:
    """Where the database would refuse, the cache does too."""
    stage.warm(User, 1)
    session = Session.__new__(type(stage.Session()))
    session.__init__(stage.engine, autobegin=False)  # type: ignore[misc]
    with pytest.raises(Exception, match="Autobegin is disabled"):
        session.get(User, 1)
    session.begin()
    assert session.get_one(User, 1).name == "ann"
    session.close()
