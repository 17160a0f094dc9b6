"""Transactions that are begun and ended as text, past SQLAlchemy: nothing is released before them.

Each test has readers fill their rows at every step: what a COMMIT as text commits must be locked
before it, and what a transaction has not committed yet must not be released for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text, update
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker

from sqlalchemy_rediscache import private
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage, make_engine
from tests.listening import listening
from tests.servers import Database

pytestmark = pytest.mark.databases("postgresql", "mariadb")

CORE = update(User).where(User.id == 1).values(city="new")
TEXT = text("UPDATE users SET city = 'new' WHERE id = 1")


def read(stage: Stage, number: int = 1) -> str | None:
    """What readers are given, three times: a snapshot fills the third time at the latest."""
    found: set[str | None] = set()
    for _ in range(3):
        with stage.Session() as session:
            found.add(session.get_one(User, number).city)
    assert len(found) == 1
    return found.pop()


def hit(stage: Stage, number: int = 1) -> bool:
    """Does the cache have the row?"""
    with stage.counting() as count, stage.Session() as session:
        session.get_one(User, number)
    return count.selects == 0


def run(connection: Any, statement: str) -> None:
    """Send text."""
    connection.execute(text(statement))


def autocommit(stage: Stage) -> Engine:
    """The stage's engine, where each statement commits itself."""
    return stage.engine.execution_options(isolation_level="AUTOCOMMIT")


def write_core(connection: Connection) -> None:
    """A statement of SQLAlchemy's that names its row."""
    connection.execute(CORE)


def write_text(connection: Connection) -> None:
    """Text."""
    connection.execute(TEXT)


def write_many(connection: Connection) -> None:
    """A statement for any row."""
    connection.execute(update(User).values(city="new"))


WRITES = [write_core, write_text, write_many]


