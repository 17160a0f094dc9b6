"""What SQL text is said to write, against databases that execute it and sqlglot that parses it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest
import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, inspect
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlalchemy_rediscache.sql_text import READS, UNKNOWN, Answer, TextReader, Written
from tests.servers import Database

DIALECTS = ["postgresql", "mysql", "mariadb", "sqlite"]
TABLES = ["t", "u", "w"]

MAKE = [f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a VARCHAR(20))" for name in TABLES]
FILL = [f"INSERT INTO {name} VALUES (1, 'x'), (2, 'y'), (3, 'z')" for name in TABLES]

EVERYWHERE = [
    "SELECT * FROM t WHERE a = 'delete from t'",
    "INSERT INTO t VALUES (4, 'new')",
    "INSERT INTO t (id) SELECT id + 10 FROM u",
    "UPDATE t SET a = 'insert into u' WHERE id IN (SELECT id FROM u)",
    "DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
    "DELETE /* FROM u */ FROM t -- WHERE id = 1",
    "/* SELECT */ UPDATE t SET A = 'q' WHERE ID = 2",
    "DROP TABLE t",
    "CREATE TABLE n AS SELECT * FROM u",
    "CREATE VIEW v AS SELECT * FROM t",
    "CREATE INDEX i ON t (a)",
    "ALTER TABLE t RENAME TO n",
    "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 5",
    "ALTER TABLE t DROP COLUMN a",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN DELETE FROM t",
]
OF = {
    "sqlite": [
        "REPLACE INTO t VALUES (1, 'new')",
        "INSERT OR REPLACE INTO [t] VALUES (1, 'new')",
        "INSERT INTO main.t VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "UPDATE OR REPLACE t SET id = 2 WHERE id = 1",
        "UPDATE t SET a = u.a || '2' FROM u JOIN w USING (id) WHERE t.id = u.id",
        "WITH x AS (SELECT 9 AS id) INSERT INTO t SELECT id, 'x' FROM x",
        "WITH u AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM u)",
        "DELETE FROM 't'",
        "DELETE FROM \"T\" RETURNING id",
        "/* a /* b */ DELETE FROM t /* c */",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "PRAGMA user_version = 5",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM u; END",
    ],
    "postgresql": [
        "UPDATE t SET a = u.a || '2' FROM u WHERE t.id = u.id",
        "UPDATE ONLY public.t AS u SET a = w.a || '2' FROM w",
        "DELETE FROM t USING u, w WHERE t.id = u.id AND w.id = 1",
        "DELETE FROM t AS x USING u AS t WHERE x.id = t.id",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM t RETURNING id), y AS (UPDATE w SET a = 'q') "
        "INSERT INTO u SELECT id + 20 FROM x",
        "INSERT INTO t VALUES (1, 'q') ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "MERGE INTO t USING u ON t.id = u.id + 1 WHEN MATCHED THEN UPDATE SET a = 'q' "
        "WHEN NOT MATCHED THEN INSERT VALUES (u.id + 30, 'q')",
        "MERGE INTO t AS u USING w ON u.id = w.id WHEN MATCHED THEN DELETE",
        "SELECT * INTO n FROM t",
        "SELECT * FROM t FOR UPDATE",
        "TRUNCATE t, ONLY u",
        "COPY (SELECT 1) TO '/dev/null'",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN (ANALYZE, VERBOSE) WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "DO $$ BEGIN DELETE FROM t; END $$",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0), DROP COLUMN a",
        "LOCK TABLE t",
        "ANALYZE t",
        "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
        "PREPARE p AS DELETE FROM t",
        "DELETE FROM U&\"\\0074\"",
        "/* a /* b */ DELETE FROM u */ DELETE FROM t",
        "DELETE FROM t; UPDATE u SET a = 'q'; SELECT 1",
        "SELECT 1; /* ' */ DELETE FROM t -- '",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
        "DROP TABLE t, u CASCADE",
    ],
    "mariadb": [
        "UPDATE t JOIN u ON t.id = u.id SET t.a = 'q'",
        "UPDATE t AS x JOIN u AS t ON x.id = t.id SET t.a = 'q', x.a = 'r'",
        "UPDATE t, u SET t.a = 'q', u.a = 'q' WHERE t.id = u.id",
        "UPDATE LOW_PRIORITY IGNORE t SET a = 'q' ORDER BY id LIMIT 1",
        "DELETE t, y FROM t JOIN u AS y ON t.id = y.id JOIN w ON w.id = t.id",
        "DELETE t.*, u.* FROM t, u WHERE t.id = u.id",
        "DELETE FROM x USING t AS x JOIN u ON x.id = u.id",
        "DELETE QUICK FROM t WHERE id = 1",
        "REPLACE t VALUES (1, 'q')",
        "REPLACE INTO t SELECT id, REPLACE(a, 'x', 'q') FROM u",
        "INSERT IGNORE t SET id = 9",
        "INSERT INTO `t` VALUES (1, 'x') ON DUPLICATE KEY UPDATE a = 'q'",
        "TRUNCATE TABLE t",
        "RENAME TABLE t TO n, u TO t",
        "SELECT 1 /*! INTO @x */",
        "/*!50000DELETE FROM t*/",
        "SELECT 1 INTO @x",
        "SELECT * FROM t FOR UPDATE",
        "ANALYZE DELETE FROM t",
        "ANALYZE FORMAT=JSON UPDATE t SET a = 'q'",
        "ANALYZE TABLE t",
        "SET STATEMENT max_statement_time = 100 FOR DELETE FROM t",
        "SET STATEMENT max_statement_time = 100 FOR UPDATE t SET a = 'q'",
        "BEGIN NOT ATOMIC DELETE FROM t; END",
        "CREATE OR REPLACE TABLE t (id INTEGER)",
        "DELETE FROM t WHERE a = \"x\" # OR id = 2",
        "UPDATE t SET a = 5--1",
        "DROP TABLE t, u",
    ],
}  # fmt: skip


def contents(connection: Connection) -> dict[str, list[str]]:
    """The rows of every table and view, in order."""
    inspector = inspect(connection)
    return {
        name: sorted(
            repr(tuple(row)) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")
        )
        for name in (*inspector.get_table_names(), *inspector.get_view_names())
    }


def fresh(connection: Connection, before: dict[str, list[str]]) -> dict[str, list[str]]:
    """Make the tables anew if anything is not as it was; return their rows."""
    if before and contents(connection) == before:
        return before
    connection.exec_driver_sql("DROP VIEW IF EXISTS v")
    cascade = " CASCADE" if connection.dialect.name == "postgresql" else ""
    for name in ("n", *TABLES):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}{cascade}")
    for make in (*MAKE, *FILL):
        connection.exec_driver_sql(make)
    return contents(connection)


def missed(answer: Answer, changed: set[str]) -> set[str]:
    """The tables that changed although the answer says that they don't."""
    if answer is UNKNOWN:
        return set()
    told = answer if isinstance(answer, Written) else None
    return {name for name in changed if told is None or not told.touches(None, name)}


