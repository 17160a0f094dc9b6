"""stale_ttl: an older result, for those who said that they may have it, while one reloads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.util import await_only

from sqlalchemy_rediscache import ConfigurationError, RedisCache, from_cache, refresh_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Base, Book, Tag, populated, rows
from tests.integration.shown import Run, again, check, fresh, outcome
from tests.integration.stage import Stage
from tests.servers import Database

STALE = from_cache(ttl=60, stale_ttl=30)
BOOKS = select(Book).where(Book.author_id == 1).order_by(Book.id)
TITLES = select(Book.title).where(Book.author_id == 1).order_by(Book.id)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached; its readers don't wait for each other."""
    stage = populated(database, make_cache(lease_wait=0.05), begin=True)
    if stage.is_sqlite:
        with stage.outside.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    return stage


def _titles(statement: Any = TITLES, option: Any = STALE) -> Run:
    return lambda session: list(session.scalars(statement.options(option)))


def _change(stage: Stage, title: str = "changed") -> None:
    with stage.Session.begin() as session:
        session.get_one(Book, 1).title = title


def _stale(cache: RedisCache) -> int:
    return cache.stats().query_stale


def _plainly(stage: Stage, run: Run) -> Any:
    with stage.Session() as session:
        return run(session)


@contextmanager
def _meanwhile(engine: Engine, does: Callable[[], None]) -> Iterator[None]:
    """Do something while the next statement of an engine is on its way, once."""
    pending = [does]

    def executed(*args: Any) -> None:
        if pending:
            pending.pop()()

    event.listen(engine, "before_cursor_execute", executed)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", executed)
        assert not pending, "no statement was sent"


def _while_reloaded(stage: Stage, run: Run) -> tuple[Any, Any, int]:
    """What the one who reloads gets, what others get meanwhile, how many of them got it stale."""
    others: list[Any] = []
    before = _stale(stage.cache)

    def other() -> None:
        others.append(_plainly(stage, run))

    with _meanwhile(stage.engine, other):
        own = _plainly(stage, run)
    return own, others[0], _stale(stage.cache) - before


def test_one_reloads_and_the_others_are_served(stage: Stage) -> None:
    """After a write one reader loads the query, others get the old result without SQL."""
    run = _titles()
    assert check(stage, run).statements == []
    _change(stage)
    own, other, stale = _while_reloaded(stage, run)
    assert (own, other, stale) == (["changed", "two"], ["one", "two"], 1)
    found, count = again(stage, run)
    assert count.statements == []
    assert found == outcome(stage, run, plain=True)


def test_entities_are_of_one_moment(stage: Stage) -> None:
    """Entities of an old result have the values that go with it, and leave the row cache alone."""
    run: Run = lambda session: [(b.id, b.title) for b in session.scalars(BOOKS.options(STALE))]  # noqa: E731
    assert check(stage, run).statements == []
    assert check(stage, lambda s: s.scalars(BOOKS.options(STALE)).all()).statements == []
    with stage.Session.begin() as session:
        session.get_one(Book, 1).title = "changed"
        session.get_one(Book, 2).author_id = 2
    own, other, stale = _while_reloaded(stage, run)
    assert own == [(1, "changed")]
    assert (other, stale) == ([(1, "one"), (2, "two")], 1)
    fresh(stage, run, lambda session: session.get_one(Book, 1), lambda s: s.get_one(Book, 2))


def test_a_write_by_an_old_object_publishes_nothing_old(stage: Stage) -> None:
    """Who changes an object of an old result leaves the cached row as it is in the database."""
    run = _titles(BOOKS)
    check(stage, run)
    _change(stage)
    stage.warm(Book, 1)

    def other() -> None:
        with stage.Session() as session:
            book = session.scalars(BOOKS.options(STALE)).first()
            assert book is not None
            assert book.title == "one"
            book.genre = 7
            if not stage.is_sqlite:
                session.commit()

    with _meanwhile(stage.engine, other):
        _plainly(stage, run)
    fresh(stage, lambda session: session.get_one(Book, 1), run)


def test_while_a_commit_is_under_way(stage: Stage) -> None:
    """Between a writer's lock and its COMMIT the old result is served, without SQL."""
    run = _titles()
    check(stage, run)
    found: list[Any] = []

    @event.listens_for(stage.engine, "commit")
    def committing(connection: Any) -> None:
        found.append(again(stage, run))

    try:
        _change(stage)
    finally:
        event.remove(stage.engine, "commit", committing)
    (seen, count), *_ = found
    assert seen == ("list", [("str", "one"), ("str", "two")])
    assert count.selects == 0
    fresh(stage, run)


