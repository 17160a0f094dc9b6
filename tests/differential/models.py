"""The mappings of the differential test: one of each kind that a cache could get wrong."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, ForeignKey, Numeric, String, Table
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    WriteOnlyMapped,
    column_property,
    composite,
    mapped_column,
    relationship,
)
from sqlalchemy.types import TypeDecorator

from sqlalchemy_rediscache import CacheMixin, CachePolicy, from_cache


class Base(DeclarativeBase):
    """The base of all models here."""


class Genre(enum.Enum):
    """A book's kind."""

    NOVEL = "n"
    POEM = "p"


class Upper(TypeDecorator[str]):
    """Text that comes back in capitals."""

    impl = String(40)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """What Python sees of the stored text."""
        return None if value is None else value.upper()


class Point:
    """A composite value."""

    def __init__(self, x: int | None, y: int | None) -> None:
        self.x = x
        self.y = y

    def __composite_values__(self) -> tuple[int | None, int | None]:
        return self.x, self.y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    def __repr__(self) -> str:
        return f"Point({self.x}, {self.y})"


class Country(CacheMixin, Base):
    """A string key; the database nulls its authors' reference when it is deleted."""

    __tablename__ = "country"
    code: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    authors: Mapped[list[Author]] = relationship(back_populates="country", passive_deletes=True)


class Publisher(CacheMixin, Base):
    """A UUID key, an eager relationship, a cascade in the database."""

    __tablename__ = "publisher"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Upper)
    country_code: Mapped[str | None] = mapped_column(ForeignKey("country.code"))
    country: Mapped[Country | None] = relationship(lazy="selectin")
    books: Mapped[list[Book]] = relationship(
        back_populates="publisher", passive_deletes="all", cascade="save-update, merge"
    )


class Author(CacheMixin, Base):
    """Deferred columns and groups, an expression over columns, a hybrid, a reference to itself."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[str | None] = mapped_column(String(40))
    last: Mapped[str | None] = mapped_column(String(40))
    email: Mapped[str | None] = mapped_column(String(40), deferred=True)
    bio: Mapped[str | None] = mapped_column(String(40), deferred=True, deferred_group="text")
    notes: Mapped[str | None] = mapped_column(String(40), deferred=True, deferred_group="text")
    country_code: Mapped[str | None] = mapped_column(
        ForeignKey("country.code", ondelete="SET NULL")
    )
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    initials: Mapped[str | None] = column_property(first + "." + last)
    country: Mapped[Country | None] = relationship(back_populates="authors")
    manager: Mapped[Author | None] = relationship(remote_side="Author.id")
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan")

    @hybrid_property
    def label(self) -> str:
        """Made in Python of what is loaded."""
        return f"{self.last}, {self.first}"


class Book(CacheMixin, Base):
    """JSON that tracks its changes, an enumeration, a number, an eager join."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(40))
    genre: Mapped[Genre | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    meta: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(JSON()))
    tags: Mapped[list[Any] | None] = mapped_column(MutableList.as_mutable(JSON()))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    publisher_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("publisher.id", ondelete="CASCADE")
    )
    author: Mapped[Author | None] = relationship(back_populates="books")
    publisher: Mapped[Publisher | None] = relationship(back_populates="books", lazy="joined")
    labels: Mapped[list[Label]] = relationship(
        secondary="book_label", back_populates="books", order_by="Label.id"
    )