@pytest.fixture(params=["the driver tells", "it doesn't"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that tells of its transactions, and one that is silent."""
    if request.param != "the driver tells":
        monkeypatch.setattr(private, "driver_in_transaction", lambda connection: None)
        monkeypatch.setattr(private, "driver_autocommits", lambda connection: None)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("begin", "commit"),
    [("BEGIN", "COMMIT"), ("/* x */ start transaction", "-- x\ncommit work")],
)
def test_core_between_begin_and_commit(
    stage: Stage, write: Callable[[Connection], None], begin: str, commit: str
) -> None:
    """The row is read from the database, or old, until COMMIT; from the moment of COMMIT new."""
    assert read(stage) == "x"
    seen: list[str | None] = []
    with (
        autocommit(stage).connect() as connection,
        listening(connection, "after_cursor_execute", lambda *_: seen.append(read(stage))),
    ):
        for _ in range(2):
            run(connection, begin)
            write(connection)
            assert read(stage) == "x"
            run(connection, commit)
            assert read(stage) == "new"
            run(connection, begin)
            connection.execute(update(User).values(city="x"))
            assert read(stage) == "new"
            run(connection, commit)
            assert read(stage) == "x"
    assert seen == ["x", "x", "new", "new", "new", "x"] * 2


def test_what_is_rolled_back(stage: Stage) -> None:
    """Nothing that is undone ends an entry, and later statements commit themselves again."""
    assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        run(connection, "BEGIN")
        write_core(connection)
        run(connection, "ROLLBACK")
        assert hit(stage)
        write_core(connection)
        assert read(stage) == "new"


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("ends", ["text", "session", "connection"])
def test_a_session_between_begin_and_commit(stage: Stage, ends: str) -> None:
    """What a flush and statements write is not there before COMMIT, however this is sent."""
    for number in (1, 2):
        assert read(stage, number) == "x"
    with stage.cache.enable(sessionmaker(autocommit(stage)))() as session:
        run(session, "BEGIN")
        session.get_one(User, 1).city = "new"
        session.flush()
        session.execute(update(User).where(User.id == 2).values(city="new"))
        assert (read(stage, 1), read(stage, 2)) == ("x", "x")
        if ends == "text":
            run(session, "COMMIT")
        elif ends == "connection":
            session.connection().exec_driver_sql("COMMIT")
        else:
            session.commit()
        assert (read(stage, 1), read(stage, 2)) == ("new", "new")
        session.get_one(User, 1).city = "at once"
        session.flush()
        assert read(stage) == "at once"
        session.rollback()
    assert read(stage) == "at once"


def test_one_text_with_several_statements(stage: Stage) -> None:
    """A transaction that a text leaves open, and one that it begins anew."""
    if stage.database.name == "mariadb":
        pytest.skip("the driver sends one statement at a time")
    assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        run(connection, "BEGIN; UPDATE users SET city = 'one' WHERE id = 1")
        assert read(stage) == "x"
        run(connection, "COMMIT; BEGIN; UPDATE users SET city = 'two' WHERE id = 1")
        assert read(stage) == "one"
        run(connection, "COMMIT")
        assert read(stage) == "two"


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("commit", ["END", "COMMIT AND CHAIN", "END TRANSACTION AND NO CHAIN"])
@pytest.mark.parametrize("abort", ["ABORT", "ROLLBACK AND CHAIN", "ROLLBACK TO a"])
def test_other_words_of_postgresql(stage: Stage, commit: str, abort: str) -> None:
    """END is a COMMIT, ABORT a ROLLBACK, and CHAIN begins the next transaction."""
    assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        run(connection, "SAVEPOINT a")
        connection.execute(update(User).values(city="undone"))
        assert read(stage) == "x"
        run(connection, abort)
        assert read(stage) == "x"
        if abort == "ABORT":
            run(connection, "BEGIN")
        write_core(connection)
        assert read(stage) == "x"
        run(connection, commit)
        assert read(stage) == "new"
        connection.execute(update(User).values(city="next"))
        if commit == "COMMIT AND CHAIN":
            assert read(stage) == "new"
            run(connection, "COMMIT")
        assert read(stage) == "next"


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_prepared_transactions(stage: Stage, end: str) -> None:
    """Committed later, and through another connection, which nothing tells what was written."""
    with autocommit(stage).connect() as connection:
        if int(connection.scalar(text("SHOW max_prepared_transactions")) or 0) == 0:
            pytest.skip("max_prepared_transactions is 0")
        assert read(stage) == "x"
        run(connection, "BEGIN")
        write_core(connection)
        run(connection, "PREPARE TRANSACTION 'one'")
        assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        run(connection, f"{end} PREPARED 'one'")
        assert read(stage) == ("new" if end == "COMMIT" else "x")


@pytest.mark.databases("mariadb")
def test_xa(stage: Stage) -> None:
    """MariaDB's form of the same, in one phase and in two."""
    assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        for phases, value in ((1, "one"), (2, "two")):
            before = read(stage)
            run(connection, "XA START 'a'")
            connection.execute(update(User).values(city=value))
            assert read(stage) == before
            run(connection, "XA END 'a'")
            if phases == 2:
                run(connection, "XA PREPARE 'a'")
            assert read(stage) == before
            run(connection, "XA COMMIT 'a'" if phases == 2 else "XA COMMIT 'a' ONE PHASE")
            assert read(stage) == value


@pytest.mark.usefixtures("told")
@pytest.mark.databases("mariadb")
def test_autocommit_is_switched_off_and_on(stage: Stage) -> None:
    """SET autocommit = 0 keeps writes until COMMIT, = 1 commits them."""
    assert read(stage) == "x"
    with autocommit(stage).connect() as connection:
        run(connection, "SET autocommit = 0")
        write_core(connection)
        assert read(stage) == "x"
        run(connection, "COMMIT")
        assert read(stage) == "new"
        connection.execute(update(User).values(city="next"))
        assert read(stage) == "new"
        run(connection, "/* x */ SET @@session.autocommit = ON")
        assert read(stage) == "next"
        connection.execute(update(User).values(city="last"))
        assert read(stage) == "last"


@pytest.mark.usefixtures("told")
@pytest.mark.databases("mariadb")
def test_autocommit_is_switched_on_by_text(stage: Stage) -> None:
    """Where SQLAlchemy takes a transaction for open, each statement is there at once."""
    assert read(stage) == "x"
    with stage.Session() as session:
        run(session, "SET autocommit = 1")
        session.get_one(User, 1).city = "new"
        session.flush()
        assert read(stage) == "new"
        session.execute(update(User).values(city="next"))
        assert read(stage) == "next"
        run(session, "SET autocommit = 0")
        session.rollback()
    assert read(stage) == "next"


@pytest.mark.databases("mariadb")
@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE other (id INT)", "ANALYZE TABLE users", "TRUNCATE TABLE log", "LOCK TABLES"
     " users READ", "BEGIN", "FLUSH TABLES"],
)  # fmt: skip
@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ COMMITTED"])
def test_what_mariadb_commits_by_the_way(stage: Stage, statement: str, level: str) -> None:
    """Statements that commit whatever was written before them."""
    assert read(stage) == "x"
    engine = stage.engine.execution_options(isolation_level=level)
    with engine.connect() as connection:
        run(connection, "BEGIN")
        write_core(connection)
        assert read(stage) == "x"
        run(connection, statement)
        assert read(stage) == "new"
        connection.execute(text("UNLOCK TABLES"))
        connection.rollback()
    assert read(stage) == "new"


