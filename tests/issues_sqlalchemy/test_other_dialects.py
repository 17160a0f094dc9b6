"""Classes that are made for other databases than the one in use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Integer, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from sqlalchemy_rediscache import CacheMixin, RedisCache
from sqlalchemy_rediscache.testing import audit


class Base(DeclarativeBase):
    """The models of this file."""


class OnlyThere(FunctionElement[int]):
    """A function that one database has."""

    name = "only_there"
    type = Integer()
    inherit_cache = True


@compiles(OnlyThere, "oracle")
def _on_oracle(element: Any, compiler: Any, **options: Any) -> str:
    return "only_there()"


class Elsewhere(Base):
    """Can't be loaded here; without the mixin, so that it concerns no other cache."""

    __tablename__ = "elsewhere"
    id: Mapped[int] = mapped_column(primary_key=True)
    there: Mapped[int] = column_property(OnlyThere())


class Here(CacheMixin, Base):
    """Can be."""

    __tablename__ = "here"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_a_class_for_another_database_breaks_nothing(tables: Engine, cache: RedisCache) -> None:
    """Writes that may touch every class pass over one whose SELECT does not compile."""
    cache.register(Elsewhere)
    factory = cache.enable(sessionmaker(tables))
    with factory() as session, session.begin():
        session.add(Here(id=1, name="first"))
    with factory() as session, session.begin():
        assert session.get_one(Here, 1).name == "first"
        session.execute(text("UPDATE here SET name = 'second'"))
    with factory() as session:
        assert session.get_one(Here, 1).name == "second"
    assert audit(cache, tables) == []
