"""Engines that no enabled factory has: `watch()`, `unwatch()`, and tables that nobody declared."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin, ConfigurationError, RedisCache
from tests.fix_caches import CacheMaker
from tests.integration.models import Log, Team, User
from tests.integration.stage import Stage, make_engine
from tests.servers import Database

USERS: Any = User.__table__


def city(stage: Stage, number: int = 1) -> str | None:
    """What a new session reads."""
    with stage.Session() as session:
        return session.get_one(User, number).city


def is_hit(stage: Stage, model: Any = Team) -> bool:
    """Is a row served without the database?"""
    with stage.counting() as count, stage.Session() as session:
        session.get_one(model, 1)
    return count.statements == []


@pytest.fixture
def watched(stage: Stage) -> Engine:
    """An engine of the same database that is watched; a user and a team are warm."""
    engine = make_engine(stage.database)
    stage.cache.watch(engine)
    stage.warm(User, 1)
    stage.warm(Team, 1)
    return engine


def test_an_engine_is_watched_before_anything_is_mapped(
    database: Database, make_cache: CacheMaker
) -> None:
    """Neither models nor sessions need to be there when an engine is given."""
    cache, engine, other = make_cache(), database.engine(), database.engine()
    cache.watch(engine)
    cache.watch(engine)

    class Base(DeclarativeBase):
        pass

    class Leaf(CacheMixin, Base):
        __tablename__ = "leaf"
        id: Mapped[int] = mapped_column(primary_key=True)
        size: Mapped[int]

    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Leaf).values(id=1, size=1))
    factory = cache.enable(sessionmaker(other))
    for size in (2, 3):
        for _ in range(2):
            with factory() as session:
                assert session.get_one(Leaf, 1).size == size - 1
        with engine.begin() as connection:
            if size == 2:
                connection.execute(update(Leaf).values(size=2))
            else:
                connection.execute(text("UPDATE leaf SET size = 3"))
        with factory() as session:
            assert session.get_one(Leaf, 1).size == size


def test_what_is_derived_from_an_engine_is_watched_with_it(stage: Stage) -> None:
    """Whichever of them is given, and after the one that was given is gone."""
    engine = make_engine(stage.database)
    stage.cache.watch(engine.execution_options(logging_token="x"))  # noqa: S106
    gc.collect()
    for number, each in enumerate((engine, engine.execution_options(schema_translate_map=None))):
        stage.warm(User, 1)
        with each.begin() as connection:
            connection.execute(update(USERS).values(city=f"c{number}"))
        assert city(stage) == f"c{number}"


def test_a_database_in_memory_is_that_of_derived_engines_too(make_cache: CacheMaker) -> None:
    """What an engine derived from one on SQLite in memory writes, is read by sessions of that."""
    engine = create_engine("sqlite://")
    User.metadata.create_all(engine)
    factory = make_cache().enable(sessionmaker(engine))
    with factory.begin() as session:
        session.add(User(id=1, name="a", city="old"))
    for _ in range(2):
        with factory() as session:
            assert session.get_one(User, 1).city == "old"
    with engine.execution_options(logging_token="x").begin() as connection:  # noqa: S106
        connection.execute(update(USERS).values(city="new"))
    with factory() as session:
        assert session.get_one(User, 1).city == "new"
    engine.dispose()


def test_an_asyncio_engine(stage: Stage, database: Database) -> None:
    """Core and text of an AsyncEngine are seen, and not any more after `unwatch()`."""

    async def written() -> None:
        engine = create_async_engine(database.async_url)
        stage.cache.watch(engine)
        try:
            async with engine.begin() as connection:
                await connection.execute(update(USERS).values(city="core"))
            assert await asyncio.to_thread(city, stage) == "core"
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE users SET city = 'text'"))
            assert await asyncio.to_thread(city, stage) == "text"
            stage.cache.unwatch(engine)
        finally:
            await engine.dispose()
            await stage.cache.aclose()

    stage.warm(User, 1)
    asyncio.run(written())


@pytest.mark.stale_allowed
def test_unwatch(stage: Stage, watched: Engine) -> None:
    """An engine that is not watched any more writes unseen; one of a factory is seen all the same.

    It may be called twice, and for an engine that was never watched.
    """
    stage.cache.unwatch(watched)
    stage.cache.unwatch(watched)
    stage.cache.unwatch(make_engine(stage.database))
    with watched.begin() as connection:
        connection.execute(update(USERS).values(city="unseen"))
    assert city(stage) == "x"
    stage.cache.watch(stage.engine)
    stage.cache.unwatch(stage.engine)
    with stage.engine.begin() as connection:
        connection.execute(update(USERS).values(city="seen"))
    assert city(stage) == "seen"


def test_only_engines_are_watched(stage: Stage) -> None:
    """Anything else is refused, with what to give."""
    with stage.engine.connect() as connection, stage.Session() as session:
        for wrong in (connection, session, stage.Session, "sqlite://", None):
            with pytest.raises(ConfigurationError, match="give the engine"):
                stage.cache.watch(wrong)
            with pytest.raises(ConfigurationError, match="give the engine"):
                stage.cache.unwatch(wrong)


def test_a_blocking_client_watches_no_asyncio_engine(database: Database, redis_client: Any) -> None:
    """As for factories: nobody could tell Redis of its writes."""
    engine = create_async_engine(database.async_url)
    with RedisCache(redis_client, prefix="t") as cache, pytest.raises(ConfigurationError):
        cache.watch(engine)


def test_a_table_of_nobody_leaves_the_others_served(stage: Stage, watched: Engine) -> None:
    """Text on a table that no metadata has: the catalog says that it is a table by itself."""
    with watched.begin() as connection:
        connection.execute(text("CREATE TABLE jobs (id INTEGER)"))
        connection.execute(text("INSERT INTO jobs (id) VALUES (1)"))
    stage.warm(Team, 1)
    with watched.begin() as connection:
        connection.execute(text("INSERT INTO jobs (id) VALUES (2)"))
        connection.execute(text("UPDATE jobs SET id = 3"))
        table = MetaData()
        table.reflect(connection, only=["jobs"])
        connection.execute(delete(table.tables["jobs"]))
        connection.execute(insert(Log).values(id=1))
    assert is_hit(stage)
    assert is_hit(stage, User)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("how", ["text", "Core", "rule", "trigger", "partition"])
def test_a_view_writes_what_is_below_it(stage: Stage, watched: Engine, how: str) -> None:
    """A view, and tables that write others by rules and triggers, are told by the catalog."""
    made = {
        "rule": "CREATE RULE r AS ON INSERT TO people DO ALSO UPDATE users SET city = 'new'",
        "trigger": "CREATE TRIGGER t AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION f()",
    }
    function = (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE users SET city = 'new'; RETURN NEW; END $$"
    )
    stage.behind(function)
    if how == "partition":
        stage.behind("CREATE TABLE people (city varchar(40)) INHERITS (users)")
        stage.behind("INSERT INTO people (id, name, city) VALUES (9, 'x', 'x')")
        stage.warm(User, 9)
    elif how in made:
        stage.behind("CREATE TABLE people (city varchar(40))")
        stage.behind(made[how])
    else:
        stage.behind("CREATE VIEW people AS SELECT * FROM users")
    with watched.begin() as connection:
        if how == "Core":
            people = MetaData()
            people.reflect(connection, only=["people"], views=True)
            connection.execute(update(people.tables["people"]).values(city="new"))
        elif how in made:
            connection.execute(text("INSERT INTO people (city) VALUES ('y')"))
        else:
            connection.execute(text("UPDATE people SET city = 'new'"))
    try:
        assert city(stage, 9 if how == "partition" else 1) == "new"
    finally:
        kind = "VIEW" if how in ("text", "Core") else "TABLE"
        stage.behind(f"DROP {kind} people")
        stage.behind("DROP FUNCTION f")
        stage.cache.invalidate(User)


def test_without_the_parser_text_empties_everything(
    stage: Stage, watched: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that writes is seen when sqlglot is not installed; text that reads empties nothing."""
    for name in [one for one in sys.modules if one.startswith("sqlalchemy_rediscache.sql_text.s")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with watched.begin() as connection:
        connection.execute(text("SELECT * FROM users")).all()
        connection.execute(select(User.id, User.name.label("update"))).all()
    assert is_hit(stage)
    with watched.begin() as connection:
        connection.execute(text("UPDATE users SET city = 'new'"))
    assert not is_hit(stage)
    assert city(stage) == "new"


def test_all_tenants_are_told_of_a_write_without_a_session(
    database: Database, make_cache: CacheMaker
) -> None:
    """An engine does not know whose rows it writes."""
    stage = Stage(database, make_cache(namespace=lambda session: session.info.get("tenant")))
    stage.populate()
    engine = make_engine(database)
    stage.cache.watch(engine)

    def read(tenant: str) -> str | None:
        with stage.Session(info={"tenant": tenant}) as session:
            return session.get_one(User, 1).city

    for tenant in ("a", "b", "a", "b"):
        assert read(tenant) == "x"
    with engine.begin() as connection:
        connection.execute(update(USERS).values(city="new"))
    assert [read("a"), read("b")] == ["new", "new"]


def test_text_knows_no_schema_map(stage: Stage, watched: Engine) -> None:
    """Text concerns its table under every schema map that sessions have used."""
    if stage.is_sqlite:
        mapped = stage.engine.execution_options(schema_translate_map={None: "main"})
    else:
        mapped = stage.engine.execution_options(schema_translate_map={None: "public"})
    factory = stage.cache.enable(sessionmaker(mapped))
    for _ in range(2):
        with factory() as session:
            assert session.get_one(User, 1).city == "x"
    with watched.begin() as connection:
        connection.execute(text("UPDATE users SET city = 'new'"))
    with factory() as session:
        assert session.get_one(User, 1).city == "new"