def test_a_driver_that_commits_by_itself(database: Database, make_cache: CacheMaker) -> None:
    """`autocommit` of the driver's own, of which SQLAlchemy knows nothing."""
    stage = Stage(database, make_cache())
    stage.populate()
    engine = make_engine(database, connect_args={"autocommit": True})
    assert read(stage) == "x"
    with stage.cache.enable(sessionmaker(engine))() as session:
        session.get_one(User, 1).city = "new"
        session.flush()
        assert read(stage) == "new"
        run(session, "BEGIN")
        session.execute(update(User).values(city="next"))
        assert read(stage) == "new"
        run(session, "COMMIT")
        assert read(stage) == "next"


@pytest.mark.parametrize("statement", ["COMMIT", "CREATE TABLE other (id INT)"])
def test_a_listener_commits_in_the_middle_of_a_flush(stage: Stage, statement: str) -> None:
    """What the flush wrote before it is committed, and not known: everything is emptied."""
    if statement != "COMMIT" and stage.database.name == "postgresql":
        pytest.skip("DDL is a part of the transaction there")
    assert read(stage) == "x"

    def commit(mapper: Any, connection: Connection, target: Any) -> None:
        connection.execute(text(statement))

    with listening(User, "after_update", commit), stage.Session() as session:
        session.get_one(User, 1).city = "new"
        session.flush()
        assert read(stage) == "new"
        session.rollback()
    assert read(stage) == "new"


