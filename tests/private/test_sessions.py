"""Sessions, transactions and flushes, as the package reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, Update, create_engine, event, inspect, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import private
from tests.listening import listening
from tests.private.models import Animal, Child, Dog, Pair, Parent
from tests.servers import Database


def test_begin_begins_as_a_load_does(session: Session) -> None:
    """The session is in a transaction after it, without a connection."""
    assert not session.in_transaction()
    assert private.begin(session)
    assert session.in_transaction()
    assert private.begin(session)
    assert not private.has_connections(session)


def test_begin_respects_autobegin(engine: Engine) -> None:
    """A session that must be begun explicitly is not begun by a load."""
    with Session(engine, autobegin=False) as session:
        with pytest.raises(InvalidRequestError):
            private.begin(session)
        with session.begin():
            assert private.begin(session)


def test_begin_after_a_failed_flush(session: Session) -> None:
    """A session whose flush failed may not load before it is rolled back, hits included."""
    session.add(Pair(left=1, right="r"))
    with pytest.raises(IntegrityError):
        session.flush()
    assert not private.begin(session)
    session.rollback()
    assert private.begin(session)


def test_connections_of_a_session(session: Session) -> None:
    """A session has connections once it has sent something, until it ends."""
    assert not private.has_connections(session)
    session.execute(text("SELECT 1"))
    assert private.has_connections(session)
    session.rollback()
    assert not private.has_connections(session)


def test_a_dirty_session(session: Session) -> None:
    """New, changed and deleted objects make a session dirty; a flush makes it clean."""
    pair = session.get_one(Pair, (1, "r"))
    assert not private.dirty(session)
    pair.name = "x"
    assert private.dirty(session)
    session.flush()
    assert not private.dirty(session)
    session.add(Pair(left=50, right="r"))
    assert private.dirty(session)
    private.autoflush(session)
    assert not private.dirty(session)
    session.delete(pair)
    assert private.dirty(session)


def flushed(session: Session) -> dict[tuple[str, Any], bool]:
    """What the next flush writes, and whether it deletes."""
    found: dict[tuple[str, Any], bool] = {}

    def after(session: Session, context: Any) -> None:
        for state, deleted in private.flushed_states(context):
            written: Any = state.obj()
            assert written is not None
            found[state.class_.__name__, written.id] = deleted

    with listening(session, "after_flush", after):
        session.flush()
    return found


def test_a_flush_tells_what_it_wrote(session: Session) -> None:
    """Inserted, updated and deleted objects are in it, others are not."""
    session.get_one(Parent, 1)
    middle, child = session.get_one(Parent, 2), session.get_one(Child, 2)
    middle.name = "new"
    session.delete(child)
    session.add(Child(id=70, name="x"))
    assert flushed(session) == {
        ("Parent", 2): False,
        ("Child", 2): True,
        ("Child", 70): False,
    }


def test_rows_changed_by_a_dependency_alone(session: Session) -> None:
    """A row whose foreign key the flush nulls is in it, though its object was never touched."""
    parent = session.get_one(Parent, 2)
    before = session.dirty
    parent.children.clear()
    assert not any(isinstance(one, Child) for one in before)
    assert flushed(session)["Child", 1] is False
    session.rollback()
    session.query(Dog).delete()
    session.delete(session.get_one(Parent, 2))
    written = flushed(session)
    assert written["Parent", 2] is True
    assert written["Child", 1] is False


def test_values_in_after_flush_are_the_new_ones(session: Session) -> None:
    """In `after_flush` changes are still known by name, and new objects have no key yet."""
    seen: list[Any] = []

    def after(session: Session, context: Any) -> None:
        for state, _ in private.flushed_states(context):
            seen.append((set(state.committed_state), state.key is None, state.dict["name"]))

    event.listen(session, "after_flush", after)
    session.get_one(Parent, 2).name = "changed"
    session.flush()
    session.add(Parent(id=60, name="new"))
    session.flush()
    assert seen[0] == ({"name"}, False, "changed")
    assert seen[1][1:] == (True, "new")


def test_bindings(engine: Engine) -> None:
    """A session with one bind is told from those that choose by class or by an own `get_bind`."""

    class Choosing(Session):
        def get_bind(self, *args: Any, **kwargs: Any) -> Any:
            return engine

    assert private.own_bindings(Session(engine))
    assert private.own_bindings(sessionmaker(engine)())
    assert not private.own_bindings(Session(binds={Parent: engine}))
    assert not private.own_bindings(Session(engine, binds={Parent: engine}))
    bound = Session(engine)
    bound.bind_mapper(Parent, engine)
    assert not private.own_bindings(bound)
    assert not private.own_bindings(Choosing())


def test_the_bind_of_a_plain_session(engine: Engine) -> None:
    """With own bindings, `session.bind` is where every class is."""
    with Session(engine) as session:
        assert session.bind is session.get_bind(inspect(Parent)) is engine


def test_the_bind_of_writes(engine: Engine) -> None:
    """A session that sends writes elsewhere, by statement or by flush, is asked as for a write."""

    class Choosing(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **kwargs: Any) -> Any:
            return (self._flushing, isinstance(clause, Update), mapper)

    session = Choosing()
    assert private.bind_of_writes(session, inspect(Parent)) == (True, True, inspect(Parent))
    assert session.get_bind(inspect(Parent))[0] is False


def test_identity_keys_name_the_root_class(session: Session) -> None:
    """`identity_class` is the class in the identity keys of a hierarchy's objects."""
    dog = session.get_one(Dog, 1)
    key = inspect(dog).identity_key
    assert key is not None
    assert private.identity_class(inspect(Dog)) is key[0]


