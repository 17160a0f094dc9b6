"""Whatever goes to the database past the cache is counted with its reason, which explain() says."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, insert, literal_column, select, text
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import from_cache
from sqlalchemy_rediscache.stats import Reason
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Base, Book, Diary, Member, populated
from tests.integration.shown import Run, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

CACHED = from_cache(ttl=60)
BOOKS = select(Book).where(Book.author_id == 1).order_by(Book.id).options(CACHED)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache(), begin=True)


def counted(stage: Stage, does: Callable[[], Any]) -> dict[str, int]:
    """What is counted while something is done, by reason; the sums must agree."""
    before = dict(stage.cache.stats().reasons)
    does()
    stats = stage.cache.stats()
    assert sum(stats.reasons.values()) == (
        stats.bypassed + stats.query_bypassed + stats.unencodable
    )
    found = {name: count - before.get(name, 0) for name, count in stats.reasons.items()}
    return {name: count for name, count in found.items() if count}


STATEMENTS: dict[str, Any] = {
    "uncached-table": select(Diary),
    "not-repeatable": select(Book.id, func.now()),
    "unknown-function": select(func.my_own(Book.id)),
    "text": select(literal_column("(SELECT 1)")).select_from(Book),
    "locking": select(Book).with_for_update(),
    "withheld-column": select(Member.card),
    "writes": select(Author.id).add_cte(insert(Book).values(id=99, title="x").cte("w")),
    "unknown-construct": select(Book.id.op("<%>")(1)),
    "parameter": select(Book).where(Book.title == object()),
    "execution-option": select(Book).execution_options(yield_per=1),
    "reload": select(Book).execution_options(populate_existing=True),
}


@pytest.mark.parametrize("reason", STATEMENTS)
def test_statements(stage: Stage, reason: str) -> None:
    """A statement that can't be cached is counted under the reason that explain() gives."""
    statement = STATEMENTS[reason].options(CACHED)
    explanation = stage.cache.explain(statement)
    assert (explanation.cached, explanation.reason) == (False, reason)
    assert f"not cached ({reason}): " in str(explanation)

    def run() -> None:
        # some of them no database understands
        with stage.Session() as session, contextlib.suppress(Exception):
            session.execute(statement).all()

    assert counted(stage, run) == {reason: 1}


def test_what_is_cached_has_no_reason(stage: Stage) -> None:
    """Nothing is counted for a query that is cached, nor for one that does not ask."""
    assert stage.cache.explain(BOOKS).reason == ""
    assert counted(stage, lambda: warmed(stage, lambda s: s.scalars(BOOKS).all())) == {}
    plain = select(Book.title)
    assert stage.cache.explain(plain).reason == ""
    assert counted(stage, lambda: warmed(stage, lambda s: s.scalars(plain).all())) == {}


def test_reasons_are_few_and_known(stage: Stage) -> None:
    """The names are those of `Reason`, whatever comes: dashboards may list them."""
    for statement in STATEMENTS.values():
        stage.cache.explain(statement.options(CACHED))
    assert set(STATEMENTS) <= {reason.value for reason in Reason}
    assert len(Reason) < 30


def _read(session: Session) -> Any:
    return session.scalars(BOOKS).all()


def _own_writes(session: Session) -> None:
    session.get_one(Author, 1).name = "new"
    session.get_one(Book, 1).title = "new"
    session.flush()
    session.expire_all()


def test_own_writes(stage: Stage) -> None:
    """Queries and rows that a transaction has written are read from the database."""
    warmed(stage, lambda session: session.scalars(BOOKS).all())
    with stage.Session() as session:
        _own_writes(session)
        assert counted(stage, lambda: session.scalars(BOOKS).all()) == {"own-writes": 1}
        session.expunge_all()
        assert set(counted(stage, lambda: session.get(Author, 1))) == {"own-writes"}
        session.rollback()


def test_listeners_and_bindings(stage: Stage) -> None:
    """A listener that comes after the cache, and a connection that is not the session's own."""

    class Own(Session):
        """A class of sessions, served by events alone."""

    stage.cache.enable(Own)
    event.listen(Own, "do_orm_execute", lambda state: None)
    with Own(stage.engine) as own:
        assert counted(stage, lambda: own.scalars(BOOKS).all()) == {"listener": 1}
    with stage.engine.connect() as connection, stage.Session(bind=connection) as session:
        assert counted(stage, lambda: session.scalars(BOOKS).all()) == {"binding": 1}


@pytest.mark.databases("postgresql")
def test_isolation_and_snapshots(stage: Stage) -> None:
    """A SERIALIZABLE transaction is not served, nor a snapshot that is older than what is known."""
    for level, reason in (("SERIALIZABLE", "isolation"), ("REPEATABLE READ", "snapshot")):
        engine = stage.engine.execution_options(isolation_level=level)
        factory = stage.cache.enable(sessionmaker(engine))
        with factory() as session:
            session.execute(text("SELECT 1"))
            assert counted(stage, functools.partial(_read, session)) == {reason: 1}


def test_results_that_are_too_large(database: Database, make_cache: CacheMaker) -> None:
    """A result, or a row, of more bytes than are allowed is loaded each time, and counted."""
    stage = Stage(database, make_cache(max_entry_bytes=200), Base.metadata)
    with stage.Plain.begin() as session:
        session.add(Author(id=1, name="n", books=[Book(id=n, title="t") for n in range(1, 100)]))
    runs: list[tuple[Run, int]] = [
        (lambda session: session.scalars(BOOKS).all(), 1),
        (lambda session: session.execute(select(Book.id, Book.title).options(CACHED)).all(), 1),
    ]
    for run, count in runs:
        found = counted(stage, functools.partial(outcome, stage, run))
        assert found == {"too-large": count}
        assert outcome(stage, run) == outcome(stage, run, plain=True)
