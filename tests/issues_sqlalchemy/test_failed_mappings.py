"""Classes whose mapping failed, and which are there all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, Table, event, select, text, update
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    Session,
    mapped_column,
    sessionmaker,
    synonym,
)

from sqlalchemy_rediscache import CacheMixin, RedisCache
from sqlalchemy_rediscache.testing import audit


class Base(DeclarativeBase):
    """The models of this file."""


class Herb(CacheMixin, Base):
    """A row of a class that is mapped."""

    __tablename__ = "herb"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def without_key() -> type:
    """A class of a table that has no primary key, which can't be mapped."""

    class Keyless(CacheMixin):
        """Stays without a mapper."""

    table = Table("keyless", Base.metadata, Column("id", Integer), extend_existing=True)
    with pytest.raises(ArgumentError):
        Base.registry.map_imperatively(Keyless, table)
    return Keyless


def with_conflict() -> type:
    """A class of which SQLAlchemy fails to map an attribute."""

    class Doubled(CacheMixin):
        """Stays without a mapper."""

    columns = Column("id", Integer, primary_key=True), Column("x", Integer)
    table = Table("doubled", Base.metadata, *columns, extend_existing=True)
    with pytest.raises(ArgumentError):
        Base.registry.map_imperatively(Doubled, table, properties={"x": synonym("y")})
    return Doubled


@pytest.fixture(params=[without_key, with_conflict])
def broken(request: pytest.FixtureRequest) -> Iterator[type]:
    """A class whose mapping failed, held as an error's traceback holds it."""
    make: Callable[[], type] = request.param
    yield make()
    for name in ("keyless", "doubled"):
        table = Base.metadata.tables.get(name)
        if table is not None:
            Base.metadata.remove(table)


def test_a_failed_mapping_is_nobody_elses_concern(
    broken: type, tables: Engine, cache: RedisCache
) -> None:
    """All else goes on: enabling, reads, writes of every kind, DDL, and the judge."""
    assert issubclass(broken, CacheMixin)
    factory: sessionmaker[Session] = cache.enable(sessionmaker(tables))
    with factory.begin() as session:
        session.add(Herb(id=1, name="sage"))
    with factory() as session:
        assert session.get_one(Herb, 1).name == "sage"
        assert session.scalars(select(Herb.name)).all() == ["sage"]
    with factory.begin() as session:
        session.execute(text("CREATE TABLE anything (id INTEGER PRIMARY KEY)"))
        session.execute(text("UPDATE herb SET name = 'mint'"))
    with factory() as session:
        assert session.get_one(Herb, 1).name == "mint"
    assert audit(cache, tables) == []
    Base.metadata.drop_all(tables)
    cache.invalidate(Herb)
    cache.clear()


def test_a_failed_subclass_leaves_its_base_alone(tables: Engine, cache: RedisCache) -> None:
    """SQLAlchemy keeps half a subclass with its base, and reads and writes the base's rows."""

    class Tree(CacheMixin, Base):
        __tablename__ = "tree"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tree"}  # noqa: RUF012

    with pytest.raises(ArgumentError):

        class Palm(Tree):
            __table__ = Table(
                "palm",
                Base.metadata,
                Column("id", ForeignKey("tree.id"), primary_key=True),
                Column("x", Integer),
            )
            __mapper_args__ = {  # noqa: RUF012
                "polymorphic_identity": "palm",
                "properties": {"x": synonym("y")},
            }

    Base.metadata.create_all(tables)
    with tables.begin() as connection:
        connection.execute(text("INSERT INTO tree VALUES (1, 'tree')"))
    factory: sessionmaker[Session] = cache.enable(sessionmaker(tables))
    for _ in range(2):
        with factory() as session:
            assert session.get_one(Tree, 1).kind == "tree"
    assert cache.stats().hits == 1
    with factory.begin() as session:
        session.execute(update(Tree).values(id=2))
    with factory() as session:
        assert session.get(Tree, 1) is None
        assert session.get_one(Tree, 2).kind == "tree"
    assert audit(cache, tables) == []
    Base.metadata.drop_all(tables)
    for name in ("palm", "tree"):
        Base.metadata.remove(Base.metadata.tables[name])


def test_a_class_counts_from_when_its_mapper_is_whole(tables: Engine, cache: RedisCache) -> None:
    """What is worked out while a class is being mapped, without it, is not kept."""
    factory: sessionmaker[Session] = cache.enable(sessionmaker(tables))

    def write_meanwhile(mapper: Mapper[Any], class_: type) -> None:
        with tables.begin() as connection:
            connection.execute(text("INSERT INTO late VALUES (1, 'first')"))

    with tables.begin() as connection:
        connection.execute(text("CREATE TABLE late (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
    event.listen(Mapper, "instrument_class", write_meanwhile)
    try:

        class Late(CacheMixin, Base):
            __tablename__ = "late"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]

    finally:
        event.remove(Mapper, "instrument_class", write_meanwhile)
    with factory() as session:
        assert session.get_one(Late, 1).name == "first"
    with tables.begin() as connection:
        connection.execute(text("UPDATE late SET name = 'second'"))
    with factory() as session:
        assert session.get_one(Late, 1).name == "second"
    Base.metadata.remove(Base.metadata.tables["late"])
