"""The models of the tests of queries and collections: a library, and a zoo of classes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, Numeric, String, Table, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, CachePolicy, RedisCache
from tests.integration.stage import Stage
from tests.servers import Database


class Base(DeclarativeBase):
    """The base of these models."""


book_tag = Table(
    "book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("book.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
)


class Author(CacheMixin, Base):
    """Who writes; its e-mail is nobody else's, its country is no tag."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    email: Mapped[str | None] = mapped_column(String(60), unique=True)
    country: Mapped[str | None] = mapped_column(String(40))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    boss: Mapped[Author | None] = relationship(remote_side=[id])
    books: Mapped[list[Book]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Book.id"
    )


class Book(CacheMixin, Base):
    """What is written, with values of several types and a column that stays out of Redis."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(60))
    genre: Mapped[int | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    published: Mapped[date | None]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship(back_populates="books")
    reviews: Mapped[list[Review]] = relationship(
        back_populates="book", passive_deletes=True, order_by="Review.id"
    )
    tags: Mapped[list[Tag]] = relationship(
        secondary=book_tag, back_populates="books", order_by="Tag.id", passive_deletes=True
    )


class Review(CacheMixin, Base):
    """What is said of a book; it goes with it, by the database."""

    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    stars: Mapped[int]
    at: Mapped[datetime | None] = mapped_column(DateTime)
    book_id: Mapped[int | None] = mapped_column(ForeignKey("book.id", ondelete="CASCADE"))
    book: Mapped[Book | None] = relationship(back_populates="reviews")


class Tag(CacheMixin, Base):
    """What books are filed under."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    books: Mapped[list[Book]] = relationship(
        secondary=book_tag, back_populates="tags", order_by="Book.id", passive_deletes=True
    )


class Member(CacheMixin, Base):
    """Has a column that must never reach Redis, and a key that no SQL type of SQLite is for."""

    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    card: Mapped[str | None] = mapped_column(String(40), info={"cache": False})
    token: Mapped[Any] = mapped_column(Uuid, nullable=True)


class Unasked(CacheMixin, Base):
    """Its policy says that nothing is cached without being asked for but rows by key."""

    __tablename__ = "unasked"
    __cache__ = CachePolicy(collections=False)
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("unasked.id"))
    children: Mapped[list[Unasked]] = relationship()


class Diary(Base):
    """Not cached: the cache is told of none of its writes."""

    __tablename__ = "diary"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    text: Mapped[str] = mapped_column(String(40))


class Vehicle(CacheMixin, Base):
    """The root of classes in one table."""

    __tablename__ = "vehicle"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(20))


class Car(Vehicle):
    """Of the same table."""

    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012
    doors: Mapped[int | None]


class Animal(CacheMixin, Base):
    """The root of classes in joined tables."""

    __tablename__ = "animal"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(20))


class Cat(Animal):
    """With a table of its own."""

    __tablename__ = "cat"
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    lives: Mapped[int | None]


def rows() -> list[Any]:
    """New objects: authors 1 to 4 with books, reviews and tags; the fourth has none."""
    ann = Author(id=1, name="ann", email="ann@x", country="fr")
    bob = Author(id=2, name="bob", email="bob@x", country="de", boss=ann)
    cid = Author(id=3, name="cid", email=None, country=None, boss=ann)
    dot = Author(id=4, name="dot", email="dot@x", country="fr", boss=bob)
    red, blue, old = (Tag(id=at, name=name) for at, name in enumerate(("red", "blue", "old"), 1))
    day = date(2024, 2, 29)
    books = [
        Book(id=1, title="one", genre=1, price=Decimal("9.50"), published=day, author=ann,
             tags=[red, blue]),
        Book(id=2, title="two", genre=2, price=Decimal("20.00"), author=ann, tags=[red]),
        Book(id=3, title="three", genre=1, price=None, published=day, author=bob, tags=[blue]),
        Book(id=4, title="four", genre=None, price=Decimal("5.25"), author=cid),
        Book(id=5, title="none", genre=2, price=Decimal("9.50"), author=None, tags=[old]),
    ]  # fmt: skip
    moment = datetime(2024, 2, 29, 12, 30, 15, 5, UTC).replace(tzinfo=None)
    reviews = [
        Review(id=at, stars=stars, at=moment if at % 2 else None, book=books[place])
        for at, (stars, place) in enumerate(((5, 0), (3, 0), (4, 1), (1, 2)), 1)
    ]
    others: list[Any] = [
        Member(id=1, name="may", card="9999777"),
        Unasked(id=1, code="a", children=[Unasked(id=2, code="b")]),
        Vehicle(id=1, name="v"), Car(id=2, name="c", doors=4), Car(id=3, name="d", doors=2),
        Animal(id=1, name="a"), Cat(id=2, name="c", lives=9),
    ]  # fmt: skip
    return [ann, bob, cid, dot, *books, *reviews, *others]


def populated(database: Database, cache: RedisCache, *, begin: bool = False) -> Stage:
    """The library with its rows, of which the cache has heard nothing."""
    stage = Stage(database, cache, Base.metadata, begin=begin)
    with stage.Plain.begin() as session:
        session.add_all(rows())
        session.flush()
        session.add(Diary(id=1, author_id=1, text="d"))
    return stage
