"""After each kind of write every cached query equals the database; what it can't change is served.

Every reader is warmed, one write is done, and every reader must give what the database gives.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session, aliased, selectinload

from sqlalchemy_rediscache import from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, Review, Tag, book_tag, populated
from tests.integration.shown import Run, again, fresh, hits, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

pytestmark = pytest.mark.by_turns

Write = Callable[[Session], Any]
CACHED = from_cache(ttl=60)


BOOK: Any = Book.__table__


def _flushed(session: Session) -> bool:
    session.flush()
    return True


def _read(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(CACHED)).all()


def books_of(author: int) -> Run:
    """The collection of one author."""
    return lambda session: session.get_one(Author, author).books


def tags_of(book: int) -> Run:
    """The many-to-many collection of one book, if it is there."""
    return lambda session: getattr(session.get(Book, book), "tags", None)


def filed_under(tag: int) -> Run:
    """The other side of the many-to-many collection."""
    return lambda session: getattr(session.get(Tag, tag), "books", None)


def _by_email(email: str) -> Run:
    return lambda session: session.scalars(select(Author).where(Author.email == email)).all()


def _selectin(session: Session) -> Any:
    statement = select(Author).order_by(Author.id).options(selectinload(Author.books), CACHED)
    return session.scalars(statement).all()


Twin = aliased(Book)
READERS: dict[str, Run] = {
    "books of 1": books_of(1),
    "books of 2": books_of(2),
    "books of 4": books_of(4),
    "tags of 1": tags_of(1),
    "tags of 4": tags_of(4),
    "filed under 1": filed_under(1),
    "filed under 3": filed_under(3),
    "by e-mail": _by_email("ann@x"),
    "by an e-mail of nobody": _by_email("new@x"),
    "by author": _read(select(Book).where(Book.author_id == 1).order_by(Book.id)),
    "titles by author": _read(select(Book.title).where(Book.author_id == 2).order_by(Book.id)),
    "of no author": _read(select(Book).where(Book.author_id.is_(None)).order_by(Book.id)),
    "by genre": _read(select(Book).where(Book.genre == 1).order_by(Book.id)),
    "author and genre": _read(
        select(Book.id).where(Book.author_id == 1, Book.genre == 1).order_by(Book.id)
    ),
    "author or genre": _read(
        select(Book.id).where(or_(Book.author_id == 1, Book.genre == 1)).order_by(Book.id)
    ),
    "of other authors": _read(select(Book.id).where(Book.author_id != 1).order_by(Book.id)),
    "of some": _read(select(Book.id).where(Book.author_id.in_([1, 3, 4])).order_by(Book.id)),
    "count": _read(select(func.count()).select_from(Book)),
    "sum by author": _read(
        select(func.sum(Book.price)).select_from(Book).where(Book.author_id == 1)
    ),
    "join": _read(select(Author, Book).join(Author.books).where(Author.id == 1).order_by(Book.id)),
    "join by country": _read(
        select(Book.title).join(Book.author).where(Author.country == "fr").order_by(Book.id)
    ),
    "outer join": _read(
        select(Author.name, Book.id).outerjoin(Author.books).order_by(Author.id, Book.id)
    ),
    "outer join by tag": _read(
        select(Author.name, Book.id)
        .outerjoin(Book, and_(Book.author_id == Author.id, Book.genre == 1))
        .where(Author.id == 4)
        .order_by(Book.id)
    ),
    "without books": _read(select(Author.id).where(~Author.books.any()).order_by(Author.id)),
    "a subquery": _read(
        select(Author.name)
        .where(Author.id.in_(select(Book.author_id).where(Book.genre == 2)))
        .order_by(Author.id)
    ),
    "twice": _read(
        select(Book.id, Twin.id)
        .join(Twin, and_(Twin.genre == Book.genre, Twin.id != Book.id))
        .where(Book.author_id == 1)
        .order_by(Book.id, Twin.id)
    ),
    "by tag": _read(select(Book).join(Book.tags).where(Tag.name == "red").order_by(Book.id)),
    "association": _read(
        select(book_tag.c.tag_id, Book.title)
        .join(Book, Book.id == book_tag.c.book_id)
        .order_by(book_tag.c.tag_id, Book.id)
    ),
    "selectin": _selectin,
    "reviews": _read(select(Review.stars).where(Review.book_id == 1).order_by(Review.id)),
    "limit": _read(select(Book.id).order_by(Book.price.desc(), Book.id).limit(2)),
}


def _set(model: Any, key: int, **values: Any) -> Write:
    def write(session: Session) -> None:
        found = session.get_one(model, key)
        for name, value in values.items():
            setattr(found, name, value)

    return write


def _delete_object(model: Any, key: int) -> Write:
    return lambda session: session.delete(session.get_one(model, key))


def _append(model: Any, key: int, collection: str, make: Callable[[Session], Any]) -> Write:
    def write(session: Session) -> None:
        owner, item = session.get_one(model, key), make(session)
        getattr(owner, collection).append(item)
        session.flush()

    return write


def _pop(model: Any, key: int, collection: str) -> Write:
    def write(session: Session) -> None:
        owner = session.get_one(model, key)
        getattr(owner, collection).pop()
        session.flush()

    return write


def _run(statement: Any, parameters: Any = None, **options: Any) -> Write:
    return lambda session: session.execute(statement, parameters, execution_options=options)


def _core(statement: Any, parameters: Any = None) -> Write:
    return lambda session: session.connection().execute(statement, parameters)


def _merge(session: Session) -> None:
    session.merge(Book(id=2, title="merged", genre=1, author_id=2))


NEW = {"id": 9, "title": "new", "genre": 1, "author_id": 4, "price": Decimal(99)}
FROM_SELECT = insert(Book).from_select(
    ["id", "title", "genre", "author_id"], select(Book.id + 20, Book.title, 1, Book.author_id)
)
FETCH, OFF = {"synchronize_session": "fetch"}, {"synchronize_session": False}
WRITES: dict[str, Write] = {
    "insert": lambda session: session.add(Book(**NEW)),
    "insert without author": lambda session: session.add(Book(id=9, title="new", genre=2)),
    "insert by collection": _append(
        Author, 4, "books", lambda session: Book(id=9, title="new", genre=1)
    ),
    "insert of a tree": lambda session: session.add(
        Author(
            id=9,
            name="new",
            email="new@x",
            books=[Book(id=9, title="new", tags=[Tag(id=9, name="t")])],
        )
    ),
    "update": _set(Book, 1, title="changed"),
    "update of what is asked for": _set(Book, 2, genre=1),
    "update of a price": _set(Book, 4, price=Decimal(500)),
    "update of an author": _set(Author, 2, country="fr", name="rob"),
    "e-mail changes hands": lambda session: (
        _set(Author, 1, email=None)(session),
        _flushed(session),
        _set(Author, 2, email="ann@x")(session),
    ),
    "new e-mail": _set(Author, 3, email="new@x"),
    "move by key": _set(Book, 1, author_id=2),
    "move by collection": _append(Author, 4, "books", lambda session: session.get_one(Book, 1)),
    "move to nobody": _set(Book, 3, author_id=None),
    "move from nobody": _set(Book, 5, author_id=1),
    "remove from a collection": _pop(Author, 1, "books"),
    "delete": _delete_object(Book, 1),
    "delete with books": _delete_object(Author, 3),
    "reorder": _set(Book, 5, price=Decimal(1000)),
    "merge": _merge,
    "tag": _append(Book, 4, "tags", lambda session: session.get_one(Tag, 1)),
    "untag": _pop(Book, 1, "tags"),
    "untag by the other side": _pop(Tag, 1, "books"),
    "rename a tag": _set(Tag, 1, name="crimson"),
    "delete a tag": _delete_object(Tag, 1),
    "bulk update": _run(update(Book).where(Book.author_id == 1).values(genre=2)),
    "bulk update, fetch": _run(update(Book).where(Book.genre == 1).values(title="x"), **FETCH),
    "bulk update, no sync": _run(update(Book).values(genre=1), **OFF),
    "bulk move": _run(update(Book).where(Book.author_id == 1).values(author_id=4), **OFF),
    "bulk update, returning": _run(
        update(Book).where(Book.id == 3).values(author_id=1).returning(Book.id)
    ),
    "bulk update by key": _run(update(Book), [{"id": 1, "author_id": 4}, {"id": 3, "genre": 2}]),
    "bulk update by expression": _run(update(Book).values(price=Book.price + 1), **OFF),
    "bulk delete": _run(delete(Book).where(Book.author_id == 1)),
    "bulk delete, no sync": _run(delete(Book).where(Book.genre == 2), **OFF),
    "bulk insert": _run(insert(Book), [NEW, {**NEW, "id": 10, "author_id": 1}]),
    "bulk insert, returning": _run(insert(Book).returning(Book), [NEW]),
    "insert values": _run(insert(Book).values(**NEW)),
    "insert from select": _run(FROM_SELECT),
    "bulk_save_objects": lambda session: session.bulk_save_objects([Book(**NEW)]),
    "bulk_insert_mappings": lambda session: session.bulk_insert_mappings(Book, [NEW]),
    "bulk_update_mappings": lambda session: session.bulk_update_mappings(
        Book, [{"id": 1, "author_id": 4}]
    ),
    "query.update": lambda session: session.query(Book).filter_by(author_id=1).update({"genre": 7}),
    "query.delete": lambda session: session.query(Review).filter_by(book_id=1).delete(),
    "database cascade": _run(delete(Book).where(Book.id == 1), **OFF),
    "association insert": _run(insert(book_tag).values(book_id=4, tag_id=1)),
    "association update": _run(update(book_tag).where(book_tag.c.tag_id == 3).values(tag_id=1)),
    "association delete": _run(delete(book_tag).where(book_tag.c.book_id == 1)),
    "Core update": _core(update(BOOK).where(Book.id == 1).values(author_id=4)),
    "Core insert": _core(insert(BOOK), [NEW, {**NEW, "id": 10}]),
    "Core delete": _core(delete(BOOK).where(Book.id == 5)),
    "Core association": _core(insert(book_tag), [{"book_id": 4, "tag_id": 1}]),
    "text": _core(text("UPDATE book SET author_id = :to WHERE id = 1"), {"to": 4}),
    "text of a tag": _run(text("UPDATE tag SET name = 'x' WHERE id = 1")),
    "text of an association": _run(text("DELETE FROM book_tag WHERE tag_id = 1")),
    "driver SQL": lambda session: session.connection().exec_driver_sql(
        "DELETE FROM review WHERE book_id = 1"
    ),
}  # fmt: skip


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, every reader warm."""
    stage = populated(database, make_cache())
    for run in READERS.values():
        warmed(stage, run)
    return stage


