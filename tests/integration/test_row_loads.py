"""Rows that lookups missed are loaded past the ORM, once its statement is known: same outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, event, inspect
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin
from tests.fix_caches import CacheMaker
from tests.integration.models import Account, User
from tests.integration.stage import Stage
from tests.listening import listening
from tests.servers import Database


class _Base(DeclarativeBase):
    pass


class Animal(CacheMixin, _Base):
    """The root of a hierarchy."""

    __tablename__ = "load_animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    keeper_id: Mapped[int | None] = mapped_column(ForeignKey("load_animal.id"))
    keeper: Mapped[Animal | None] = relationship(remote_side="Animal.id")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """A class below it, with a column in a table of its own."""

    __tablename__ = "load_dog"
    id: Mapped[int] = mapped_column(ForeignKey("load_animal.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


@contextmanager
def orm_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What sessions execute as ORM statements, in the block."""
    seen: list[str] = []
    original = Session._execute_internal

    def recording(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(statement))
        return original(self, statement, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "_execute_internal", recording)
        yield seen


def described(instance: Any) -> dict[str, Any]:
    """What a session knows of an object, and its values."""
    state: Any = inspect(instance)
    return {
        "values": {name: value for name, value in state.dict.items() if name[0] != "_"},
        "unloaded": state.unloaded,
        "persistent": state.persistent,
        "modified": state.modified,
        "key": state.key,
        "path": state.load_path,
        "options": state.load_options,
        "expired": state.expired_attributes,
        "history": [one.history.has_changes() for one in state.attrs],
    }


@pytest.fixture
def animals(database: Database, make_cache: CacheMaker) -> Stage:
    """A keeper and two dogs."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        session.add(Animal(id=1))
        session.flush()
        session.add_all([Dog(id=2, name="rex", keeper_id=1), Dog(id=3, name="fix", keeper_id=1)])
    return stage


def test_the_second_miss_of_a_class_is_loaded_directly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends the same SQL and makes the same object, without an ORM statement."""
    with stage.Session() as session:
        session.get(User, 1)
    with orm_statements(monkeypatch) as seen, stage.counting() as cached, stage.Session() as one:
        mine = described(one.get(User, 2))
    assert seen == []
    plain = stage.cache.bypass()
    with plain, stage.counting() as uncached, stage.Session() as other:
        theirs = described(other.get(User, 2))
    assert mine == theirs
    assert cached.statements == uncached.statements
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(User, 2).name == "bob"
    assert count.selects == 0  # it was filled