book_label = Table(
    "book_label",
    Base.metadata,
    Column("book_id", ForeignKey("book.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("label.id", ondelete="CASCADE"), primary_key=True),
)


class Label(CacheMixin, Base):
    """A unique column, a many-to-many relation whose other side is never loaded as a whole."""

    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(String(8), unique=True)
    books: WriteOnlyMapped[Book] = relationship(
        secondary="book_label", back_populates="labels", passive_deletes=True
    )


class Shelf(CacheMixin, Base):
    """A unique column, collections in an order, one that the database deletes, an eager one."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(String(8), unique=True)
    name: Mapped[str | None] = mapped_column(String(40))
    items: Mapped[list[Item]] = relationship(
        back_populates="shelf",
        cascade="all, delete-orphan",
        order_by="Item.rank.desc(), Item.id",
        passive_deletes=True,
    )
    lamps: Mapped[list[Lamp]] = relationship(
        back_populates="shelf", lazy="selectin", passive_deletes=True, order_by="Lamp.id"
    )


class Item(CacheMixin, Base):
    """Follows its shelf's key, and goes with it; queries are watched by its rank, too."""

    __tablename__ = "item"
    __cache__ = CachePolicy(query_tags=("rank",))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    rank: Mapped[int | None]
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("shelf.id", ondelete="CASCADE", onupdate="CASCADE")
    )
    shelf: Mapped[Shelf | None] = relationship(back_populates="items")


class Lamp(CacheMixin, Base):
    """Stays when the shelf goes; its queries need not ask for the cache."""

    __tablename__ = "lamp"
    __cache__ = CachePolicy(query_defaults=from_cache(ttl=60))
    id: Mapped[int] = mapped_column(primary_key=True)
    watts: Mapped[int | None]
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("shelf.id", ondelete="SET NULL", onupdate="CASCADE")
    )
    shelf: Mapped[Shelf | None] = relationship(back_populates="lamps")


class Spot(CacheMixin, Base):
    """A composite key and a composite value."""

    __tablename__ = "spot"
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    column: Mapped[str] = mapped_column("col", String(8), primary_key=True)
    x: Mapped[int | None]
    y: Mapped[int | None]
    at: Mapped[Point] = composite("x", "y")
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("author.id", ondelete="CASCADE"))
    owner: Mapped[Author | None] = relationship()


class Document(CacheMixin, Base):
    """A version counter, and a relation that may not be loaded by SQL."""

    __tablename__ = "document"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(String(40))
    version: Mapped[int] = mapped_column()
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id", ondelete="SET NULL"))
    author: Mapped[Author | None] = relationship(lazy="raise_on_sql")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


class Vehicle(CacheMixin, Base):
    """The root of joined inheritance."""

    __tablename__ = "vehicle"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str | None] = mapped_column(String(40))
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "vehicle",
    }


class Car(Vehicle):
    """A joined subclass."""

    __tablename__ = "car"
    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    doors: Mapped[int | None]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("author.id", ondelete="SET NULL"))
    owner: Mapped[Author | None] = relationship()
    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012


class Truck(Vehicle):
    """A joined subclass whose columns every load of the root brings along."""

    __tablename__ = "truck"
    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    load: Mapped[int | None]
    log: Mapped[str | None] = mapped_column(String(40), deferred=True)
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_identity": "truck",
        "polymorphic_load": "inline",
    }


class Animal(CacheMixin, Base):
    """The root of single-table inheritance."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str | None] = mapped_column(String(40))
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
    }


class Cat(Animal):
    """A subclass in the same table."""

    lives: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012


class Dog(Animal):
    """Another subclass in the same table."""

    tricks: Mapped[str | None] = mapped_column(String(40))
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Figure(CacheMixin, Base):
    """A class with a concrete subclass."""

    __tablename__ = "figure"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))


class Circle(Figure):
    """A table of its own."""

    __tablename__ = "circle"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    radius: Mapped[int | None]
    __mapper_args__ = {"concrete": True}  # noqa: RUF012


class Product(CacheMixin, Base):
    """A column that never enters Redis; commits only empty its rows."""

    __tablename__ = "product"
    __cache__ = CachePolicy(write="invalidate")
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    cost: Mapped[int | None] = mapped_column(info={"cache": False})


class Note(Base):
    """Not cached, and refers to what is."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(String(40))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id", ondelete="SET NULL"))
    author: Mapped[Author | None] = relationship()
