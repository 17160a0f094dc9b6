"""Collections and lookups by a unique column are cached without being asked for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, lazyload, selectinload, with_loader_criteria

from sqlalchemy_rediscache import from_cache, skip_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, Review, Tag, Unasked, populated
from tests.integration.shown import Run, again, check, fresh, hits, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache())


def _selectin(session: Session) -> Any:
    found = session.get_one(Author, 1, options=[selectinload(Author.books)])
    return found.books


def _after_a_commit(session: Session) -> Any:
    author = session.get_one(Author, 1)
    before = list(author.books)
    session.commit()
    return [author.books, before]


def _expired(session: Session) -> Any:
    author = session.get_one(Author, 1)
    before = list(author.books)
    session.expire(author, ["books"])
    return [author.books, before]


COLLECTIONS: dict[str, Run] = {
    "lazy": lambda session: session.get_one(Author, 1).books,
    "lazy and empty": lambda session: session.get_one(Author, 4).books,
    "many-to-many": lambda session: session.get_one(Book, 1).tags,
    "many-to-many, empty": lambda session: session.get_one(Book, 4).tags,
    "the other side": lambda session: session.get_one(Tag, 1).books,
    "two steps": lambda session: [one.reviews for one in session.get_one(Author, 1).books],
    "selectin": _selectin,
    "after a commit": _after_a_commit,
    "expired": _expired,
}  # fmt: skip


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection(stage: Stage, name: str) -> None:
    """A collection has the same objects in the same order, and is served without SQL."""
    before = hits(stage)
    assert check(stage, COLLECTIONS[name]).statements == []
    assert hits(stage) > before


UNIQUE: dict[str, Any] = {
    "there": select(Author).where(Author.email == "ann@x"),
    "not there": select(Author).where(Author.email == "nobody@x"),
    "null": select(Author).where(Author.email == None),  # noqa: E711
    "filter_by": select(Tag).filter_by(name="red"),
    "and more": select(Author).where(Author.email == "ann@x", Author.country == "fr"),
    "of another case": select(Author).where(Author.email == "ANN@X"),
    "with a blank": select(Author).where(Author.email == "ann@x "),
}


@pytest.mark.parametrize("name", UNIQUE)
def test_a_lookup_by_a_unique_column(stage: Stage, name: str) -> None:
    """It gives the row or nothing, as the database does; with a value, without SQL."""
    count = check(stage, lambda session: session.scalars(UNIQUE[name]).all())
    assert count.statements == [] or name == "null"


def test_every_way_to_ask_for_a_unique_row(stage: Stage) -> None:
    """scalar(), one(), first(), Query.filter_by() ... are lookups by a unique column."""
    statement = select(Author).where(Author.email == "bob@x")
    ways: list[Run] = [
        lambda session: session.scalar(statement),
        lambda session: session.scalars(statement).one(),
        lambda session: session.execute(statement).scalar_one_or_none(),
        lambda session: session.query(Author).filter_by(email="bob@x").one(),
        lambda session: session.query(Author).filter(Author.email == "bob@x").first(),
        lambda session: session.query(Author).filter_by(email="bob@x", country="zz").first(),
        lambda session: session.scalars(statement.limit(1)).one(),
        lambda session: session.scalar(select(Author.id).where(Author.email == "bob@x")),
        lambda session: session.query(Author.name, Author.id).filter_by(email="bob@x").first(),
    ]
    for run in ways:
        assert check(stage, run).statements == []


def test_a_policy_without_collections(stage: Stage) -> None:
    """With collections=False nothing but rows by key is cached unless a statement asks for it."""
    runs: list[Run] = [
        lambda session: session.get_one(Unasked, 1).children,
        lambda session: session.scalars(select(Unasked).where(Unasked.code == "a")).one(),
    ]
    for run in runs:
        assert check(stage, run).selects == 1
    asked = select(Unasked).where(Unasked.code == "a").options(from_cache(ttl=60))
    assert check(stage, lambda session: session.scalars(asked).one()).statements == []
    assert outcome(stage, runs[0]) == outcome(stage, runs[0], plain=True)


def test_a_plain_select_is_not_cached(stage: Stage) -> None:
    """A select that is no lookup and has no option asks the database each time."""
    run: Run = lambda session: session.scalars(select(Book).where(Book.author_id == 1)).all()  # noqa: E731
    assert check(stage, run).selects == 1


def test_a_part_of_a_collection_is_not_the_collection(stage: Stage) -> None:
    """What criteria or a filtered join left out is there in the collections of others."""
    whole: Run = lambda session: session.get_one(Author, 1).books  # noqa: E731
    author = select(Author).where(Author.id == 1)
    criteria = with_loader_criteria(Book, Book.genre == 1)
    parts: list[Run] = [
        lambda session: session.scalars(
            author.options(selectinload(Author.books.and_(Book.genre == 1)))
        ).one(),
        lambda session: session.scalars(author.options(selectinload(Author.books), criteria)).one(),
        lambda session: (
            session.scalars(author.options(lazyload(Author.books), criteria)).one().books
        ),
    ]
    for order in (parts, list(reversed(parts))):
        stage.cache.clear()
        for run in order:
            check(stage, run)
            check(stage, whole)
            check(stage, run)


def test_pending_objects_of_a_collection(stage: Stage) -> None:
    """A collection that comes from the cache has what the session added and removed before."""
    run: Run = lambda session: session.get_one(Author, 1).books  # noqa: E731
    warmed(stage, run)
    for factory in (stage.Plain, stage.Session):
        with factory() as session:
            session.autoflush = False
            author = session.get_one(Author, 1)
            book = Book(id=77, title="new", author=author)
            session.add(book)
            assert [one.id for one in author.books] == [1, 2, 77]
            session.rollback()
    with stage.Session() as session:
        session.add(Book(id=77, title="new", author_id=1))
        assert [one.id for one in session.get_one(Author, 1).books] == [1, 2, 77]
        session.rollback()
    fresh(stage, run)


def test_changed_objects_in_a_collection(stage: Stage) -> None:
    """An object that this session changed keeps its changes when a collection brings it again."""
    warmed(stage, lambda session: session.get_one(Author, 1).books)
    with stage.Session(autoflush=False) as session:
        book = session.get_one(Book, 1)
        book.title = "mine"
        author = session.get_one(Author, 1)
        assert author.books[0] is book
        assert book.title == "mine"
        assert inspect(book).modified
        assert inspect(book).attrs.title.history.deleted == ["one"]


def test_both_ends_of_a_collection(stage: Stage) -> None:
    """The many-to-one of what a one-to-many brought is its parent, without SQL."""
    warmed(stage, lambda session: session.get_one(Author, 1).books)
    with stage.counting() as count, stage.Session() as session:
        author = session.get_one(Author, 1)
        assert all(one.author is author for one in author.books)
    assert count.statements == []


def test_skip_cache_reaches_collections(stage: Stage) -> None:
    """The loads that an object loaded with skip_cache() leads to do not use the cache."""
    warmed(stage, lambda session: session.get_one(Author, 1).books)
    with stage.counting() as count, stage.Session() as session:
        statement = select(Author).where(Author.id == 1).options(skip_cache())
        assert len(session.scalars(statement).one().books) == 2
    assert count.selects == 2


@pytest.mark.databases("postgresql")  # elsewhere the first SELECT begins a snapshot
def test_a_selectin_load_shares_one_statement(stage: Stage) -> None:
    """A selectin load of the collections of many parents is served as one."""
    statement = select(Author).order_by(Author.id)

    def run(session: Session) -> Any:
        found = session.scalars(statement.options(selectinload(Author.books))).all()
        return [one.books for one in found]

    warmed(stage, run)
    found, count = again(stage, run)
    assert (found, count.selects) == (outcome(stage, run, plain=True), 1)


def test_a_review_that_follows_its_book(stage: Stage) -> None:
    """A collection whose rows the database deleted with their parent is empty for a new parent."""
    run: Run = lambda session: session.get_one(Book, 1).reviews  # noqa: E731
    warmed(stage, run)
    with stage.Session.begin() as session:
        session.delete(session.get_one(Book, 1))
    with stage.Session.begin() as session:
        session.add(Book(id=1, title="again"))
    fresh(stage, run)
    with stage.Session() as session:
        assert session.get_one(Book, 1).reviews == []
        assert session.get(Review, 1) is None