def test_only_those_who_said_so(stage: Stage) -> None:
    """Without stale_ttl, and with refresh_cache(), the same statement is never old."""
    check(stage, _titles())
    check(stage, _titles(option=from_cache(ttl=60)))
    _change(stage)
    found: list[Any] = []

    def other() -> None:
        found.append(_plainly(stage, _titles(option=from_cache(ttl=60))))
        found.append(_plainly(stage, _titles(TITLES.options(refresh_cache()))))
        found.append(_plainly(stage, lambda session: [b.title for b in session.scalars(BOOKS)]))

    with _meanwhile(stage.engine, other):
        _plainly(stage, _titles())
    assert found == [["changed", "two"]] * 3


def test_own_writes(stage: Stage) -> None:
    """A transaction that has written, and a session that has committed, is served nothing old."""
    run = _titles()
    check(stage, run)
    _change(stage)
    seen: list[Any] = []

    def other() -> None:
        with stage.Session() as session:
            session.get_one(Tag, 1).name = "other"
            session.flush()
            seen.append(run(session))
            session.rollback()

    with _meanwhile(stage.engine, other):
        _plainly(stage, run)
    assert seen == [["changed", "two"]]
    with stage.Session() as session:
        session.get_one(Book, 1).title = "mine"
        session.commit()
        with _meanwhile(stage.engine, lambda: seen.append(run(session))):
            _plainly(stage, run)
    assert seen[1] == ["mine", "two"]


def test_snapshots(stage: Stage) -> None:
    """A transaction that sees one moment is served nothing older, and nothing newer."""
    factory = stage.Session
    if not stage.is_sqlite:
        engine = stage.engine.execution_options(isolation_level="REPEATABLE READ")
        factory = stage.cache.enable(sessionmaker(engine))
    run = _titles()
    check(stage, run)
    _change(stage)
    other = select(Book.id).where(Book.author_id == 2).options(from_cache())
    _plainly(stage, lambda session: session.scalars(other).all())  # the stamp is known from now on
    seen: list[Any] = []
    with factory() as session:
        session.execute(text("SELECT count(*) FROM tag"))
        with _meanwhile(stage.engine, lambda: seen.append(run(session))):
            _plainly(stage, run)
    assert seen == [["changed", "two"]]
    assert _stale(stage.cache) == 0


def test_no_older_than_it_says(stage: Stage) -> None:
    """What was last known to be right longer ago than stale_ttl is not served."""
    run = _titles(option=from_cache(ttl=60, stale_ttl=0.3))
    check(stage, run)
    time.sleep(0.4)
    _change(stage)
    assert _while_reloaded(stage, run) == (["changed", "two"], ["changed", "two"], 0)


def test_readers_vouch_for_it(stage: Stage) -> None:
    """A result that was served as right a moment ago may be served, however long ago it was loaded.

    The time counts from when it was last known to be right.
    """
    run = _titles(option=from_cache(ttl=60, stale_ttl=1))
    check(stage, run)
    for _ in range(8):
        time.sleep(0.2)
        assert again(stage, run)[1].statements == []
    _change(stage)
    assert _while_reloaded(stage, run) == (["changed", "two"], ["one", "two"], 1)


def test_a_result_that_is_over_is_not_vouched_for(stage: Stage) -> None:
    """Asking for an entry that a write has ended, in any of its tables, makes it no younger."""
    statement = select(Author.name, Book.title).join(Book).where(Author.id == 1).order_by(Book.id)
    option = from_cache(ttl=60, stale_ttl=0.6)
    run: Run = lambda s: [tuple(one) for one in s.execute(statement.options(option))]  # noqa: E731
    check(stage, run)
    _change(stage)
    seen: list[Any] = []

    def others() -> None:
        for _ in range(5):
            seen.append(_plainly(stage, run))
            time.sleep(0.2)

    with _meanwhile(stage.engine, others):
        _plainly(stage, run)
    assert seen[0] == [("ann", "one"), ("ann", "two")]
    assert seen[-1] == [("ann", "changed"), ("ann", "two")]
    fresh(stage, run)


