"""A warehouse: tables that follow each other by foreign keys, and a reader for each kind of entry.

What is written is one of these tables; `Apart` is what no way of writing touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, from_cache
from tests.integration.shown import Run, shown

CACHED = from_cache(ttl=60)


class Base(DeclarativeBase):
    """The base of these models."""


def follows(column: str, **options: Any) -> ForeignKey:
    """A reference whose rows go, and change their key, with what they refer to."""
    return ForeignKey(column, ondelete="CASCADE", onupdate="CASCADE", **options)


item_label = Table(
    "item_label",
    Base.metadata,
    Column("item_id", follows("item.id"), primary_key=True),
    Column("label_id", follows("label.id"), primary_key=True),
)
journal = Table("journal", Base.metadata, Column("entry", String(40)))
"""No class is mapped to it."""


class Shelf(CacheMixin, Base):
    """The top: items follow it, and a note loses its reference with it."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    items: Mapped[list[Item]] = relationship(
        back_populates="shelf", passive_deletes="all", order_by="Item.id"
    )


class Item(CacheMixin, Base):
    """The middle."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    qty: Mapped[int]
    shelf_id: Mapped[int | None] = mapped_column(follows("shelf.id"))
    shelf: Mapped[Shelf | None] = relationship(back_populates="items")
    parts: Mapped[list[Part]] = relationship(passive_deletes="all", order_by="Part.id")
    labels: Mapped[list[Label]] = relationship(
        secondary=item_label, back_populates="items", order_by="Label.id", passive_deletes=True
    )


class Part(CacheMixin, Base):
    """Two foreign keys below the top."""

    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[int | None] = mapped_column(follows("item.id"))


class Label(CacheMixin, Base):
    """What items are told apart by."""

    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    items: Mapped[list[Item]] = relationship(
        secondary=item_label, back_populates="labels", order_by="Item.id", passive_deletes=True
    )


class Note(CacheMixin, Base):
    """Its reference, which the database sets to NULL, is a key that an echo follows."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("shelf.id", ondelete="SET NULL", onupdate="CASCADE"), unique=True
    )


class Echo(CacheMixin, Base):
    """Changes when a note's reference does."""

    __tablename__ = "echo"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("note.shelf_id", onupdate="CASCADE")
    )


class Apart(CacheMixin, Base):
    """What nobody writes."""

    __tablename__ = "apart"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column(index=True)


def rows() -> list[list[Any]]:
    """New objects, in the order in which they can be inserted."""
    red, blue = Label(id=1, name="red"), Label(id=2, name="blue")
    shelves = [Shelf(id=1, name="low"), Shelf(id=2, name="high"), Shelf(id=3, name="bare")]
    items = [
        Item(id=1, code="a", qty=1, shelf_id=1, labels=[red, blue]),
        Item(id=2, code="b", qty=2, shelf_id=1, labels=[red]),
        Item(id=3, code="c", qty=3, shelf_id=2),
    ]
    parts = [Part(id=at, name=f"p{at}", item_id=item) for at, item in ((1, 1), (2, 1), (3, 3))]
    return [shelves, items, parts, [Note(id=1, shelf_id=1)], [Echo(id=1, note_shelf_id=1)],
            [Apart(id=1, kind=1), Apart(id=2, kind=1)]]  # fmt: skip


def _row(model: Any, key: int) -> Run:
    return lambda session: session.get(model, key)


def _of(model: Any, key: int, collection: str) -> Run:
    return lambda session: getattr(session.get(model, key), collection, None)


def _query(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(CACHED)).all()


READERS: Mapping[str, Run] = {
    "a row": _row(Item, 1),
    "another row": _row(Item, 3),
    "a row below": _row(Part, 1),
    "a row above": _row(Shelf, 1),
    "a row that refers": _row(Note, 1),
    "a row that follows a reference": _row(Echo, 1),
    "a row that is not there": _row(Item, 90),
    "by tag": _query(select(Item).where(Item.shelf_id == 1).order_by(Item.id)),
    "by tag, of another": _query(select(Item.code).where(Item.shelf_id == 2).order_by(Item.id)),
    "by tag, of none": _query(select(Item.code).where(Item.shelf_id == 3).order_by(Item.id)),
    "by tag, below": _query(select(Part).where(Part.item_id == 1).order_by(Part.id)),
    "by tag, of what follows": _query(select(Echo.id).where(Echo.note_shelf_id == 1)),
    "aggregate": _query(select(func.count(Item.id), func.sum(Item.qty))),
    "aggregate below": _query(select(func.count(Part.id))),
    "collection": _of(Shelf, 1, "items"),
    "collection below": _of(Item, 1, "parts"),
    "many to many": _of(Item, 1, "labels"),
    "many to many, empty": _of(Item, 3, "labels"),
    "many to many, the other way": _of(Label, 1, "items"),
    "between": _query(
        select(item_label.c.label_id)
        .select_from(item_label)
        .join(Label, Label.id == item_label.c.label_id)
        .where(item_label.c.item_id == 1)
        .order_by(item_label.c.label_id)
    ),
    "unique key": lambda session: session.scalars(select(Item).where(Item.code == "a")).all(),
    "unique key of none": lambda session: session.scalars(
        select(Item).where(Item.code == "new")
    ).all(),
}
APART: Mapping[str, Run] = {
    "a row apart": _row(Apart, 1),
    "a query apart": _query(select(Apart).where(Apart.kind == 1).order_by(Apart.id)),
    "an aggregate apart": _query(select(func.count(Apart.id))),
}


def seen(factory: Callable[[], Session], run: Run) -> Any:
    """What a reader gives in a session of its own; an error of the database is an answer too."""
    with factory() as session:
        try:
            return shown(run(session))
        except DBAPIError as error:
            return type(error).__name__
