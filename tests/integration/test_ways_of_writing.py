"""Whatever way a table is written in, every kind of entry that reads it is fresh after the commit.

Each test warms every reader, writes in one way, looks from inside of the transaction, commits and
looks again from other sessions; what another table holds stays served. A cursor of the driver's
own is the way that is not seen (docs/consistency.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, sessionmaker

from tests.fix_caches import CacheMaker
from tests.integration.shown import shown
from tests.integration.stage import Stage, make_engine
from tests.integration.ways import CONNECTION_WAYS, MARIADB, SESSION_WAYS, Way
from tests.integration.ways_models import APART, READERS, Base, rows, seen
from tests.servers import Database

pytestmark = pytest.mark.by_turns

Everything = dict[str, Any]


class Warehouse:
    """The warehouse, and the engines that it is written through.

    Attributes:
        enabled: The engine of the enabled factory.
        watched: One that the cache only watches.
    """

    def __init__(self, database: Database, make_cache: CacheMaker) -> None:
        self.stage = Stage(database, make_cache(), Base.metadata)
        self.enabled = self.stage.engine
        self.watched = make_engine(database)
        self.stage.cache.watch(self.watched)
        self._tables_are_broken = False
        self._rows_are_there = False

    def prepare(self) -> None:
        """Have all rows as they are at first, and all readers warm."""
        if self._tables_are_broken:
            with self.stage.outside.begin() as connection:
                connection.execute(text("DROP TABLE IF EXISTS echoes"))
            Base.metadata.drop_all(self.stage.outside)
            Base.metadata.create_all(self.stage.outside)
            self._tables_are_broken = False
        with self.stage.Plain.begin() as session:
            for table in reversed(Base.metadata.sorted_tables) if self._rows_are_there else ():
                session.execute(table.delete())
            for some in rows():
                session.add_all(some)
                session.flush()
        self._rows_are_there = True
        self.stage.cache.clear()
        # A snapshot fills little: what leads from one to the next takes several.
        for _ in range(3 if self.stage.is_sqlite else 2):
            self.read()
            for run in APART.values():
                seen(self.stage.Session, run)

    def read(self) -> Everything:
        """What every reader gives, each in a session of its own."""
        return {name: seen(self.stage.Session, run) for name, run in READERS.items()}

    def truth(self) -> Everything:
        """What the database gives."""
        return {name: seen(self.stage.Plain, run) for name, run in READERS.items()}

    def write(self, ways: Mapping[str, Way], connected: Callable[[], Any]) -> None:
        """Write in several ways, one after the other, each with everything warm.

        Args:
            ways: The ways, by name.
            connected: Gives a context with what writes, committed at its end.
        """
        for name, way in ways.items():
            if self.stage.database.name in way.databases:
                self.prepare()
                self.write_once(name, way, connected)
                self._tables_are_broken = way.breaks

    def write_once(self, called: str, way: Way, connected: Callable[[], Any]) -> None:
        """Write in one way, and look from within and from without."""
        before = self.truth()
        with self.stage.counting() as count:
            assert self.read() == before, called
        assert count.statements == [], f"not warm before: {called}"
        with connected() as target:
            way.write(target)
            if not way.breaks:
                self.look_from_within(called, target)
        after = self.truth()
        assert after != before, f"nothing is changed: {called}"
        for _ in range(2):
            found = self.read()
            old = {name: value for name, value in found.items() if value != after[name]}
            assert old == {}, f"stale after: {called}"
        if not way.coarse:
            with self.stage.counting() as count:
                for run in APART.values():
                    assert seen(self.stage.Session, run) == seen(self.stage.Plain, run)
            assert count.statements == [], f"what nobody wrote was emptied: {called}"

    def look_from_within(self, called: str, target: Any) -> None:
        """The transaction sees its own writes, whether the cache is asked or not."""
        session = target if isinstance(target, Session) else self.stage.Session(bind=target)
        for name, run in READERS.items():
            session.expunge_all()
            found = shown(run(session))
            session.expunge_all()
            with self.stage.cache.bypass():
                assert found == shown(run(session)), (called, name)
        if session is not target:
            session.close()


@pytest.fixture
def warehouse(database: Database, make_cache: CacheMaker) -> Warehouse:
    """Nothing is in it yet."""
    return Warehouse(database, make_cache)


def grouped(ways: Mapping[str, Way]) -> list[Any]:
    """Several ways for each test: they share what is compiled."""
    names = list(ways)
    groups = [names[at : at + 10] for at in range(0, len(names), 10)]
    return [pytest.param({one: ways[one] for one in group}, id=group[0]) for group in groups]


USUAL = {name: way for name, way in CONNECTION_WAYS.items() if way.databases != MARIADB}
COMMON = {
    name: CONNECTION_WAYS[name]
    for name in ("Core update", "Core insert, many", "text delete, two levels", "text association",
                 "drop")
}  # fmt: skip
FLUSHES = {
    name: SESSION_WAYS[name]
    for name in ("insert", "update of a tag", "delete, two levels", "label", "another key, above")
}


@pytest.mark.parametrize("ways", grouped(SESSION_WAYS))
def test_a_session_writes(warehouse: Warehouse, ways: Mapping[str, Way]) -> None:
    """The unit of work, bulk statements and text of an enabled session."""
    warehouse.write(ways, warehouse.stage.Session.begin)


@pytest.mark.parametrize("ways", grouped(USUAL))
def test_an_engine_writes(warehouse: Warehouse, ways: Mapping[str, Way]) -> None:
    """Core, text and DDL on a connection of an engine that is watched."""
    warehouse.write(ways, warehouse.watched.begin)


@pytest.mark.databases("mariadb")
def test_ways_of_mariadb(warehouse: Warehouse) -> None:
    """What only MySQL and MariaDB can write, in one statement; and DDL, which commits there."""
    ways = {name: way for name, way in CONNECTION_WAYS.items() if way.databases == MARIADB}
    warehouse.write(ways, warehouse.watched.begin)


@pytest.mark.databases("mariadb")
def test_mariadb_commits_before_ddl(warehouse: Warehouse) -> None:
    """What was written before DDL of any form is seen as soon as it is committed."""
    for statement in ("CREATE TABLE other (id INT)", "/* x */ DROP TABLE other"):
        warehouse.prepare()
        with warehouse.watched.connect() as connection:
            connection.execute(text("UPDATE item SET qty = 66"))
            connection.execute(text(statement))
            assert warehouse.read() == warehouse.truth()
            connection.commit()
        assert warehouse.read() == warehouse.truth()


def test_the_engine_of_a_factory_writes(warehouse: Warehouse) -> None:
    """The same on a connection of the engine that an enabled factory has."""
    warehouse.write(COMMON, warehouse.enabled.begin)


def test_a_session_that_is_not_enabled_writes(warehouse: Warehouse) -> None:
    """Statements and flushes of a plain session on a watched engine."""
    warehouse.write(COMMON, sessionmaker(warehouse.watched).begin)
    warehouse.write(FLUSHES, sessionmaker(warehouse.watched).begin)


def test_statements_that_commit_themselves(warehouse: Warehouse) -> None:
    """An AUTOCOMMIT connection of an engine that is derived from a watched one."""
    derived = warehouse.watched.execution_options(isolation_level="AUTOCOMMIT")
    warehouse.write(COMMON, derived.connect)


@pytest.mark.databases("postgresql")
def test_two_phases(warehouse: Warehouse) -> None:
    """A transaction that is prepared and committed then."""

    @contextmanager
    def two_phases() -> Iterator[Connection]:
        with warehouse.watched.connect() as connection:
            if int(connection.scalar(text("SHOW max_prepared_transactions")) or 0) == 0:
                pytest.skip("max_prepared_transactions is 0")
            connection.rollback()
            transaction = connection.begin_twophase()
            yield connection
            transaction.prepare()
            transaction.commit()

    warehouse.write({name: COMMON[name] for name in list(COMMON)[:3]}, two_phases)


def test_a_commit_in_text(warehouse: Warehouse) -> None:
    """COMMIT as text ends what was written before it, and is seen."""
    warehouse.prepare()
    with warehouse.watched.connect() as connection:
        connection.execute(text("UPDATE item SET qty = 66"))
        connection.exec_driver_sql("COMMIT")
        assert warehouse.read() == warehouse.truth()


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM item FOR UPDATE", "SELECT 1 AS \"update\"", "SELECT 'delete from item'",
     "WITH x AS (SELECT 1 AS a) SELECT a FROM x"],
)  # fmt: skip
def test_text_that_reads_empties_nothing(
    warehouse: Warehouse, database: Database, statement: str
) -> None:
    """Neither a lock nor a word in a name or string makes a write of a SELECT."""
    if "FOR UPDATE" in statement and database.name == "sqlite":
        statement = "SELECT * FROM item -- FOR UPDATE"
    warehouse.prepare()
    with warehouse.watched.begin() as connection:
        connection.execute(text(statement)).all()
        connection.exec_driver_sql(statement).all()
    with warehouse.stage.Session.begin() as session:
        session.execute(text(statement)).all()
    with warehouse.stage.counting() as count:
        warehouse.read()
    assert count.statements == []


@pytest.mark.stale_allowed
def test_a_cursor_of_the_driver_is_not_seen(warehouse: Warehouse) -> None:
    """What docs/consistency.md says: `invalidate()` is for that."""
    warehouse.prepare()
    raw = warehouse.watched.raw_connection()
    raw.cursor().execute("UPDATE item SET qty = 55")
    raw.commit()
    raw.close()
    assert warehouse.read() != warehouse.truth()
