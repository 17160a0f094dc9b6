"""Statements of unusual make: answered or left alone, never broken."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, ForeignKey, bindparam, insert, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin


class Base(DeclarativeBase):
    """The models of this file."""


class Writer(CacheMixin, Base):
    """Has books that are not loaded with it."""

    __tablename__ = "writer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: WriteOnlyMapped[Book] = relationship(back_populates="writer")


class Book(CacheMixin, Base):
    """Belongs to a writer."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    writer_id: Mapped[int | None] = mapped_column(ForeignKey("writer.id"))
    writer: Mapped[Writer | None] = relationship(back_populates="books")


def test_a_write_only_collection_of_a_pending_object_flushes_it(
    factory: sessionmaker[Session],
) -> None:
    """The parent's key is made by the autoflush: it is not asked for before."""
    with factory() as session:
        writer = Writer(name="ann")
        book = Book(title="first", writer=writer)
        session.add(writer)
        assert session.scalars(writer.books.select()).all() == [book]


def test_a_callable_parameter_is_called_by_sqlalchemy_alone(factory: sessionmaker[Session]) -> None:
    """A value that is made when the statement runs is made once."""
    calls: list[int] = []

    def value() -> int:
        calls.append(1)
        return len(calls)

    with factory() as session, session.begin():
        session.add_all([Writer(id=1, name="ann"), Writer(id=2, name="bob")])
    with factory() as session:
        statement = select(Writer).where(Writer.id == bindparam("id", callable_=value))
        assert session.scalars(statement).one().name == "ann"
        assert session.scalars(statement).one().name == "bob"
    assert len(calls) == 2


def test_dml_inside_of_from_statement_invalidates(
    engine: Engine, factory: sessionmaker[Session]
) -> None:
    """select().from_statement(insert()...) writes like the INSERT itself, an UPDATE likewise."""
    if not engine.dialect.insert_returning:
        pytest.skip("no RETURNING here")
    with factory() as session:
        assert session.get(Writer, 1) is None
    with factory() as session, session.begin():
        writing = insert(Writer).values(id=1, name="ann").returning(Writer)
        made = session.scalars(select(Writer).from_statement(writing)).one()
        assert made.name == "ann"
    with factory() as session:
        assert session.get_one(Writer, 1).name == "ann"
    with factory() as session, session.begin():
        renaming = update(Writer).where(Writer.id == 1).values(name="bob").returning(Writer)
        changed = session.scalars(select(Writer).from_statement(renaming)).one()
        assert changed.name == "bob"
    with factory() as session:
        assert session.get_one(Writer, 1).name == "bob"