def test_a_lazy_many_to_one_is_loaded_directly(
    animals: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the object remembers of the relationship that it was loaded through is the same."""
    with animals.Session() as session:
        session.get(Animal, 2)  # learns the statement
    animals.cache.clear()
    found = []
    for bypass in (False, True):
        with animals.Session() as session:
            dog = session.get_one(Dog, 3)
            context = animals.cache.bypass() if bypass else orm_statements(monkeypatch)
            with context as seen:
                found.append(described(dog.keeper))
            assert seen in ([], None)
    assert found[0] == found[1]


def test_rows_become_objects_of_their_class(animals: Stage) -> None:
    """A row that is asked for by its root class, or by a class that it is none of."""
    for _ in range(3):
        animals.cache.clear()
        with animals.Session() as session:
            assert type(session.get(Animal, 1)) is Animal
            assert type(session.get(Animal, 2)) is Dog
        with animals.Session() as session:
            assert session.get(Dog, 1) is None
            assert session.get_one(Dog, 3).name == "fix"


def test_no_row(stage: Stage) -> None:
    """It is remembered that there is none."""
    with stage.Session() as session:
        session.get(User, 1)
        assert session.get(User, 99) is None
    before = stage.cache.stats().negative_hits
    with stage.counting() as count, stage.Session() as session:
        assert session.get(User, 99) is None
    assert count.selects == 0
    assert stage.cache.stats().negative_hits == before + 1


def test_columns_that_are_kept_out_come_with_the_row(stage: Stage) -> None:
    """A class with a column that is not cached is left to SQLAlchemy: one statement, not two."""
    with stage.Plain.begin() as session:
        session.add_all([Account(id=number, name="n", cost="c") for number in (1, 2)])
    for number in (1, 2):
        with stage.counting() as count, stage.Session() as session:
            assert session.get_one(Account, number).cost == "c"
        assert count.selects == 1


def test_a_listener_to_loads_gets_the_query(stage: Stage) -> None:
    """One that comes after the statement was learned."""
    with stage.Session() as session:
        session.get(User, 1)
    contexts = []
    with (
        listening(User, "load", lambda target, context: contexts.append(context)),
        stage.Session() as session,
    ):
        session.get(User, 2)
    assert len(contexts) == 1
    assert contexts[0] is not None


@pytest.mark.parametrize("cleared", [True, False])
def test_an_attribute_that_is_added_later(
    database: Database, make_cache: CacheMaker, *, cleared: bool
) -> None:
    """It comes with the row once SQLAlchemy compiles the statement anew, as without the cache."""

    class Base(DeclarativeBase):
        pass

    class Grown(CacheMixin, Base):
        __tablename__ = "load_grown"
        id: Mapped[int] = mapped_column(primary_key=True)

    stage = Stage(database, make_cache(), Base.metadata)
    stage.behind("ALTER TABLE load_grown ADD COLUMN name VARCHAR(10)")
    stage.behind("INSERT INTO load_grown (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    for factory in (stage.Plain, stage.Session):
        with factory() as session:
            session.get(Grown, 1)
    Grown.name = mapped_column(String(10))
    if cleared:
        stage.engine.clear_compiled_cache()
        stage.outside.clear_compiled_cache()
    for number in (2, 3):
        with stage.Plain() as session:
            wanted = described(session.get_one(Grown, number))
        with stage.counting() as count, stage.Session() as session:
            found = described(session.get_one(Grown, number))
        assert found["values"] == wanted["values"]
        assert count.selects == 1


def test_an_object_that_comes_meanwhile(stage: Stage) -> None:
    """A listener to the statement loads the same row by itself, in the same session."""
    with stage.Session() as session:
        session.get(User, 1)
    loaded: list[Any] = []

    def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not loaded:
            loaded.append(None)
            with stage.cache.bypass():
                loaded[0] = session.get(User, 2)

    with listening(stage.engine, "before_cursor_execute", executed), stage.Session() as session:
        assert session.get(User, 2) is loaded[0] is not None


def test_a_statement_that_fails_gives_its_lease_back(stage: Stage) -> None:
    """The error is SQLAlchemy's, and the next reader does not wait."""
    with stage.Session() as session:
        session.get(User, 1)

    def fails(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        raise ZeroDivisionError

    with (
        listening(stage.engine, "before_cursor_execute", fails),
        stage.Session() as session,
        pytest.raises(ZeroDivisionError),
    ):
        session.get(User, 2)
    for selects in (1, 0):
        with stage.counting() as count, stage.Session() as session:
            assert session.get_one(User, 2).name == "bob"
        assert count.selects == selects
    assert stage.cache.stats().waits == 0


def test_a_session_with_own_writes_fills_nothing(stage: Stage) -> None:
    """It loads what it sees, which others don't."""
    with stage.Session() as session:
        session.get(User, 1)
    with stage.Session() as session:
        session.add(User(id=7, name="own"))
        session.flush()
        session.expunge_all()
        assert session.get_one(User, 7).name == "own"
        assert session.get_one(User, 2).name == "bob"
        session.rollback()
    with stage.counting() as count, stage.Session() as session:
        assert session.get(User, 7) is None
        assert session.get_one(User, 2).name == "bob"
    assert count.selects == 2


def test_asyncio(animals: Stage, make_cache: CacheMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same inside SQLAlchemy's greenlet."""
    cache = make_cache()

    async def run() -> None:
        engine = animals.database.async_engine()
        factory = cache.enable(async_sessionmaker(engine))
        async with factory() as session:
            await session.get(Animal, 1)
        with orm_statements(monkeypatch) as seen:
            async with factory() as session:
                assert (await session.get_one(Animal, 2)).kind == "dog"
        assert seen == []
        await engine.dispose()
        await cache.aclose()

    asyncio.run(run())


def test_events_of_the_engine_see_the_statement(stage: Stage) -> None:
    """Listeners hear one statement with the key as its parameter."""
    with stage.Session() as session:
        session.get(User, 1)
    heard: list[Any] = []

    @event.listens_for(stage.engine, "before_cursor_execute")
    def executed(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        heard.append((statement, parameters))

    with stage.Session() as session:
        session.get(User, 2)
        session.get(User, 3)
    assert [tuple(one[1].values() if isinstance(one[1], dict) else one[1]) for one in heard] == [
        (2,),
        (3,),
    ]
