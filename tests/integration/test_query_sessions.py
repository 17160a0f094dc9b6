"""Cached queries within sessions: their own changes, transactions, events, options, asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, inspect, select, text, update
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, selectinload, sessionmaker
from sqlalchemy.orm.loading import merge_frozen_result

from sqlalchemy_rediscache import ConfigurationError, from_cache, refresh_cache, skip_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Base, Book, populated, rows
from tests.integration.shown import Run, again, check, fresh, hits, outcome, shown, warmed
from tests.integration.stage import Stage
from tests.listening import listening
from tests.servers import Database

BY_AUTHOR = select(Book).where(Book.author_id == 1).order_by(Book.id)
CACHED = BY_AUTHOR.options(from_cache(ttl=60))
COUNT = select(func.count()).select_from(Book).options(from_cache(ttl=60))


def read(session: Session) -> Any:
    """The books of one author."""
    return session.scalars(CACHED).all()


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache(), begin=True)


# -- objects that are there -----------------------------------------------------------------------


def test_pending_changes_are_kept(stage: Stage) -> None:
    """An object that the session has changed keeps its changes when a query brings it again."""
    warmed(stage, read)
    with stage.Session(autoflush=False) as session:
        book = session.get_one(Book, 1)
        book.title = "mine"
        with stage.counting() as count:
            assert read(session)[0] is book
        assert (count.statements, book.title) == ([], "mine")
        assert book in session.dirty
        assert inspect(book).attrs.title.history.deleted == ["one"]
        session.commit()
    fresh(stage, read)


def test_objects_are_the_sessions_own(stage: Stage) -> None:
    """A query gives the identical objects that the session has, and new ones in another session."""
    warmed(stage, read)
    with stage.Session() as session, stage.Session() as other:
        book = session.get_one(Book, 2)
        assert read(session)[1] is book
        assert read(session) == read(session)
        theirs = read(other)
        assert theirs[1] is not book
        theirs[1].title = "theirs"
        assert book.title == "two"
        session.expunge(book)
        assert read(session)[1] is not book
        session.expunge_all()
        assert all(one in session for one in read(session))


def test_expired_objects_are_filled_again(stage: Stage) -> None:
    """An expired object that a query brings has its columns, as a row of the database fills it."""
    warmed(stage, read)

    def run(session: Session) -> Any:
        book = session.get_one(Book, 1)
        session.expire(book)
        return read(session)

    assert check(stage, run).statements == []


def test_load_events(stage: Stage) -> None:
    """`load` fires once for each new object, as without the cache."""
    seen: list[Any] = []

    def loaded(target: Any, context: Any) -> None:
        seen.append(target.id)

    with listening(Book, "load", loaded):
        warmed(stage, read)
        seen.clear()
        with stage.Session() as session:
            book = session.get_one(Book, 1)
            found = read(session)
            assert read(session) == found
            assert found[0] is book
            assert seen == [1, 2]


def test_results_can_be_changed_and_deleted(stage: Stage) -> None:
    """Objects that a query brought from the cache are as good as any: flush, delete, refresh."""
    warmed(stage, read)
    with stage.Session() as session:
        one, two = read(session)
        one.title = "changed"
        session.delete(two)
        session.commit()
        assert [book.title for book in read(session)] == ["changed"]
        session.refresh(one)
        assert one.title == "changed"
    fresh(stage, read)


# -- options --------------------------------------------------------------------------------------


@pytest.mark.stale_allowed
@pytest.mark.parametrize("how", ["option", "execution option"])
def test_refresh_replaces_and_skip_bypasses(stage: Stage, how: str) -> None:
    """skip_cache() asks the database and leaves the entry; refresh_cache() replaces it."""
    count = lambda session: session.scalar(COUNT)  # noqa: E731
    warmed(stage, count)
    stage.behind("INSERT INTO book (id, title) VALUES (50, 'behind')")
    assert outcome(stage, count) == ("int", 5)
    skipping, refreshing = COUNT, COUNT
    if how == "option":
        skipping, refreshing = COUNT.options(skip_cache()), COUNT.options(refresh_cache())
    else:
        skipping = COUNT.execution_options(skip_cache=True)
        refreshing = COUNT.execution_options(refresh_cache=True)
    assert outcome(stage, lambda session: session.scalar(skipping)) == ("int", 6)
    assert outcome(stage, count) == ("int", 5)
    assert outcome(stage, lambda session: session.scalar(refreshing)) == ("int", 6)
    found, seen = again(stage, count)
    assert (found, seen.statements) == (("int", 6), [])


@pytest.mark.stale_allowed
def test_a_block_without_the_cache(stage: Stage) -> None:
    """Within bypass() a cached query asks the database."""
    warmed(stage, lambda session: session.scalar(COUNT))
    stage.behind("INSERT INTO book (id, title) VALUES (50, 'behind')")
    with stage.cache.bypass():
        assert outcome(stage, lambda session: session.scalar(COUNT)) == ("int", 6)


@pytest.mark.parametrize("ttl", [0, -1, True, "60", None, float("nan")])
def test_a_wrong_ttl(ttl: Any) -> None:
    """from_cache() takes a number of seconds above 0 and nothing else."""
    with pytest.raises(ConfigurationError, match="ttl"):
        from_cache(ttl=ttl)


NOT_CACHED: dict[str, Any] = {
    "now": select(Book.id, func.now()).where(Book.author_id == 1),
    "random": select(Book.id).order_by(func.random()),
    "current_date": select(func.current_date()).select_from(Book),
    "for update": BY_AUTHOR.with_for_update(),
    "populate_existing": BY_AUTHOR.execution_options(populate_existing=True),
    "text in WHERE": select(Book).where(text("author_id = 1")).order_by(Book.id),
}


@pytest.mark.parametrize("name", NOT_CACHED)
def test_what_is_not_cached(stage: Stage, name: str) -> None:
    """A query whose result is of its moment, or that locks, asks the database each time."""
    statement = NOT_CACHED[name].options(from_cache(ttl=60))
    for _ in range(3):
        _, count = again(stage, lambda session: session.execute(statement).all())
        assert count.selects == 1


@pytest.mark.parametrize("how", ["yield_per", "stream"])
def test_results_in_portions(stage: Stage, how: str) -> None:
    """yield_per and stream_results give the same objects, from wherever they come."""
    options: dict[str, Any] = {"yield_per": 1} if how == "yield_per" else {"stream_results": True}
    statement = CACHED.execution_options(**options)
    check(stage, lambda session: [list(some) for some in session.scalars(statement).partitions(1)])


def test_a_frozen_result_and_a_merged_one(stage: Stage) -> None:
    """freeze() and merge_frozen_result work with a result from the cache."""

    def run(session: Session) -> Any:
        frozen = session.execute(CACHED).freeze()
        merge: Any = merge_frozen_result
        return merge(session, CACHED, frozen, load=False)().scalars().all()

    check(stage, run)


LEGACY: dict[str, Run] = {
    "all": lambda session: session.query(Book).filter(Book.author_id == 1).order_by(Book.id)
    .options(from_cache(ttl=60)).all(),
    "count": lambda session: session.query(Book).options(from_cache(ttl=60)).count(),
    "columns": lambda session: session.query(Book.id, Book.title).order_by(Book.id)
    .options(from_cache(ttl=60)).all(),
    "two": lambda session: session.query(Author, Book).join(Author.books).order_by(Book.id)
    .options(from_cache(ttl=60)).all(),
    "first": lambda session: session.query(Book).order_by(Book.id).options(from_cache(60)).first(),
    "slice": lambda session: session.query(Book).order_by(Book.id).options(from_cache(60))[1:3],
    "scalar": lambda session: session.query(func.count(Book.id)).options(from_cache(60)).scalar(),
    "eager": lambda session: session.query(Author).order_by(Author.id)
    .options(from_cache(60), selectinload(Author.books)).all(),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_query(stage: Stage, name: str) -> None:
    """Query with the option gives what it gives without the cache, and no SQL when warm."""
    assert check(stage, LEGACY[name]).statements == []


# -- transactions ---------------------------------------------------------------------------------


def test_own_writes_are_seen(stage: Stage) -> None:
    """A transaction's queries see what it has flushed or written in bulk, others don't."""
    warmed(stage, read)
    warmed(stage, lambda session: session.scalar(COUNT))
    before = outcome(stage, read)
    with stage.Session() as session:
        session.add(Book(id=60, title="new", author_id=1))
        assert [book.id for book in read(session)] == [1, 2, 60]
        assert session.scalar(COUNT) == 6
        session.execute(update(Book).where(Book.id == 3).values(author_id=1))
        assert [book.id for book in read(session)] == [1, 2, 3, 60]
        session.connection().execute(text("DELETE FROM book WHERE id = 60"))
        assert session.scalar(COUNT) == 5
        if not stage.is_sqlite:
            assert outcome(stage, read) == before
        session.commit()
        assert [book.id for book in read(session)] == [1, 2, 3]
    fresh(stage, read, lambda session: session.scalar(COUNT))


def test_autoflush_comes_first(stage: Stage) -> None:
    """A pending change is flushed by a cached query, and not where autoflush is off."""
    warmed(stage, read)
    with stage.Session() as session:
        session.get_one(Book, 3).author_id = 1
        assert [book.id for book in read(session)] == [1, 2, 3]
        session.rollback()
        with session.no_autoflush:
            session.get_one(Book, 3).author_id = 1
            assert [book.id for book in read(session)] == [1, 2]


def test_rollback(stage: Stage) -> None:
    """What a rolled back transaction saw is kept for nobody."""
    for cold in (True, False):
        with stage.Session() as session:
            if not cold:
                warmed(stage, read)
            session.add(Book(id=60, title="new", author_id=1))
            assert len(read(session)) == 3
            session.rollback()
            assert len(read(session)) == 2
        fresh(stage, read)


def test_savepoints(stage: Stage) -> None:
    """What a rolled back savepoint wrote is seen inside and not outside."""
    warmed(stage, read)
    with stage.Session() as session:
        with session.begin_nested() as savepoint:
            session.add(Book(id=60, title="new", author_id=1))
            assert len(read(session)) == 3
            savepoint.rollback()
        assert len(read(session)) == 2
        with session.begin_nested():
            session.add(Book(id=61, title="new", author_id=1))
        assert len(read(session)) == 3
        session.commit()
    fresh(stage, read)


def _isolated(stage: Stage) -> sessionmaker[Session]:
    """A factory whose transactions see one moment."""
    if stage.is_sqlite:
        return stage.Session
    engine: Engine = stage.engine.execution_options(isolation_level="REPEATABLE READ")
    factory: sessionmaker[Session] = stage.cache.enable(sessionmaker(engine))
    return factory


def test_a_snapshot_stays_one(stage: Stage) -> None:
    """A transaction that sees one moment gets no newer entry, and leaves no older one behind."""
    if stage.is_sqlite:
        with stage.outside.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    for warm in (True, False):
        stage.cache.clear()
        if warm:
            warmed(stage, read)
        with _isolated(stage)() as session:
            session.execute(text("SELECT count(*) FROM tag"))
            expected = shown(session.scalars(BY_AUTHOR.options(skip_cache())).all())
            session.expunge_all()
            with stage.Session.begin() as writer:
                writer.get_one(Book, 1).title += "!"
                writer.get_one(Book, 3).author_id = 1 if warm else 2
            outcome(stage, read)
            assert shown(read(session)) == expected
            session.expunge_all()
            assert shown(list(session.get_one(Author, 1).books)) == expected
        fresh(stage, read, lambda session: session.get_one(Author, 1).books)


@pytest.mark.databases("postgresql")
def test_serializable_transactions_ask_the_database(stage: Stage) -> None:
    """A SERIALIZABLE transaction is served no query."""
    warmed(stage, read)
    engine = stage.engine.execution_options(isolation_level="SERIALIZABLE")
    factory = stage.cache.enable(sessionmaker(engine))
    with stage.counting() as count, factory() as session:
        assert len(read(session)) == 2
    assert count.selects == 1


def test_a_query_beside_an_open_writer(stage: Stage) -> None:
    """While a writer has flushed and not committed, others get the committed result."""
    if stage.is_sqlite:
        with stage.outside.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    warmed(stage, read)
    before = outcome(stage, read)
    with stage.Session() as session:
        session.get_one(Book, 1).title = "changed"
        session.flush()
        assert outcome(stage, read) == before
        stage.cache.clear()
        assert outcome(stage, read) == before
        session.commit()
    fresh(stage, read)


# -- asyncio --------------------------------------------------------------------------------------


def test_asyncio_sessions(database: Database, make_cache: CacheMaker) -> None:
    """Queries and collections are served in asyncio sessions, and their writes are seen."""
    Base.metadata.create_all(plain := database.engine())
    with Session(plain) as session, session.begin():
        session.add_all(rows())

    async def main() -> None:
        cache = make_cache(read_timeout=5, connect_timeout=5)
        engine = database.async_engine()
        factory = cache.enable(async_sessionmaker(engine))
        statements: list[str] = []

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            statements.append(statement)

        async def titles() -> list[str]:
            eager = select(Author).where(Author.id == 1).options(selectinload(Author.books))
            async with factory() as session:
                found = [book.title for book in (await session.scalars(CACHED)).all()]
                author = (await session.scalars(eager)).one()
                assert [book.title for book in author.books] == found
                return found

        try:
            for _ in range(4):
                assert await titles() == ["one", "two"]
            statements.clear()
            assert await titles() == ["one", "two"]
            assert statements == []
            async with factory.begin() as session:
                await session.execute(insert(Book).values(id=60, title="new", author_id=1))
            assert (
                await asyncio.gather(*(titles() for _ in range(20))) == [["one", "two", "new"]] * 20
            )
            async with factory() as session:
                streamed = await session.stream_scalars(CACHED)
                assert [book.title async for book in streamed] == ["one", "two", "new"]
        finally:
            await engine.dispose()
            await cache.aclose()

    asyncio.run(main())


def test_many_readers_of_a_cold_query(stage: Stage) -> None:
    """Readers of one cold query at a time: it is loaded, and all later ones are served."""
    before = hits(stage)
    for _ in range(5):
        outcome(stage, read)
    assert hits(stage) - before == 4