@pytest.mark.parametrize("name", WRITES)
def test_every_query_sees_every_write(stage: Stage, name: str) -> None:
    """A write that is rolled back is seen by no query, one that is committed by all.

    After the commit every cached query gives what the database gives, and again when refilled.
    """
    write = WRITES[name]
    _changes_nothing(stage, write)
    before = hits(stage)
    for run in READERS.values():
        outcome(stage, run)
    assert hits(stage) - before >= len(READERS), "they were not warm"
    with stage.Session.begin() as session:
        write(session)
    for _ in range(2):
        for reader, run in READERS.items():
            assert outcome(stage, run) == outcome(stage, run, plain=True), reader


def _changes_nothing(stage: Stage, write: Write) -> None:
    """Write and roll back: one set-up, which takes longer than the test, serves for both."""
    expected = {reader: outcome(stage, run, plain=True) for reader, run in READERS.items()}
    with stage.Session() as session:
        write(session)
        session.flush()
        session.rollback()
    for reader, run in READERS.items():
        assert outcome(stage, run) == expected[reader], f"{reader}, rolled back"


def test_a_core_connection_of_the_engine(stage: Stage) -> None:
    """Writes on a connection of an enabled engine are seen, in no session at all."""
    with stage.engine.begin() as connection:
        connection.execute(update(BOOK).where(Book.id == 1).values(author_id=4))
    fresh(stage, *READERS.values())
    with stage.engine.begin() as connection:
        connection.execute(text("INSERT INTO book_tag (book_id, tag_id) VALUES (4, 1)"))
    fresh(stage, *READERS.values())
    engine: Engine = stage.engine
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE author SET country = 'fr'")
    fresh(stage, *READERS.values())


