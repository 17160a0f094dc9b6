"""Every way to map a class is cached alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import pytest
import sqlmodel
from sqlalchemy import Column, Integer, String, Table
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    declarative_base,
    mapped_column,
    registry,
    sessionmaker,
)
from sqlmodel import Field, SQLModel
from sqlmodel import Session as SQLModelSession

from sqlalchemy_rediscache import CacheMixin, CachePolicy, RedisCache, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.stage import Stage
from tests.servers import Database


class _Base(DeclarativeBase):
    pass


class Modern(CacheMixin, _Base):
    """DeclarativeBase."""

    __tablename__ = "modern"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Out(Modern):
    """A subclass that stays out of the cache."""

    __cache__ = None


class Registered(_Base):
    """A model that can't take the mixin."""

    __tablename__ = "registered"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


_Legacy: Any = declarative_base()


class Legacy(CacheMixin, _Legacy):  # type: ignore[misc]
    """The legacy base, without annotations."""

    __tablename__ = "legacy"
    __cache__ = CachePolicy(ttl=60)
    id = Column(Integer, primary_key=True)
    name = Column(String(20))


class _DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Data(CacheMixin, _DataBase):
    """A dataclass with a required argument: a hit must not call its constructor."""

    __tablename__ = "data"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    made: int = 0

    def __post_init__(self) -> None:
        """Count what the constructor made."""
        self.made += 1


class Imperative(CacheMixin):
    """A class that a registry maps."""

    def __init__(self, id: int, name: str) -> None:
        self.id = id
        self.name = name


_registry = registry()
_registry.map_imperatively(
    Imperative,
    Table(
        "imperative",
        _registry.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(20)),
    ),
)


class Sqlm(CacheMixin, SQLModel, table=True):
    """An SQLModel table."""

    id: Optional[int] = Field(default=None, primary_key=True)  # noqa: UP045 - SQLModel's form
    name: str


class Named(CacheMixin, SQLModel, table=True):
    """An SQLModel table with a unique text."""

    id: Optional[int] = Field(default=None, primary_key=True)  # noqa: UP045 - SQLModel's form
    name: str = Field(unique=True)


def _register(cache: RedisCache) -> None:
    cache.register(Registered, CachePolicy(ttl=60))


KINDS: list[tuple[Any, Any, Callable[[RedisCache], None]]] = [
    (Modern, _Base.metadata, lambda cache: None),
    (Registered, _Base.metadata, _register),
    (Legacy, _Legacy.metadata, lambda cache: None),
    (Data, _DataBase.metadata, lambda cache: None),
    (Imperative, _registry.metadata, lambda cache: None),
    (Sqlm, SQLModel.metadata, lambda cache: None),
]


@pytest.mark.parametrize(
    ("model", "metadata", "prepare"), KINDS, ids=[kind[0].__name__ for kind in KINDS]
)
def test_it_is_cached(
    database: Database,
    make_cache: CacheMaker,
    model: Any,
    metadata: Any,
    prepare: Callable[[RedisCache], None],
) -> None:
    """Insert, read, update, delete: hits in between, never stale."""
    cache = make_cache()
    prepare(cache)
    stage = Stage(database, cache, metadata)
    with stage.Session.begin() as session:
        session.add(model(id=1, name="one"))
    stage.warm(model, 1)
    with stage.counting() as count, stage.Session() as session:
        found = session.get_one(model, 1)
        assert (type(found), found.id, found.name) == (model, 1, "one")
    assert count.statements == []
    with stage.Session.begin() as session:
        session.get_one(model, 1).name = "two"
    with stage.Session() as session:
        assert session.get_one(model, 1).name == "two"
    with stage.Session.begin() as session:
        session.delete(session.get_one(model, 1))
    for _ in range(2):
        with stage.Session() as session:
            assert session.get(model, 1) is None


