"""Many-to-many collections survive writes to the collected rows that leave their keys alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, union, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)

from sqlalchemy_rediscache import CacheMixin, CachePolicy, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Animal, Author, Book, Cat, Tag, Vehicle, book_tag, populated
from tests.integration.looks import Looks
from tests.integration.stage import Stage
from tests.servers import Database

pytestmark = pytest.mark.by_turns

Write = Callable[[Session], Any]


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library."""
    return populated(database, make_cache())


def look(session: Session) -> dict[str, Any]:
    """Collections of both sides."""
    found: dict[str, Any] = {}
    for number in range(1, 6):
        book = session.get(Book, number)
        found[f"tags of book {number}"] = book and [(one.id, one.name) for one in book.tags]
    for number in range(1, 4):
        tag = session.get(Tag, number)
        found[f"books of tag {number}"] = tag and [(one.id, one.title) for one in tag.books]
    tags = session.scalars(select(Tag).order_by(Tag.id).options(from_cache())).all()
    found["all tags"] = [(tag.id, tag.name) for tag in tags]
    keys = select(Tag.id).order_by(Tag.id).options(from_cache())
    found["keys"] = session.scalars(keys).all()
    count = select(func.count()).select_from(Tag).options(from_cache())
    found["count"] = session.scalar(count)
    return found


looks = Looks(look)
warmed, right = looks.warmed, looks.right


def _named(session: Session) -> None:
    session.get_one(Tag, 1).name = "new"


def _titled(session: Session) -> None:
    session.get_one(Book, 2).title = "new"


def _added(session: Session) -> None:
    book = session.get_one(Book, 4)
    book.tags.append(session.get_one(Tag, 1))


def _removed(session: Session) -> None:
    book = session.get_one(Book, 1)
    book.tags.clear()


def _bulk(session: Session) -> None:
    session.execute(update(Tag).where(Tag.id == 2).values(name=func.upper(Tag.name)),
                    execution_options={"synchronize_session": False})  # fmt: skip