@pytest.mark.parametrize("how", ["a row", "a model", "everything"])
def test_invalidate(stage: Stage, how: str) -> None:
    """What is invalidated by hand is asked of the database, and the queries that had it."""
    stage.behind("UPDATE book SET title = 'behind' WHERE id = 1")
    if how == "a row":
        stage.cache.invalidate(Book, 1)
    elif how == "a model":
        stage.cache.invalidate(Book)
    else:
        stage.cache.clear()
    fresh(stage, *READERS.values())


PRECISE: dict[str, tuple[Write, tuple[str, ...]]] = {
    "update of a book of 1": (
        _set(Book, 1, title="changed"),
        ("books of 2", "books of 4", "titles by author", "of no author", "tags of 4", "by e-mail"),
    ),
    "insert of a book of 4": (
        lambda session: session.add(Book(**NEW)),
        ("books of 1", "books of 2", "by author", "titles by author", "of no author", "tags of 1",
         "author and genre", "sum by author"),
    ),
    "a book moves from 1 to 4": (
        _set(Book, 1, author_id=4),
        ("books of 2", "titles by author", "of no author", "by e-mail"),
    ),
    "delete of the book of 3": (
        _delete_object(Book, 4),
        ("books of 1", "books of 2", "by author", "titles by author", "sum by author"),
    ),
    "update of an author": (
        _set(Author, 2, country="fr"),
        ("books of 1", "books of 4", "by e-mail", "by author", "tags of 1", "count"),
    ),
    "a review": (
        lambda session: session.add(Review(id=9, stars=1, book_id=2)),
        ("reviews", "books of 1", "by author", "count", "tags of 1"),
    ),
    "a book gets a tag": (
        _append(Book, 4, "tags", lambda session: session.get_one(Tag, 1)),
        ("tags of 1", "filed under 3", "books of 1", "by author", "count"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRECISE)
def test_a_write_leaves_the_others_served(stage: Stage, name: str) -> None:
    """Collections and queries of other parents are answered without SQL after a write."""
    write, others = PRECISE[name]
    with stage.Session.begin() as session:
        write(session)
    for reader in others:
        before = hits(stage)
        found, count = again(stage, READERS[reader])
        assert found == outcome(stage, READERS[reader], plain=True)
        assert (count.statements, hits(stage) - before >= 1) == ([], True), reader


@pytest.mark.parametrize("reader", ["tags of 4"])
def test_a_write_to_a_row_leaves_many_to_many_collections_served(stage: Stage, reader: str) -> None:
    """A change of a book leaves the collections of what it is related to through a table served."""
    with stage.Session.begin() as session:
        session.get_one(Book, 4).title = "changed"
    found, count = again(stage, READERS[reader])
    assert found == outcome(stage, READERS[reader], plain=True)
    assert count.statements == []