def test_sqlmodels_own_select_and_session(database: Database, make_cache: CacheMaker) -> None:
    """`session.exec(sqlmodel.select(...))` by key, by a unique text, and as a query."""
    stage = Stage(database, make_cache(), SQLModel.metadata)
    factory = stage.cache.enable(sessionmaker(stage.engine, class_=SQLModelSession))
    with factory.begin() as session:
        session.add_all([Named(id=1, name="one"), Named(id=2, name="two")])
    by_key = sqlmodel.select(Named).where(Named.id == 1)
    by_name = sqlmodel.select(Named).where(Named.name == "one")
    asked = sqlmodel.select(Named.name).order_by(Named.name).options(from_cache())
    statements: list[Any] = [by_key, by_name, asked]

    def answers() -> list[Any]:
        with factory() as session:
            return [
                [getattr(found, "name", found) for found in session.exec(statement)]
                for statement in statements
            ]

    assert answers() == [["one"], ["one"], ["one", "two"]]
    with stage.counting() as count:
        assert answers() == [["one"], ["one"], ["one", "two"]]
    assert count.statements == []
    with factory.begin() as session:
        session.get_one(Named, 2).name = "deux"
    with stage.counting() as count:
        assert answers() == [["one"], ["one"], ["deux", "one"]]
    assert count.selects == 1, "the other name is no matter of the lookup by name"


def test_a_hit_runs_no_constructor(database: Database, make_cache: CacheMaker) -> None:
    """As with a load from the database, neither __init__ nor __post_init__ is called."""
    stage = Stage(database, make_cache(), _DataBase.metadata)
    with stage.Session.begin() as session:
        session.add(Data(id=1, name="one"))
    stage.warm(Data, 1)
    with stage.Session() as session:
        assert "made" not in vars(session.get_one(Data, 1))


def test_registered_for_one_cache_only(database: Database, make_cache: CacheMaker) -> None:
    """A model without the mixin is cached by the cache that it was registered with."""
    stage = Stage(database, make_cache(prefix="u"), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(Registered(id=1, name="one"))
    stage.warm(Registered, 1, 1)
    assert stage.cache.stats().hits == 0


def test_a_policy_of_none_leaves_a_class_out(database: Database, make_cache: CacheMaker) -> None:
    """`__cache__ = None` in a subclass, or register(..., policy) for a base, decide."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(Modern(id=1, name="one"))
    stage.warm(Modern, 1, 1)
    hits = stage.cache.stats().hits
    assert hits >= 1
    stage.warm(Out, 1, 1)
    assert stage.cache.stats().hits == hits


class Shouting(CacheMixin, _Base):
    """Has an attribute of an SQL expression."""

    __tablename__ = "shouting"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    loud: Mapped[str] = column_property(name + "!")


def test_a_value_for_an_expression_is_no_write(database: Database, make_cache: CacheMaker) -> None:
    """A flush sends nothing for it: nothing ends, and no COMMIT is missed."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(Shouting(id=1, name="a"))
    stage.warm(Shouting, 1)
    with stage.Session() as session:
        session.get_one(Shouting, 1).loud = "b"
        session.commit()
        assert session.get_one(Shouting, 1).loud == "a!"
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(Shouting, 1).loud == "a!"
    assert (count.selects, stage.cache.stats().unsettled) == (0, 0)


class Counted(CacheMixin, _Base):
    """Has a version, which SQLAlchemy counts."""

    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


@pytest.mark.parametrize("attribute", ["id", "name"])
def test_the_same_value_is_no_write(
    database: Database, make_cache: CacheMaker, attribute: str
) -> None:
    """A flush that has nothing to send, not even a version, ends nothing and misses no COMMIT."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Session.begin() as session:
        session.add(Counted(id=1, name="a"))
    stage.warm(Counted, 1)
    with stage.Session() as session:
        found = session.get_one(Counted, 1)
        before = getattr(found, attribute)
        setattr(found, attribute, 7 if attribute == "id" else "b")
        setattr(found, attribute, before)
        with stage.counting() as writing:
            session.commit()
    assert not any(one.startswith("UPDATE") for one in writing.statements)
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(Counted, 1).version == 1
    assert (count.selects, stage.cache.stats().unsettled) == (0, 0)
    with stage.Session() as session:
        session.get_one(Counted, 1).name = "c"
        session.commit()
    with stage.Session() as session:
        found = session.get_one(Counted, 1)
        assert (found.name, found.version) == ("c", 2)