def test_options_of_a_session(engine: Engine) -> None:
    """Options that a session puts on each statement are seen, where SQLAlchemy has them."""
    assert not private.session_options(Session(engine))
    if private.SQLALCHEMY_2_1:
        session = Session(engine, execution_options={"a": 1})
        assert private.session_options(session) == {"a": 1}


def test_the_connection_of_a_statement(session: Session) -> None:
    """`connection_of` is the session's own connection for the statement's bind."""
    connection = private.connection_of(session, {"mapper": inspect(Parent)})
    assert connection is session.connection()
    assert private.has_connections(session)


def test_a_greenlet_waits_for_awaitables() -> None:
    """`spawn` runs blocking code in which `await_` waits in the event loop."""

    async def value() -> int:
        await asyncio.sleep(0)
        return 5

    def blocking() -> int:
        found: int = private.await_(value())
        return found + 1

    async def main() -> int:
        found: int = await private.spawn(blocking)
        return found

    assert asyncio.run(main()) == 6


@pytest.mark.every_database
def test_the_default_isolation_level(database: Database) -> None:
    """Unknown before the first connection where only the server knows it, then its own level."""
    engine = database.engine()
    level = {"sqlite": "SERIALIZABLE", "postgresql": "READ COMMITTED"}.get(
        database.name, "REPEATABLE READ"
    )
    assert private.default_isolation(engine.dialect) in (None, level)
    with engine.connect() as connection:
        assert private.default_isolation(engine.dialect) == level
        assert connection.get_isolation_level() == level


@pytest.fixture
def autocommit_engine() -> Iterator[Engine]:
    """An engine whose isolation level is given with `create_engine`."""
    engine = create_engine("sqlite://", isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def test_the_given_isolation_level(autocommit_engine: Engine) -> None:
    """A level given for the engine is its default, also before it connects."""
    assert private.default_isolation(autocommit_engine.dialect) == "AUTOCOMMIT"
    with autocommit_engine.connect():
        assert private.default_isolation(autocommit_engine.dialect) == "AUTOCOMMIT"


def test_a_select_of_a_hierarchy(session: Session) -> None:
    """A SELECT of a hierarchy returns the subclass's objects (the base of `Region.concrete`)."""
    assert [type(one) for one in session.scalars(select(Animal))] == [Dog]