def test_two_tables(stage: Stage) -> None:
    """A join is served old as a whole, whichever of its tables was written."""
    statement = select(Author.name, Book.title).join(Book).where(Author.id == 1).order_by(Book.id)
    run: Run = lambda s: [tuple(one) for one in s.execute(statement.options(STALE))]  # noqa: E731
    before = [("ann", "one"), ("ann", "two")]
    for model, name in ((Book, "title"), (Author, "name")):
        check(stage, run)
        with stage.Session.begin() as session:
            one: Any = session.get_one(model, 1)
            setattr(one, name, "x")
        own, other, stale = _while_reloaded(stage, run)
        assert (other, stale) == (before, 1)
        assert own != before
        before = own
    fresh(stage, run)


def test_after_its_ttl(stage: Stage) -> None:
    """When its ttl has run out one reader loads it anew, the others are served at once."""
    run = _titles(option=from_cache(ttl=0.3, stale_ttl=30))
    for _ in range(3):
        _plainly(stage, run)
    time.sleep(0.4)
    stage.behind("UPDATE tag SET name = 'x' WHERE id = 3")
    assert _while_reloaded(stage, run) == (["one", "two"], ["one", "two"], 1)
    stage.cache.invalidate(Tag)


def test_a_load_that_fails_leaves_the_old_one(stage: Stage) -> None:
    """Who reloads and fails gives the others back what there was."""
    run = _titles()
    check(stage, run)
    _change(stage)

    def fail() -> None:
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError), _meanwhile(stage.engine, fail):
        _plainly(stage, run)
    assert _while_reloaded(stage, run) == (["changed", "two"], ["one", "two"], 1)


def test_clear_ends_it_at_once(stage: Stage) -> None:
    """clear() leaves nothing that could be served; a named tag and invalidate() are as a write."""
    run = _titles(option=from_cache(60, stale_ttl=30, tags=("red",)))
    for ends, stale in (
        (stage.cache.clear, 0),
        (lambda: stage.cache.invalidate_tags("red"), 1),
        (lambda: stage.cache.invalidate(Book), 1),
    ):
        check(stage, run)
        ends()
        assert _while_reloaded(stage, run)[2] == stale


def test_it_is_said(stage: Stage) -> None:
    """explain() says of a query that it may be old; of its objects' collections it is not true."""
    found = stage.cache.explain(TITLES.options(STALE))
    assert found.stale_ttl == 30
    assert "may be stale: up to 30 s old (stale_ttl)" in str(found)
    plain = stage.cache.explain(TITLES.options(from_cache()))
    assert plain.stale_ttl == 0
    assert "stale" not in str(plain)
    authors = select(Author).where(Author.id == 1).options(STALE)
    run: Run = lambda session: [b.title for b in session.scalars(authors).one().books]  # noqa: E731
    check(stage, run)
    _change(stage)
    before = _stale(stage.cache)
    assert _plainly(stage, run) == ["changed", "two"]
    assert _stale(stage.cache) == before


@pytest.mark.parametrize("value", [0, -1, True, "60", float("nan"), float("inf")])
def test_wrong_times(value: Any) -> None:
    """stale_ttl is a number of seconds above 0, or None."""
    with pytest.raises(ConfigurationError, match="stale_ttl"):
        from_cache(stale_ttl=value)


def test_asyncio(database: Database, make_cache: CacheMaker) -> None:
    """The same in asyncio sessions: while one loads, the others are served at once."""
    Base.metadata.create_all(plain := database.engine())
    with Session(plain) as session, session.begin():
        session.add_all(rows())
    count = select(func.count()).select_from(Book).options(STALE)

    async def main() -> None:
        cache = make_cache(read_timeout=5, connect_timeout=5)
        engine = database.async_engine()
        factory = cache.enable(async_sessionmaker(engine))

        async def read() -> Any:
            async with factory() as session:
                return await session.scalar(count)

        try:
            for _ in range(4):
                assert await read() == 5
            async with factory.begin() as session:
                session.add(Book(id=60, title="new"))
            loading, others = asyncio.Event(), asyncio.Event()

            @event.listens_for(engine.sync_engine, "before_cursor_execute", once=True)
            def load(*args: Any) -> None:
                loading.set()
                await_only(others.wait())

            reloading = asyncio.create_task(read())
            await loading.wait()
            assert await asyncio.gather(*(read() for _ in range(5))) == [5] * 5
            others.set()
            assert await reloading == 6
            assert cache.stats().query_stale == 5
            assert await read() == 6
        finally:
            await engine.dispose()
            await cache.aclose()

    asyncio.run(main())
