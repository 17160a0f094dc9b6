"""Three small tables, mapped, and random rows and writes of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ForeignKey, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NUMBERS = (1, 2, 3, 4, 5)
TEXTS = ("a", "b", "ab", "B", "ba")
FEWEST, MOST = 3, 9


class Base(DeclarativeBase):
    """The registry of the random tables."""


class Author(Base):
    """Who writes, with a boss in the same table and a code that is nobody else's."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    code: Mapped[int | None] = mapped_column(unique=True)
    rank: Mapped[int | None]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    books: Mapped[list[Book]] = relationship(back_populates="author", viewonly=True)
    boss: Mapped[Author | None] = relationship(remote_side=[id], viewonly=True)


class Book(Base):
    """What is written."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str | None]
    genre: Mapped[int | None]
    price: Mapped[int | None]
    author: Mapped[Author | None] = relationship(back_populates="books", viewonly=True)
    reviews: Mapped[list[Review]] = relationship(back_populates="book", viewonly=True)
    reviewers: Mapped[list[Author]] = relationship(secondary="review", viewonly=True)


class Review(Base):
    """What is said of it."""

    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int | None] = mapped_column(ForeignKey("book.id"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    stars: Mapped[int | None]
    note: Mapped[str | None]
    book: Mapped[Book | None] = relationship(back_populates="reviews", viewonly=True)


MODELS: tuple[type[Base], ...] = (Author, Book, Review)
TABLES: tuple[Table, ...] = tuple(Base.metadata.tables[model.__tablename__] for model in MODELS)


@dataclass(frozen=True)
class Write:
    """One row of a table before and after a write, None where there is none."""

    table: Table
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None

    def apply(self, connection: Connection) -> None:
        """Do it."""
        self._put(connection, self.old, self.new)

    def undo(self, connection: Connection) -> None:
        """Bring the row back to what it was."""
        self._put(connection, self.new, self.old)

    def _put(self, connection: Connection, old: Any, new: Any) -> None:
        key = self.table.c.id
        if old is None:
            connection.execute(self.table.insert().values(new))
        elif new is None:
            connection.execute(self.table.delete().where(key == old["id"]))
        else:
            connection.execute(self.table.update().where(key == old["id"]).values(new))


def random_value(rng: random.Random, type_: Any) -> Any:
    """A value of a type, or NULL; of few, so that they meet."""
    if rng.random() < 0.15:
        return None
    if isinstance(type_, String):
        return rng.choice(TEXTS)
    assert isinstance(type_, Integer)
    return rng.choice(NUMBERS)


class Rows:
    """The rows of the tables, as they are in the database."""

    def __init__(self) -> None:
        self.by_table: dict[Table, dict[int, dict[str, Any]]] = {table: {} for table in TABLES}

    def note(self, write: Write) -> None:
        """A write was done."""
        rows = self.by_table[write.table]
        if write.old is not None:
            del rows[write.old["id"]]
        if write.new is not None:
            rows[write.new["id"]] = dict(write.new)

    def replace_all(self, connection: Connection) -> None:
        """Bring the database to hold these rows and no others."""
        for table, rows in self.by_table.items():
            connection.execute(table.delete())
            connection.execute(table.insert(), list(rows.values()))


def random_rows(rng: random.Random) -> Rows:
    """A few rows for each table."""
    rows = Rows()
    for table in TABLES:
        for number in rng.sample(range(1, MOST + 1), rng.randint(FEWEST, MOST - 2)):
            rows.note(_insert(rng, table, rows, number))
    return rows


def random_write(rng: random.Random, rows: Rows) -> Write:
    """An INSERT, UPDATE or DELETE of one row that can be done now; it is not done yet."""
    table = rng.choice(TABLES)
    known = rows.by_table[table]
    free = [number for number in range(1, MOST + 1) if number not in known]
    kind = rng.choice(("insert", "update", "update", "delete"))
    if free and (kind == "insert" or len(known) < FEWEST):
        return _insert(rng, table, rows, rng.choice(free))
    old = rng.choice(list(known.values()))
    if kind == "delete" and len(known) > 1:
        return Write(table, old, None)
    new = dict(old)
    others = [column for column in table.c if not column.primary_key]
    for column in rng.sample(others, rng.randint(1, 2)):
        new[column.key] = random_value(rng, column.type)
    return Write(table, old, _with_own_code(rng, table, rows, new))


def _insert(rng: random.Random, table: Table, rows: Rows, number: int) -> Write:
    row = {column.key: random_value(rng, column.type) for column in table.c} | {"id": number}
    return Write(table, None, _with_own_code(rng, table, rows, row))


def _with_own_code(
    rng: random.Random, table: Table, rows: Rows, row: dict[str, Any]
) -> dict[str, Any]:
    """The row with a code that no other row has."""
    if "code" in table.c:
        known = rows.by_table[table].values()
        others = {other["code"] for other in known if other["id"] != row["id"]}
        if row["code"] in others:
            row["code"] = rng.choice([None, *(n for n in range(1, 20) if n not in others)])
    return row
