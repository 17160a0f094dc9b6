"""What from_cache() takes beside its ttl: names that end entries, and names of entries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, selectinload, sessionmaker

from sqlalchemy_rediscache import CacheUnavailable, ConfigurationError, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Base, Book, Tag, populated, rows
from tests.integration.shown import Run, again, check, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

BOOKS = select(Book).where(Book.author_id == 1).order_by(Book.id)
TITLES = select(Book.title).where(Book.author_id == 1).order_by(Book.id)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache(), begin=True)


def _all(statement: Any) -> Run:
    return lambda session: session.execute(statement).all()


def _selects(stage: Stage, run: Run) -> int:
    return again(stage, run)[1].selects


# -- named tags -----------------------------------------------------------------------------------


@pytest.mark.stale_allowed
def test_a_named_tag_ends_the_entries_that_have_it(stage: Stage) -> None:
    """invalidate_tags() ends queries with one of the names, and no others."""
    red = _all(TITLES.options(from_cache(60, tags=("red",))))
    both = _all(TITLES.options(from_cache(60, tags=["blue", "red"], key="both")))
    plain = _all(TITLES.options(from_cache(60)))
    for run in (red, both, plain):
        assert check(stage, run).statements == []
    stage.behind("UPDATE book SET title = 'behind' WHERE id = 1")
    stage.cache.invalidate_tags("green")
    assert [_selects(stage, run) for run in (red, both, plain)] == [0, 0, 0]
    stage.cache.invalidate_tags("blue")
    assert [_selects(stage, run) for run in (red, both, plain)] == [0, 1, 0]
    assert outcome(stage, both) == outcome(stage, both, plain=True)
    stage.cache.invalidate_tags("green", "red")
    assert [_selects(stage, run) for run in (red, both, plain)] == [1, 1, 0]
    assert outcome(stage, red) == outcome(stage, red, plain=True)
    for run in (red, both):
        warmed(stage, run)
        assert _selects(stage, run) == 0


def test_a_query_with_tags_depends_on_its_rows_too(stage: Stage) -> None:
    """A name is added to what a query depends on, and takes nothing away; explain() shows it."""
    statement = BOOKS.options(from_cache(60, tags={"front page"}))
    run = _all(statement)
    assert check(stage, run).statements == []
    with stage.Session.begin() as session:
        session.get_one(Book, 1).title = "changed"
    assert outcome(stage, run) == outcome(stage, run, plain=True)
    found = stage.cache.explain(statement)
    assert found.depends_on == ("book: author_id = 1", "the tag 'front page'")


def test_a_load_that_began_before_the_call_is_not_kept(stage: Stage) -> None:
    """What is loaded while invalidate_tags() runs is served to nobody after it."""
    run = _all(TITLES.options(from_cache(60, tags=("red",))))
    warmed(stage, run)
    stage.cache.invalidate_tags("red")
    queries: Any = stage.cache._services.queries
    original = queries.keep

    def keep(*args: Any) -> None:
        stage.cache.invalidate_tags("red")
        original(*args)

    queries.keep = keep
    try:
        assert _selects(stage, run) == 1
    finally:
        queries.keep = original
    assert _selects(stage, run) == 1
    assert _selects(stage, run) == 0


def test_all_tenants_and_processes(database: Database, make_cache: CacheMaker) -> None:
    """A name is one for all tenants and all processes of a prefix."""
    cache = make_cache(namespace=lambda session: session.info["tenant"])
    stage = populated(database, cache)
    statement = TITLES.options(from_cache(60, tags=("red",)))

    def selects(tenant: str) -> int:
        with stage.counting() as count, stage.Session(info={"tenant": tenant}) as session:
            session.scalars(statement).all()
        return count.selects

    for tenant in ("one", "two"):
        assert [selects(tenant) for _ in range(4)][-1] == 0
    make_cache().invalidate_tags("red")
    assert [selects("one"), selects("two")] == [1, 1]


def test_what_a_result_leads_to_has_no_part_in_its_tags(stage: Stage) -> None:
    """Collections of a query's objects are entries of their own, which others share."""
    statement = select(Author).where(Author.id == 1)
    eager = statement.options(selectinload(Author.books), from_cache(60, tags=("red",), key="x"))
    lazy: Run = lambda session: list(session.get_one(Author, 1).books)  # noqa: E731
    warmed(stage, lambda session: list(session.scalars(eager).one().books))
    warmed(stage, lazy)
    stage.cache.invalidate_tags("red")
    assert _selects(stage, lazy) == 0