WRITES: dict[str, tuple[Write, int]] = {
    # 0 SQL: the row is published, the collections are as they were
    "a tag gets a new name": (_named, 0),
    "a book gets a new title": (_titled, 0),
    # the tags of the book, the books of the tag
    "a book gets a tag": (_added, 2),
    # the tags of the book, the books of both tags
    "a book loses its tags": (_removed, 3),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_loaded_again(stage: Stage, name: str) -> None:
    """Only collections that a row between came into or left; each shows the rows of today."""
    warmed(stage)
    write, selects = WRITES[name]
    with stage.Session.begin() as session:
        write(session)
    count = right(stage)
    assert count.selects == selects, count.statements
    warmed(stage)


OTHERS: dict[str, Write] = {
    "a tag is deleted": lambda s: s.delete(s.get_one(Tag, 1)),
    "a tag is deleted in bulk": lambda s: s.execute(delete(Tag).where(Tag.id == 1)),
    "a tag is made": lambda s: s.add(Tag(id=9, name="made", books=[s.get_one(Book, 1)])),
    "a tag is made in bulk": lambda s: s.execute(insert(Tag), [{"id": 9, "name": "made"}]),
    "a row between is made in bulk": lambda s: s.execute(
        insert(book_tag), [{"book_id": 4, "tag_id": 3}]
    ),
    "a tag is renamed in bulk": _bulk,
    "text": lambda s: s.execute(text("UPDATE tag SET name = 'text' WHERE id = 1")),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_writes(stage: Stage, name: str) -> None:
    """Every collection is what the database has."""
    warmed(stage)
    with stage.Session.begin() as session:
        OTHERS[name](session)
    right(stage)


def test_a_tag_of_another_key(stage: Stage) -> None:
    """A row that gets another key is another member."""
    with stage.Plain.begin() as session:
        session.execute(delete(book_tag).where(book_tag.c.tag_id == 3))
    warmed(stage)
    with stage.Session.begin() as session:
        session.get_one(Tag, 3).id = 30
        session.flush()
        session.execute(insert(book_tag), [{"book_id": 4, "tag_id": 30}])
    right(stage)


def test_a_row_that_was_not_cached(stage: Stage) -> None:
    """Without the row's hash nothing is known of its tags; the result is right all the same."""
    warmed(stage)
    stage.cache.invalidate(Tag, 1)
    with stage.Session.begin() as session:
        session.execute(update(Tag).where(Tag.id == 1).values(name="new"))
    right(stage)


LOADS: dict[str, Any] = {
    "selectin": [selectinload(Book.tags)],
    "subquery": [subqueryload(Book.tags)],
    "joined": [joinedload(Book.tags)],
    "selectin, criteria": [selectinload(Book.tags), with_loader_criteria(Tag, Tag.name != "new")],
    "selectin, and": [selectinload(Book.tags.and_(Tag.name != "new"))],
}


@pytest.mark.parametrize("name", LOADS)
def test_ways_of_loading(stage: Stage, name: str) -> None:
    """Each shows the new name of a tag, and what a condition on it leaves out."""
    statement = select(Book).order_by(Book.id).options(*LOADS[name], from_cache())

    def load(session: Session) -> list[Any]:
        books = session.scalars(statement).unique().all()
        return [(one.id, [tag.name for tag in one.tags]) for one in books]

    for _ in range(3):
        with stage.Session() as session:
            load(session)
    for write in (_named, _added, _removed, _titled):
        with stage.Session.begin() as session:
            write(session)
        for _ in range(2):
            with stage.Session() as session, stage.Plain() as plain:
                assert load(session) == load(plain)


QUERIES: dict[str, tuple[Any, str]] = {
    "a join by key": (select(Tag).join(book_tag).where(book_tag.c.book_id == 1), "which rows"),
    "a count": (select(func.count()).select_from(Tag), "which rows"),
    "keys": (select(Tag.id), "which rows"),
    "ordered by the key": (select(Tag).order_by(Tag.id), "which rows"),
    "ordered by another": (select(Tag).order_by(Tag.name), "any row"),
    "ordered by the name of another": (select(Tag).order_by(text("name")), "not cached"),
    "ordered by a column by its name": (select(Tag).order_by("name"), "any row"),
    "ordered by a label": (select(Tag.id, Tag.name.label("n")).order_by("n"), "any row"),
    "grouped by a label": (select(Tag.id, Tag.name.label("n")).group_by("n", "id"), "any row"),
    "a condition": (select(Tag).where(Tag.name != "x"), "any row"),
    "a value": (select(Tag.name), "any row"),
    "a value beside it": (select(Tag, Tag.name.label("other")), "any row"),
    "two entities": (select(Tag, Book).join(Tag.books), "any row"),
    "a subquery": (select(Tag).where(Tag.id.in_(select(book_tag.c.tag_id))), "which rows"),
    "a subquery of it": (select(Book).where(Book.id.in_(select(func.max(Tag.id)))), "which rows"),
    "a value in a subquery": (select(Tag).where(Tag.id.in_(select(Tag.name))), "any row"),
    "a union": (union(select(Tag), select(Tag)), "any row"),
    "a union of keys": (union(select(Tag.id), select(Book.id)), "which rows"),
    "a union of values": (union(select(Tag.id, Tag.name), select(Book.id, Book.title)), "any row"),
    "from a union": (select(Tag).from_statement(select(Tag).union(select(Tag))), "any row"),
    "from a statement": (select(Tag).from_statement(select(Tag)), "any row"),
    "an alias of a subquery": (select(aliased(Tag, select(Tag).subquery())), "any row"),
    "distinct": (select(Tag).distinct(), "which rows"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_what_queries_depend_on(stage: Stage, name: str) -> None:
    """A query that uses a table's primary key alone depends on which rows there are."""
    statement, expected = QUERIES[name]
    with stage.Session() as session:
        session.get(Author, 1)
    told = str(stage.cache.explain(statement.options(from_cache())))
    line = next((one for one in told.splitlines() if "on tag:" in one), told)
    assert expected in line, told


def test_queries_of_hierarchies(stage: Stage) -> None:
    """Classes of one region are watched together: where two tables are of it, any row matters."""
    with stage.Session() as session:
        session.get(Author, 1)
    for statement, expected in (
        (select(Vehicle), "vehicle: which rows"),
        (select(Animal), "animal: which rows"),
        (select(Cat), "animal: any row"),
        (select(with_polymorphic(Animal, "*")), "animal: any row"),
    ):
        told = str(stage.cache.explain(statement.options(from_cache())))
        assert expected in told, told


class Base(DeclarativeBase):
    """Of a class that tells its tags."""


class Job(CacheMixin, Base):
    """Its key is no tag."""

    __tablename__ = "job"
    __cache__ = CachePolicy(query_tags=("state",))
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[int | None]


def test_a_key_without_tags(database: Database, make_cache: CacheMaker) -> None:
    """Where the key is not among the tags, any row matters."""
    stage = Stage(database, make_cache(), Base.metadata)
    with stage.Session() as session:
        session.get(Job, 1)
    told = str(stage.cache.explain(select(Job.id).options(from_cache())))
    assert "job: any row" in told, told