def test_asyncio(database: Database, make_cache: CacheMaker) -> None:
    """The same with asyncpg and aiomysql."""
    stage = Stage(database, make_cache())
    stage.populate()

    async def main() -> list[Any]:
        engine = database.async_engine(isolation_level="AUTOCOMMIT")
        reading = database.async_engine(isolation_level="READ COMMITTED")
        factory = stage.cache.enable(async_sessionmaker(engine))
        readers = stage.cache.enable(async_sessionmaker(reading))
        found = []

        async def look() -> None:
            async with readers() as session:
                await session.get_one(User, 1)
            async with readers() as session:
                found.append((await session.get_one(User, 1)).city)

        await look()
        async with factory() as session:
            await session.execute(text("BEGIN"))
            (await session.get_one(User, 2)).city = "flushed"
            await session.flush()
            await look()
            await session.execute(update(User).values(city="new"))
            await look()
            await session.execute(text("COMMIT"))
            await look()
            await session.execute(update(User).values(city="next"))
            await look()
            await session.execute(text("BEGIN"))
            await session.execute(update(User).values(city="undone"))
            await session.execute(text("ROLLBACK"))
            await look()
        await engine.dispose()
        await reading.dispose()
        await stage.cache.aclose()
        return found

    assert asyncio.run(main()) == ["x", "x", "x", "new", "next", "next"]


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("closes", [False, True])
def test_an_end_that_ends_nothing(
    database: Database, make_cache: CacheMaker, end: str, closes: bool
) -> None:
    """Asyncpg has no COMMIT under AUTOCOMMIT, and no ROLLBACK: text alone ends the transaction."""
    stage = Stage(database, make_cache())
    stage.populate()

    async def main() -> list[tuple[str | None, str | None]]:
        engine = database.async_engine(isolation_level="AUTOCOMMIT", pool_size=1)
        reading = database.async_engine()
        factory = stage.cache.enable(async_sessionmaker(engine))
        readers = stage.cache.enable(async_sessionmaker(reading))
        found = []

        async def look() -> None:
            async with readers() as session:  # it fills what the next is served
                await session.get_one(User, 1)
                await session.get_one(User, 2)
            async with readers() as session:
                one, two = await session.get_one(User, 1), await session.get_one(User, 2)
                found.append((one.city, two.city))

        await look()
        async with engine.connect() as connection:
            async with factory(bind=connection) as session:
                await session.execute(text("BEGIN"))
                await session.execute(update(User).where(User.id == 1).values(city="core"))
                (await session.get_one(User, 2)).city = "flushed"
                await session.flush()
                await getattr(session, end)()
            await look()
            if not closes:
                await connection.execute(text("COMMIT"))
                await look()
        if closes:
            async with factory() as session:
                await session.execute(text("COMMIT"))
            await look()
        await engine.dispose()
        await reading.dispose()
        await stage.cache.aclose()
        return found

    assert asyncio.run(main()) == [("x", "x"), ("x", "x"), ("core", "flushed")]


LEVELS = {
    "postgresql": [
        (False, "SET transaction_isolation = 'repeatable read'"),
        (False, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        (True, "SET default_transaction_isolation = 'repeatable read'"),
        (True, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        (True, "SELECT set_config('default_transaction_isolation', 'repeatable read', false)"),
    ],
    "mariadb": [
        (False, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        (True, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        (True, "SET @@session.tx_isolation = 'REPEATABLE-READ'"),
        (True, "SET LOCAL TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    ],
}


@pytest.mark.parametrize("number", range(5))
def test_a_level_that_text_sets(stage: Stage, number: int) -> None:
    """What a snapshot loads is not filled, in this transaction, and in later ones if it lasts."""
    levels = LEVELS[stage.database.name]
    if number >= len(levels):
        pytest.skip("there are no more ways")
    lasts, statement = levels[number]
    # PostgreSQL's has this level by default: told so, the driver would name it with each BEGIN.
    level: Any = (
        {} if stage.database.name == "postgresql" else {"isolation_level": "READ COMMITTED"}
    )
    engine = make_engine(stage.database, pool_size=1, **level)
    factory = stage.cache.enable(sessionmaker(engine))
    with factory() as session:
        run(session, statement)
        if lasts:
            session.commit()
            session.close()  # the next transaction is on the same connection of the driver's
        session.execute(text("SELECT count(*) FROM team")).all()
        with stage.engine.begin() as connection:
            write_core(connection)
        assert session.get_one(User, 1).city == "x"
    assert read(stage) == "new"


def test_text_that_asks_for_the_level(stage: Stage) -> None:
    """It changes nothing for later transactions."""
    with stage.engine.connect() as connection:
        if stage.database.name == "postgresql":
            connection.execute(text("SHOW transaction_isolation"))
        connection.execute(text("SELECT 'isolation'"))
        connection.execute(text("SET TRANSACTION READ ONLY"))
    assert read(stage) == "x"
    assert hit(stage)
