"""What a process remembers of a query's result is served while Redis says that nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from sqlalchemy import JSON, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin, CachePolicy, from_cache, query_memory
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, Tag, populated
from tests.integration.shown import Run, again, fresh, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

pytestmark = pytest.mark.by_turns

CACHED = from_cache(ttl=60)


class _Base(DeclarativeBase):
    pass


class Note(CacheMixin, _Base):
    """With a value that can be changed in place."""

    __tablename__ = "memory_note"
    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int] = mapped_column(index=True)
    marks: Mapped[Any] = mapped_column(JSON)


class Brief(CacheMixin, _Base):
    """Its rows stay for a fifth of a second."""

    __tablename__ = "memory_brief"
    __cache__ = CachePolicy(ttl=0.2, jitter=0.0)
    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int] = mapped_column(index=True)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The library; results are remembered for as long as a busy machine may take."""
    monkeypatch.setattr(query_memory, "_LONGEST", 60.0)
    return populated(database, make_cache())


def _read(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(CACHED)).all()


QUERIES: dict[str, Run] = {
    "by a tag": _read(select(Book).where(Book.author_id == 1).order_by(Book.id)),
    "by a range": _read(select(Book).where(Book.price > 1).order_by(Book.id)),
    "which rows there are": _read(select(Book).where(Book.id < 4).order_by(Book.id)),
    "two entities": _read(select(Book, Author).join(Book.author).order_by(Book.id)),
    "columns": _read(select(Book.title, Book.price).where(Book.author_id == 1).order_by(Book.id)),
    "aggregate": _read(select(func.sum(Book.price)).where(Book.author_id == 1)),
    "a unique key": lambda session: session.scalars(select(Tag).where(Tag.name == "red")).all(),
}
each = pytest.mark.parametrize("what", QUERIES)


@pytest.fixture
def rows_read(redis_client: redis.Redis) -> Callable[[], int]:
    """How many rows were read in Redis, so far."""

    def count() -> int:
        found: Any = redis_client.info("commandstats")
        return int(found.get("cmdstat_hget", {"calls": 0})["calls"])

    return count


@each
def test_rows_are_not_read_again(stage: Stage, what: str, rows_read: Callable[[], int]) -> None:
    """The result is that of the database, for one round trip, without the rows."""
    run = QUERIES[what]
    warmed(stage, run)
    warmed(stage, run)
    before = rows_read()
    found, count = again(stage, run)
    assert (count.statements, count.trips, rows_read() - before) == ([], 1, 0)
    assert found == outcome(stage, run, plain=True)


@each
def test_another_process_writes(stage: Stage, make_cache: CacheMaker, what: str) -> None:
    """After its COMMIT nothing is served that it changed, whatever this process remembers."""
    run = QUERIES[what]
    other = make_cache().enable(sessionmaker(stage.outside))
    for number in range(3):
        warmed(stage, run)
        with other.begin() as session:
            session.get_one(Book, 1).title = f"changed {number}"
            session.get_one(Author, 1).name = f"changed {number}"
        fresh(stage, run)
        warmed(stage, run)
        with other.begin() as session:
            session.execute(update(Book).values(price=number, title="all"))
            session.execute(update(Tag).where(Tag.name == "red").values(name="green"))
        fresh(stage, run)
    with other.begin() as session:
        session.delete(session.get_one(Book, 3))
    fresh(stage, run)


@each
def test_invalidated_by_hand(stage: Stage, what: str) -> None:
    """What was written by others is asked for once the application says so."""
    run = QUERIES[what]
    warmed(stage, run)
    warmed(stage, run)
    stage.behind("UPDATE book SET title = 'other', price = 7 WHERE id = 1")
    stage.behind("UPDATE tag SET name = 'other' WHERE name = 'red'")
    stage.cache.invalidate(Book, 1)
    stage.cache.invalidate(Tag)
    fresh(stage, run)


def test_rows_that_are_written_all_the_time(stage: Stage) -> None:
    """A query that only depends on which rows there are is one round trip beside their writers."""
    run = QUERIES["which rows there are"]
    warmed(stage, run)
    warmed(stage, run)
    for number in range(4):
        with stage.Session.begin() as session:
            session.get_one(Book, 1).title = f"changed {number}"
        found, count = again(stage, run)
        assert found == outcome(stage, run, plain=True)
        assert count.trips == (2 if number == 0 else 1)  # the first one had been remembered


def test_it_is_forgotten_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, rows_read: Callable[[], int]
) -> None:
    """The rows are read again, so that none outlives its TTL by much."""
    run = QUERIES["by a tag"]
    monkeypatch.setattr(query_memory, "_LONGEST", 0.0)
    warmed(stage, run)
    before = rows_read()
    again(stage, run)
    assert rows_read() > before


def test_rows_of_a_short_ttl(database: Database, make_cache: CacheMaker) -> None:
    """They are remembered for a tenth of it."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        session.add(Brief(id=1, page=1))
    run = _read(select(Brief).where(Brief.page == 1))
    warmed(stage, run)
    stage.behind("DELETE FROM memory_brief")
    until = time.monotonic() + 10
    while outcome(stage, run) != outcome(stage, run, plain=True):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_values_that_can_be_changed_are_not_shared(
    database: Database, make_cache: CacheMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one session does to a list in place, no other one sees."""
    monkeypatch.setattr(query_memory, "_LONGEST", 60.0)
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        session.add(Note(id=1, page=1, marks=["a"]))
    for statement in (select(Note), select(Note.marks)):
        run = _read(statement.where(Note.page == 1))
        warmed(stage, run)
        with stage.Session() as session:
            (row,) = run(session)
            marks = row[0].marks if isinstance(row[0], Note) else row[0]
            marks.append("b")
        assert outcome(stage, run) == outcome(stage, run, plain=True)


def test_large_results(stage: Stage, rows_read: Callable[[], int]) -> None:
    """Of 100 rows they are remembered, of 1,000 not."""
    with stage.Plain.begin() as session:
        session.add_all(Book(id=n, title=f"t{n}", genre=n % 11) for n in range(1000, 2200))
    for most, expected in ((1100, 0), (2000, 1000)):
        run = _read(select(Book).where(Book.id >= 1000, Book.id < most).order_by(Book.id))
        warmed(stage, run)
        warmed(stage, run)
        before = rows_read()
        found, count = again(stage, run)
        assert (count.statements, rows_read() - before) == ([], expected)
        assert found == outcome(stage, run, plain=True)


def test_two_ways_to_ask_for_the_same(stage: Stage) -> None:
    """A result that was made for one kind of statement is none for another."""
    statement = select(Book).where(Book.author_id == 1).order_by(Book.id).options(CACHED)
    ways: list[Run] = [
        lambda session: session.scalars(statement).all(),
        lambda session: session.execute(statement).all(),
        lambda session: session.scalars(statement.execution_options(populate_existing=True)).all(),
        lambda session: session.query(Book).filter(Book.author_id == 1).order_by(Book.id)
        .options(CACHED).all(),
    ]  # fmt: skip
    for _ in range(3):
        for run in ways:
            assert outcome(stage, run) == outcome(stage, run, plain=True)
