"""Columns of a result whose type SQLAlchemy does not know: kept where the value tells its type."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import case, func, literal, null, select
from sqlalchemy.orm import Session, subqueryload

from sqlalchemy_rediscache import from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, Review, populated
from tests.integration.shown import Run, again, check, fresh
from tests.integration.stage import Stage
from tests.servers import Database

CACHED = from_cache(ttl=60)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache())


def _all(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(CACHED)).all()


UNTYPED: dict[str, Any] = {
    "average": select(func.avg(Book.price), func.avg(Book.id)),
    "of nothing": select(func.avg(Book.price)).where(Book.id < 0),
    "null": select(null(), literal(None), Book.id).order_by(Book.id),
    "text": select(func.replace(Book.title, "o", "0")).order_by(Book.id),
    "number": select(func.length(Book.title), func.abs(Book.id)).order_by(Book.id),
    "case": select(case((Book.genre == 1, null()), else_=func.length(Book.title))),
    "with an entity": select(Book, func.lower(Book.title)).order_by(Book.id),
}


@pytest.mark.parametrize("name", UNTYPED)
def test_what_is_exact_is_kept(stage: Stage, name: str) -> None:
    """Numbers, texts, NULL: the same value and Python type, without SQL."""
    run = _all(UNTYPED[name])
    assert check(stage, run).statements == []
    with stage.Session.begin() as session:
        book = session.get_one(Book, 1)
        book.title, book.price = "longer", None
    fresh(stage, run)


@pytest.mark.databases("postgresql")
def test_what_is_not_exact_is_loaded_each_time(stage: Stage) -> None:
    """Values of other types, as JSON, are left to the database, and counted."""
    run = _all(select(func.jsonb_agg(Book.id)))
    assert check(stage, run).selects == 1
    assert set(stage.cache.stats().reasons) == {"value"}


def test_subqueryload(stage: Stage) -> None:
    """What subqueryload() loads comes from the cache too, at every depth, and is never stale."""
    statement = (
        select(Author)
        .options(subqueryload(Author.books).subqueryload(Book.reviews), CACHED)
        .order_by(Author.id)
    )

    def run(session: Session) -> Any:
        return [
            (
                author.id,
                [(book.title, [one.stars for one in book.reviews]) for book in author.books],
            )
            for author in session.scalars(statement)
        ]

    assert check(stage, run).statements == []
    with stage.Session.begin() as session:
        session.get_one(Review, 1).stars = 1
    fresh(stage, run)
    with stage.Session.begin() as session:
        session.get_one(Book, 5).author_id = 4
    fresh(stage, run)
    assert [again(stage, run)[1].selects for _ in range(3)][-1] == 0


def test_a_name_has_no_part_in_who_came_first(stage: Stage, make_cache: CacheMaker) -> None:
    """An entry is called the same whichever values a process has met first."""
    other = make_cache()
    stage.cache.explain(select(Book.id + 1))
    other.enable(type(stage.Session)(stage.engine))
    other.explain(select(Book.id + 2))
    keys = {one.explain(select(Book.id + 3)).key for one in (stage.cache, other)}
    assert len(keys) == 1