def test_snapshots(stage: Stage) -> None:
    """A transaction with a snapshot from before the call keeps nothing after it."""
    if stage.is_sqlite:
        factory = stage.Session
        with stage.outside.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    else:
        engine = stage.engine.execution_options(isolation_level="REPEATABLE READ")
        factory = stage.cache.enable(sessionmaker(engine))
    statement = TITLES.options(from_cache(60, tags=("red",)))
    warmed(stage, _all(statement))
    with factory() as session:
        session.execute(text("SELECT count(*) FROM tag"))
        before = session.scalars(TITLES).all()
        stage.behind("UPDATE book SET title = 'behind' WHERE id = 1")
        stage.cache.invalidate_tags("red")
        assert session.scalars(statement).all() == before
    assert outcome(stage, _all(statement)) == outcome(stage, _all(statement), plain=True)
    stage.cache.invalidate(Book)  # of the rows the cache was not told


def test_when_redis_is_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that fails raises, and is made good before anything is served."""
    run = _all(TITLES.options(from_cache(60, tags=("red",))))
    warmed(stage, run)
    transport = stage.cache._services.store.blocking.transport

    def fail(*args: Any, **options: Any) -> Any:
        raise CacheUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(transport, "exchange", fail)
        with pytest.raises(CacheUnavailable):
            stage.cache.invalidate_tags("red")
        assert _selects(stage, run) == 1
    assert _selects(stage, run) == 1
    assert _selects(stage, run) == 0


@pytest.mark.parametrize("names", [(), ("",), (1,), (None,), ("a",) * 101])
def test_wrong_names(stage: Stage, names: Any) -> None:
    """invalidate_tags() and from_cache() take names, and say so."""
    with pytest.raises(ConfigurationError, match="give"):
        stage.cache.invalidate_tags(*names)
    if names:
        with pytest.raises(ConfigurationError, match="give"):
            from_cache(tags=names)


@pytest.mark.parametrize("tags", ["red", 5, None, {"a": 1}])
def test_tags_that_are_no_list(tags: Any) -> None:
    """One text in the place of several names is a mistake that is made often."""
    with pytest.raises(ConfigurationError, match="tuple of texts"):
        from_cache(tags=tags)


def test_asyncio(database: Database, make_cache: CacheMaker) -> None:
    """ainvalidate_tags() does it for asyncio."""
    Base.metadata.create_all(plain := database.engine())
    with Session(plain) as session, session.begin():
        session.add_all(rows())
    statement = select(Tag.name).order_by(Tag.id).options(from_cache(60, tags=("red",)))

    async def main() -> None:
        cache = make_cache(read_timeout=5, connect_timeout=5)
        engine = database.async_engine()
        factory = cache.enable(async_sessionmaker(engine))

        async def misses() -> int:
            before = cache.stats().query_misses
            async with factory() as session:
                await session.execute(statement)
            return cache.stats().query_misses - before

        try:
            assert [await misses() for _ in range(4)][-1] == 0
            await cache.ainvalidate_tags("red")
            assert await misses() == 1
        finally:
            await engine.dispose()
            await cache.aclose()

    asyncio.run(main())


# -- names of entries -----------------------------------------------------------------------------


def test_a_key_tells_entries_apart(stage: Stage) -> None:
    """Queries with different keys share no entry, whatever else is equal; others do."""
    one, two = (TITLES.options(from_cache(60, key=key)) for key in ("one", "two"))
    plain = TITLES.options(from_cache(60))
    warmed(stage, _all(one))
    assert _selects(stage, _all(TITLES.options(from_cache(30, key="one")))) == 0
    assert [_selects(stage, _all(other)) for other in (two, plain)] == [1, 1]
    keys = {stage.cache.explain(statement).key for statement in (one, two, plain)}
    assert len(keys) == 3


def test_a_key_is_no_second_name_for_others(stage: Stage) -> None:
    """Two statements, or two values of a parameter, with one key are two entries."""
    for number in (1, 2):
        for statement in (select(Book.title), select(Book.id)):
            one = statement.where(Book.author_id == number).order_by(Book.id)
            check(stage, _all(one.options(from_cache(60, key="same"))))
    assert stage.cache.stats().query_fills == 4


@pytest.mark.parametrize("key", ["", 5, b"x", ("a",)])
def test_wrong_keys(key: Any) -> None:
    """A key is a text that is not empty."""
    with pytest.raises(ConfigurationError, match="key"):
        from_cache(key=key)