@pytest.mark.every_database
def test_what_changes_is_told(database: Database) -> None:
    """Each table whose content a statement changes is in the answer."""
    engine = database.engine()
    read = TextReader().written
    wrong = []
    with engine.connect() as connection:
        before: dict[str, list[str]] = {}
        for statement in (*EVERYWHERE, *OF[database.name]):
            before = fresh(connection, before)
            connection.exec_driver_sql(statement)
            after = contents(connection)
            connection.commit()
            changed = {one for one in before | after if before.get(one) != after.get(one)}
            if missed(read(statement, engine.dialect.name), changed):
                wrong.append((statement, changed))
    assert wrong == []


# -- statements put together from parts, most of them wrong ---------------------------------------

PARTS = [
    "SELECT", "WITH", "x AS (", "(", ")", ",", "*", "FROM", "t", "u", "main.t", "[w]", '"u"', "`t`",
    "AS u", "AS x", "INSERT", "INTO", "OR REPLACE", "OR IGNORE", "REPLACE", "REPLACE(", "VALUES",
    "(7, 'q')", "(1, 'q')", "UPDATE", "SET", "a = 'q'", "a = id", "id = id + 10", "DELETE",
    "WHERE", "id = 1", "id IN (SELECT id FROM u)", "SELECT 1", "SELECT id, a FROM w", "RETURNING *",
    "ON CONFLICT", "(id)", "DO UPDATE", "DO NOTHING", "FOR UPDATE", "EXPLAIN", "PRAGMA", ";",
    "-- x", "\n", "/*", "*/", "'", "/* x */", "JOIN", "ON", "true", "USING", "LIMIT 1", "DROP",
    "TABLE", "ALTER", "RENAME TO", "n", "CREATE", "IF EXISTS", "TRUNCATE", "MERGE", "WHEN MATCHED",
    "THEN", "COPY", "TO", "STDOUT", "CALL", "BEGIN", "END", "SHOW", "%s", "?", "$1", ":a", "$$",
    "E'\\'", "\\", "#", "{#", "#}", "{{", "/*!", "/*+", "--", "\r", "\x0c", "\u00a0", "INSERT(",
    "INTO @x", "DESCRIBE", "ANALYZE", "SET x =", "COMMIT", "LOCK TABLES", "U&",
]  # fmt: skip
WHOLE = [
    statement.removesuffix(";")
    for statement in (*EVERYWHERE, *OF["sqlite"], *OF["postgresql"], *OF["mariadb"])
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A statement of which some words were taken out, doubled or replaced by others."""
    words = draw(st.sampled_from(WHOLE)).split(" ")
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(words)))
        part = draw(st.sampled_from([*PARTS, *WHOLE]))
        words[place : place + draw(st.integers(0, 2))] = [part][: draw(st.integers(0, 1))]
    return " ".join(words)


TEXTS = st.one_of(st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join), mutated(), st.text())


@given(TEXTS)
@settings(max_examples=200)
def test_mixed_up_statements_on_sqlite(statement: str) -> None:
    """Whatever SQLite accepts, the tables that it changes are told."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(connection):
        for make in (*MAKE, *FILL):
            connection.execute(make)
        before = _rows(connection)
        with contextlib.suppress(sqlite3.Error, sqlite3.Warning, ValueError):
            connection.execute(statement, {"a": 1} if ":a" in statement else ()).fetchall()
        after = _rows(connection)
    changed = {one for one in before | after if before.get(one) != after.get(one)}
    assert missed(TextReader().written(statement, "sqlite"), changed) == set()


@given(TEXTS, st.sampled_from(DIALECTS))
@settings(max_examples=200)
@example("WITH x AS (SELECT 1) -- for\nUPDATE t SET a = 1", "postgresql")
def test_nothing_that_writes_is_taken_for_reading(statement: str, dialect: str) -> None:
    """It never raises, and where sqlglot sees a statement that writes, so does it."""
    answer = TextReader().written(statement, dialect)
    if _writes(statement, {"postgresql": "postgres", "mariadb": "mysql"}.get(dialect, dialect)):
        assert answer is not READS


def _writes(statement: str, dialect: str) -> bool:
    try:
        trees = sqlglot.parse(statement, read=dialect)
    except (SqlglotError, RecursionError):
        return False
    return any(
        tree is not None and tree.find(exp.Insert, exp.Update, exp.Delete, exp.Merge)
        for tree in trees
    )


def _rows(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    if connection.in_transaction:
        connection.execute("COMMIT")
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names}
