"""Primary keys of every kind, and values that are not of the key's type."""

from __future__ import annotations

import enum
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import String, select, tuple_
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqlalchemy_rediscache import CacheMixin
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.servers import Database


class Colour(enum.Enum):
    """A key."""

    RED = "r"
    BLUE = "b"


class _Base(DeclarativeBase):
    pass


class _Named(CacheMixin):
    name: Mapped[str] = mapped_column(String(20))


class ByText(_Named, _Base):
    """A text key."""

    __tablename__ = "by_text"
    id: Mapped[str] = mapped_column(String(300), primary_key=True)


class ByUuid(_Named, _Base):
    """A UUID key."""

    __tablename__ = "by_uuid"
    id: Mapped[UUID] = mapped_column(primary_key=True)


class ByEnum(_Named, _Base):
    """An enumeration as a key."""

    __tablename__ = "by_enum"
    id: Mapped[Colour] = mapped_column(primary_key=True)


class ByDate(_Named, _Base):
    """A date as a key."""

    __tablename__ = "by_date"
    id: Mapped[date] = mapped_column(primary_key=True)


class ByTwo(_Named, _Base):
    """A composite key."""

    __tablename__ = "by_two"
    one: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    two: Mapped[str] = mapped_column(String(20), primary_key=True)


KEYS: list[tuple[Any, list[Any]]] = [
    (ByText, ["a", "A", "a ", "", "a,b", "%", "~", "ä☃", "{x}:*?", "x" * 250, "x" * 251, "1"]),
    (ByUuid, [UUID(int=1), UUID(int=2**127)]),
    (ByEnum, [Colour.RED, Colour.BLUE]),
    (ByDate, [date(2024, 2, 29), date(1, 1, 1)]),
    (ByTwo, [(1, "a"), (1, "b"), (2, "a"), (1, "a,1"), (11, ""), (1, "1")]),
]


@pytest.mark.parametrize(("model", "keys"), KEYS, ids=[case[0].__name__ for case in KEYS])
def test_each_key_is_its_own_row(
    database: Database, make_cache: CacheMaker, model: Any, keys: list[Any]
) -> None:
    """Rows under keys that look alike are kept apart, and each is served without SQL."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        for number, key in enumerate(keys):
            values = dict(zip(("one", "two"), key, strict=True)) if model is ByTwo else {"id": key}
            session.add(model(name=str(number), **values))
    stage.warm(model, *keys)
    for number, key in enumerate(keys):
        with stage.counting() as count, stage.Session() as session:
            assert session.get_one(model, key).name == str(number)
        assert count.statements == []
    with stage.Session.begin() as session:
        session.get_one(model, keys[0]).name = "changed"
    with stage.Session() as session:
        assert session.get_one(model, keys[0]).name == "changed"
        assert session.get_one(model, keys[1]).name == "1"
    stage.cache.invalidate(model, keys[1])


def test_a_composite_key_given_as_a_mapping(database: Database, make_cache: CacheMaker) -> None:
    """A dict, and equalities in any order, are the same lookup."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(ByTwo(one=1, two="a", name="n"))
    stage.warm(ByTwo, (1, "a"))
    statement = select(ByTwo).where(ByTwo.two == "a", ByTwo.one == 1)
    with stage.counting() as count:
        with stage.Session() as session:
            assert session.get_one(ByTwo, {"two": "a", "one": 1}).name == "n"
        with stage.Session() as session:
            assert session.scalars(statement).one().name == "n"
    assert count.statements == []
    with stage.Session() as session:
        pairs = tuple_(ByTwo.one, ByTwo.two).in_([(1, "a"), (2, "b")])
        assert session.scalars(select(ByTwo).where(pairs)).one().name == "n"
    stage.cache.invalidate(ByTwo, {"one": 1, "two": "a"})


@pytest.mark.parametrize("key", ["1", 1.0, True, 1.5, "one", b"1", None])
def test_a_key_of_another_type(stage: Stage, key: Any) -> None:
    """What the database makes of it is the answer, cached or not, error or row."""

    def outcome(factory: Any) -> object:
        with factory() as session:
            try:
                found = session.get(User, key)
            except Exception as error:  # noqa: BLE001 - compared
                return type(error)
            return None if found is None else found.name

    expected = outcome(stage.Plain)
    stage.warm(User, 1)
    assert [outcome(stage.Session), outcome(stage.Session)] == [expected, expected]
