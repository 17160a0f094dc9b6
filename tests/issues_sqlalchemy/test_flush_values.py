"""Values that an object has after a flush, and the database has not."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    ForeignKey,
    String,
    TypeDecorator,
    event,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin, RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.listening import listening


class Base(DeclarativeBase):
    """The models of this file."""


class NothingForNone(TypeDecorator[str]):
    """Sends a text for None."""

    impl = String
    cache_ok = True
    should_evaluate_none = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Make None a text."""
        return "nothing" if value is None else value


class Note(CacheMixin, Base):
    """Has a column that tells None from no value."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    told: Mapped[str | None] = mapped_column(NothingForNone)


class Tree(CacheMixin, Base):
    """Counts its children."""

    __tablename__ = "tree"
    id: Mapped[int] = mapped_column(primary_key=True)
    children: Mapped[int] = mapped_column(default=0)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("tree.id"))
    parent: Mapped[Tree | None] = relationship(remote_side=[id])


class Paper(CacheMixin, Base):
    """The base of a hierarchy, with a column that only a subclass takes for a version."""

    __tablename__ = "paper"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    version: Mapped[int | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "paper"}  # noqa: RUF012


class Contract(Paper):
    """Has a version of its own under the same name."""

    __tablename__ = "contract"
    id: Mapped[int] = mapped_column(ForeignKey("paper.id"), primary_key=True)
    version: Mapped[int] = mapped_column()
    title: Mapped[str]
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_identity": "contract",
        "version_id_col": version,
    }


def test_what_after_update_changes_is_not_published(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """A value that a listener assigns after the UPDATE is in the object alone."""
    with factory() as session, session.begin():
        session.add(Note(id=1, text="first"))

    def after_update(mapper: Mapper[Any], connection: Connection, target: Note) -> None:
        target.text = "too late"

    with listening(Note, "after_update", after_update), factory() as session, session.begin():
        session.get_one(Note, 1).text = "second"
    with factory() as session:
        assert session.get_one(Note, 1).text == "second"
    assert audit(cache, engine) == []


def test_what_before_insert_changes_of_another_is_not_published(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """A listener that counts children in a parent comes after the parent's INSERT."""

    def before_insert(mapper: Mapper[Any], connection: Connection, target: Tree) -> None:
        if target.parent is not None:
            target.parent.children = 1

    with listening(Tree, "before_insert", before_insert), factory() as session, session.begin():
        session.add(Tree(id=2, parent=Tree(id=1)))
    with factory() as session:
        assert session.get_one(Tree, 1).children == 0
    assert audit(cache, engine) == []


def test_a_listener_of_a_single_object_leaves_it_published(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """What before_insert assigns to its own object is sent, and published."""

    def before_insert(mapper: Mapper[Any], connection: Connection, target: Note) -> None:
        target.text = "in time"

    with listening(Note, "before_insert", before_insert), factory() as session, session.begin():
        session.add(Note(id=1, text="first", told="told"))
    assert cache.stats().published == 1
    assert audit(cache, engine) == []


@pytest.mark.parametrize("kind", ["factory", "class"])
def test_what_after_flush_changes_is_not_published(
    tables: Engine, cache: RedisCache, kind: str
) -> None:
    """An after_flush listener from before enable() changes objects, not the database."""

    class OwnSession(Session):
        pass

    def after_flush(session: Session, context: Any) -> None:
        for one in session.new:
            one.text = "too late"

    event.listen(OwnSession, "after_flush", after_flush)
    factory = sessionmaker(tables, class_=OwnSession)
    cache.enable(factory if kind == "factory" else OwnSession)
    with factory() as session, session.begin():
        session.add(Note(id=1, text="first", told="told"))
    with factory() as session:
        assert session.get_one(Note, 1).text == "first"
    assert audit(cache, tables) == []


def test_a_type_that_evaluates_none_is_null_when_unset(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """No value is NULL, whatever the type would send for None."""
    with factory() as session, session.begin():
        session.add(Note(id=1, text="unset"))
        session.add(Note(id=2, text="none", told=None))
    with factory() as session:
        assert session.get_one(Note, 1).told is None
        assert session.get_one(Note, 2).told == "nothing"
    assert audit(cache, engine) == []


def test_a_version_of_a_subclass_is_not_its_base_tables(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """A version is sent to its own column, not to the base table's of the same name."""
    with factory() as session, session.begin():
        session.add(Contract(id=1, title="first"))
    with factory() as session, session.begin():
        session.get_one(Contract, 1).title = "second"
    assert audit(cache, engine) == []
    with factory() as session:
        assert session.get_one(Contract, 1).version == 2
