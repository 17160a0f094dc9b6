"""What SQL text writes, statement by statement and dialect by dialect."""

from __future__ import annotations

import logging
import sys

import pytest

from sqlalchemy_rediscache.sql_text import READS, UNKNOWN, Answer, Kind, TextReader, Written

POSTGRESQL, MYSQL, SQLITE = ("postgresql",), ("mysql", "mariadb"), ("sqlite",)
ALL = (*POSTGRESQL, *MYSQL, *SQLITE)
KINDS = {kind.name[0]: kind for kind in Kind} | {"D": Kind.DELETE, "X": Kind.DDL}


def written(expected: str) -> Written:
    """What is expected: the first letters of the kinds, X for DDL; then tables."""
    kinds, _, tables = expected.partition(" ")
    parts = [one.rpartition(".") for one in tables.split(",") if one]
    names = {(schema or None, name) for schema, _, name in parts}
    return Written(frozenset(names), frozenset(KINDS[letter] for letter in kinds))


READING = [
    (ALL, "SELECT 1"),
    (ALL, "select * from t where a = 'delete from t; drop table t'"),
    (ALL, "SELECT a FROM t WHERE note = 'it''s an update; really'"),
    (ALL, "/* update the page */ SELECT * FROM t -- insert later\n WHERE a = 1;"),
    (ALL, "-- delete\nSELECT 1"),
    (ALL, "(SELECT 1 FROM t) UNION (SELECT 2 FROM u)"),
    (ALL, "WITH x AS (SELECT 1 AS a) SELECT a FROM x"),
    (ALL, "VALUES (1), (2)"),
    (ALL, "SELECT replace(a, 'x', 'y') FROM t"),
    (ALL, "SELECT some_function(1), now()"),
    (ALL, "SELECT 1; SELECT 2;"),
    (ALL, ""),
    (ALL, " ; "),
    (ALL, "-- nothing but a comment"),
    (ALL, "EXPLAIN SELECT * FROM t"),
    (ALL, "SAVEPOINT insert_point"),
    (ALL, "RELEASE SAVEPOINT x"),
    (ALL, "ROLLBACK TO SAVEPOINT x"),
    (ALL, "BEGIN"),
    (ALL, "COMMIT"),
    (ALL, 'COMMIT; SELECT 1 AS "update"'),
    (POSTGRESQL + MYSQL, "SELECT * FROM t WHERE id = %s FOR UPDATE"),
    (POSTGRESQL + MYSQL, "SELECT 1 -- for\n FROM t FOR UPDATE OF t NOWAIT"),
    (POSTGRESQL + MYSQL, "WITH x AS (SELECT 1) SELECT * FROM t FOR UPDATE"),
    (POSTGRESQL + MYSQL, "TABLE t"),
    (POSTGRESQL + MYSQL, "SHOW TABLES"),
    (POSTGRESQL + MYSQL, "EXPLAIN ANALYZE SELECT * FROM t"),
    (POSTGRESQL + MYSQL, "START TRANSACTION READ ONLY"),
    (POSTGRESQL + MYSQL, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
    (POSTGRESQL + MYSQL, "ANALYZE TABLE t"),
    (POSTGRESQL, "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED"),
    (POSTGRESQL, 'SELECT "delete", "insert" FROM "update"'),
    (POSTGRESQL, "SELECT $$ DELETE FROM t; $$"),
    (POSTGRESQL, "SELECT $q$ it's $q$, E'it\\'s; DELETE FROM t', $1"),
    (POSTGRESQL, "/* a /* nested */ DELETE FROM t */ SELECT 1"),
    (POSTGRESQL, "SELECT a #> '{delete}', b ? 'insert', c @> %(c)s::jsonb FROM t"),
    (POSTGRESQL, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT 'delete'"),
    (POSTGRESQL, "COPY t TO STDOUT"),
    (POSTGRESQL, "COPY (SELECT 'insert') TO STDOUT"),
    (POSTGRESQL, "SET LOCAL search_path TO a, b"),
    (POSTGRESQL, "RESET ALL"),
    (POSTGRESQL, "LOCK TABLE t IN EXCLUSIVE MODE"),
    (POSTGRESQL, "NOTIFY channel, 'delete 5'"),
    (POSTGRESQL, "LISTEN channel"),
    (POSTGRESQL, "VACUUM (FULL, ANALYZE) t"),
    (POSTGRESQL, "ANALYZE t"),
    (POSTGRESQL, "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE"),
    (POSTGRESQL, "FETCH 5 FROM c"),
    (POSTGRESQL, "CLOSE c"),
    (MYSQL, 'SELECT `delete`, "insert" FROM `update` # drop'),
    (MYSQL, "SELECT 1 INTO @x"),
    (MYSQL, "SELECT INSERT('abc', 1, 1, 'x'), TRUNCATE(1.5, 1)"),
    (MYSQL, "SHOW CREATE TABLE t"),
    (MYSQL, "DESCRIBE t"),
    (MYSQL, "USE other"),
    (MYSQL, "SET @x = 1"),
    (MYSQL, "LOCK TABLES t WRITE"),
    (MYSQL, "UNLOCK TABLES"),
    (SQLITE, "SELECT [delete] FROM [update]"),
    (SQLITE, "PRAGMA foreign_keys = ON"),
    (SQLITE, "EXPLAIN QUERY PLAN SELECT 1"),
    (SQLITE, "BEGIN IMMEDIATE"),
    (SQLITE, "END"),
]

TABLES = [
    (ALL, "INSERT INTO t (a) VALUES (1)", "I t"),
    (ALL, "INSERT INTO t SELECT * FROM u", "I t"),
    (ALL, "INSERT INTO s.t VALUES (1), (2), (3)", "I s.t"),
    (ALL, "UPDATE t SET a = 'x' WHERE b IN (SELECT b FROM u)", "U t"),
    (ALL, "DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM u)", "D t"),
    (ALL, "delete\nfrom\tT;", "D t"),
    (ALL, "/* x */ DELETE /* from u */ FROM t -- u", "D t"),
    (ALL, "UPDATE t SET a = 'it''s'; DELETE FROM u; SELECT 1", "UD t,u"),
    (ALL, "SELECT 1; DELETE FROM t", "D t"),
    (ALL, "COMMIT; DELETE FROM t", "D t"),
    (ALL, "WITH x AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM x", "I t"),
    (ALL, "DROP TABLE t", "XD t"),
    (ALL, "DROP TABLE IF EXISTS s.t", "XD s.t"),
    (ALL, "ALTER TABLE t RENAME TO u", "X t,u"),
    (ALL, "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 5", "X t"),
    (ALL, "CREATE TABLE t (id INTEGER REFERENCES u (id) ON DELETE CASCADE)", "X t"),
    (ALL, "CREATE TABLE t AS SELECT * FROM u", "X t"),
    (ALL, "CREATE VIEW v AS SELECT * FROM u", "X v"),
    (ALL, "CREATE UNIQUE INDEX i ON t (a)", "X"),
    (ALL, "EXPLAIN DELETE FROM t", "D t"),
    # placeholders of drivers
    (POSTGRESQL + MYSQL, "UPDATE t SET a = %s, b = b %% 2 WHERE c IN (%s, %s)", "U t"),
    (POSTGRESQL + MYSQL, "UPDATE t SET a = %(a)s WHERE b LIKE 'x%%' LIMIT 5", "U t"),
    (ALL, "UPDATE t SET a = ? WHERE b = ?", "U t"),
    (ALL, "UPDATE t SET a = :a WHERE b = :b", "U t"),
    (POSTGRESQL, "UPDATE t SET a = $1::INTEGER WHERE b = ANY($2)", "U t"),
    (POSTGRESQL, "UPDATE t SET a = %(a)s::JSONB, b = %(b)b", "U t"),
    (SQLITE, "INSERT INTO t VALUES (?1, :b, @c, $d)", "I t"),
    # PostgreSQL
    (POSTGRESQL, "UPDATE t AS x SET a = u.a FROM u JOIN w ON true WHERE u.id = x.id", "U t"),
    (POSTGRESQL, "UPDATE ONLY s.t SET (a, b) = (SELECT 1, 2) RETURNING *", "U s.t"),
    (POSTGRESQL, "DELETE FROM t USING u, w WHERE t.id = u.id RETURNING t.*", "D t"),
    (POSTGRESQL, "DELETE FROM t AS x USING u AS t WHERE x.id = t.id", "D t"),
    (POSTGRESQL, 'DELETE FROM "S"."T"', "D S.T"),
    (POSTGRESQL, 'DELETE FROM "a""b"', 'D a"b'),
    (POSTGRESQL, "DELETE FROM Täble_Ä", "D täble_Ä"),
    (POSTGRESQL, "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "D t"),
    (POSTGRESQL, "WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x", "DI t,u"),
    (POSTGRESQL, "EXPLAIN (ANALYZE) WITH x AS (UPDATE t SET a = 1 RETURNING a) TABLE x", "U t"),
    (POSTGRESQL, "EXPLAIN ANALYZE VERBOSE DELETE FROM t", "D t"),
    (POSTGRESQL, "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", "IU t"),
    (POSTGRESQL, "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (1)", "I t"),
    (POSTGRESQL, "INSERT INTO t SELECT * FROM u FOR UPDATE", "I t"),
    (POSTGRESQL, "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1 "
     "WHEN NOT MATCHED THEN INSERT (id) VALUES (1)", "IUD t"),
    (POSTGRESQL, "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "IUD t"),
    (POSTGRESQL, "SELECT * INTO TEMP n FROM t", "XI n"),
    (POSTGRESQL, "TRUNCATE t, ONLY s.u RESTART IDENTITY", "T t,s.u"),
    (POSTGRESQL, "COPY t (a, b) FROM STDIN WITH (FORMAT csv)", "I t"),
    (POSTGRESQL, "COPY s.t FROM '/file' DELIMITER ','", "I s.t"),
    (POSTGRESQL, "DROP TABLE t, s.u CASCADE", "XD t,s.u"),
    (POSTGRESQL, "ALTER TABLE ONLY t ADD COLUMN a int, DROP COLUMN b", "X t"),
    (POSTGRESQL, "REFRESH MATERIALIZED VIEW CONCURRENTLY s.v WITH DATA", "TI s.v"),
    # MySQL and MariaDB
    (MYSQL, "UPDATE t JOIN u ON t.id = u.id SET t.a = 1", "U t"),
    (MYSQL, "UPDATE t AS x LEFT JOIN u AS y ON true SET y.a = 1, x.b = 2", "U t,u"),
    (MYSQL, "UPDATE t, s.u SET a = 1", "U t,s.u"),
    (MYSQL, "UPDATE LOW_PRIORITY IGNORE t SET a = 1 ORDER BY b LIMIT 3", "U t"),
    (MYSQL, "DELETE t, y FROM t JOIN s.u AS y ON t.id = y.id JOIN w ON true", "D t,s.u"),
    (MYSQL, "DELETE t.*, u.* FROM t, u", "D t,u"),
    (MYSQL, "DELETE FROM x USING t AS x JOIN u", "D t"),
    (MYSQL, "DELETE QUICK FROM t", "D t"),
    (MYSQL, "DELETE quick, u FROM quick JOIN u", "D quick,u"),
    (MYSQL, "DELETE FROM t PARTITION (p0, p1)", "D t"),
    (MYSQL, "REPLACE INTO t VALUES (1)", "ID t"),
    (MYSQL, "REPLACE LOW_PRIORITY t (a) SELECT REPLACE(a, 'x', 'y') FROM u", "ID t"),
    (MYSQL, "INSERT IGNORE t SET a = 1", "I t"),
    (MYSQL, "INSERT INTO `T` VALUES (1), (2) ON DUPLICATE KEY UPDATE a = VALUES(a)", "IU t"),
    (MYSQL, "WITH c AS (SELECT 1) UPDATE t JOIN c SET t.a = 1", "U t"),
    (MYSQL, "WITH c AS (SELECT 1) DELETE FROM t", "D t"),
    (MYSQL, "TRUNCATE TABLE s.t", "TX s.t"),
    (MYSQL, "RENAME TABLE a TO b, s.c TO d", "X a,b,s.c,d"),
    (MYSQL, "SELECT 5--1; DELETE FROM t", "D t"),
    (MYSQL, "SELECT 1 # ; DELETE FROM u\n; DELETE FROM t", "D t"),
    (MYSQL, "EXPLAIN ANALYZE FORMAT=TREE DELETE FROM t", "D t"),
    (MYSQL, "ANALYZE FORMAT=JSON UPDATE t SET a = 1", "U t"),
    # SQLite
    (SQLITE, "REPLACE INTO main.t VALUES (1)", "ID main.t"),
    (SQLITE, "INSERT OR REPLACE INTO t VALUES (1)", "ID t"),
    (SQLITE, "INSERT OR IGNORE INTO t VALUES (1)", "I t"),
    (SQLITE, "WITH x AS (SELECT 1) REPLACE INTO t SELECT * FROM x", "ID t"),
    (SQLITE, "UPDATE OR REPLACE t SET a = 1", "UD t"),
    (SQLITE, "UPDATE t SET a = u.a FROM u", "U t"),
    (SQLITE, "DELETE FROM [T x] WHERE a MATCH 'y'", "D t x"),
    (SQLITE, "/* a /* b */ DELETE FROM t /* c */", "D t"),
    (SQLITE, "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b", "IU t"),
]  # fmt: skip

NOT_KNOWN = [
    (ALL, "CALL p()"),
    (ALL, "DO something"),
    (ALL, "EXECUTE p"),
    (ALL, "PREPARE p AS DELETE FROM t"),
    (ALL, "GRANT ALL ON t TO x"),
    (ALL, "SELECT 1; CALL p()"),
    (ALL, "SELECT /*! 1 */ 1; /*!50000 DELETE FROM t */"),
    (ALL, "/*!50000DELETE FROM t*/"),
    (ALL, "SELECT 1 /*M! INTO OUTFILE 'x' */"),
    (ALL, "{# DELETE FROM t #} UPDATE u SET a = 1"),
    (ALL, "UPDATE t\u00a0x SET a = 1"),
    (ALL, "not SQL at all"),
    (ALL, "UPDATE SET a = 1"),
    (ALL, "DELETE FROM 't"),
    (ALL, "EXPLAIN (ANALYZE, DELETE FROM t"),
    (ALL, "EXPLAIN (DELETE FROM t)"),
    (ALL, "INSERT INTO t VALUES (1, (2)"),
    (ALL, "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; END"),
    (ALL, "DELETE FROM 't'"),
    (ALL, "DELETE FROM f(1)"),
    (ALL, "SET STATEMENT max_statement_time = 1 FOR UPDATE t SET a = 1"),
    (POSTGRESQL, "DO $$ BEGIN DELETE FROM t; END $$"),
    (POSTGRESQL, "/* /* */ SELECT */ CALL p()"),
    (POSTGRESQL, "-- x\rCALL p() -- \nSELECT 1"),
    (POSTGRESQL, "COMMIT PREPARED 'x'"),
    (POSTGRESQL, "TRUNCATE t CASCADE"),
    (POSTGRESQL, "DROP SCHEMA s CASCADE"),
    (POSTGRESQL, "CREATE RULE r AS ON INSERT TO t DO INSTEAD DELETE FROM u"),
    (POSTGRESQL, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t'"),
    (POSTGRESQL, "COPY (DELETE FROM t RETURNING *) TO STDOUT"),
    (POSTGRESQL, "SELECT dblink_exec('dbname=x', 'DELETE FROM t')"),
    (POSTGRESQL, "EXPLAIN ANALYZE EXECUTE p"),
    (POSTGRESQL, 'DELETE FROM U&"d\\0061t"'),
    (POSTGRESQL, f"DELETE FROM {'x' * 64}"),
    (MYSQL, "LOAD DATA INFILE 'x' INTO TABLE t"),
    (MYSQL, "BEGIN NOT ATOMIC DELETE FROM t; END"),
    (MYSQL, "START REPLICA"),
    (MYSQL, "HANDLER t OPEN"),
    (MYSQL, "SELECT 'a\\'; DELETE FROM t; -- '"),
    (MYSQL, "-- \rSELECT -- \nCALL p()"),
    (SQLITE, "ATTACH 'x' AS y"),
]


def rows(cases: list[tuple[tuple[str, ...], str]]) -> list[tuple[str, str]]:
    """One case for each dialect."""
    return [(dialect, statement) for dialects, statement in cases for dialect in dialects]


@pytest.mark.parametrize(("dialect", "statement"), rows(READING))
def test_it_reads(dialect: str, statement: str) -> None:
    """A text that writes nothing is told as such, whatever is in its strings and comments."""
    assert TextReader().written(statement, dialect) is READS


@pytest.mark.parametrize(
    ("dialect", "statement", "expected"),
    [(dialect, sql, written(expected)) for names, sql, expected in TABLES for dialect in names],
)
def test_it_writes_tables(dialect: str, statement: str, expected: Answer) -> None:
    """The tables that are written are told, and none that are only read."""
    assert TextReader().written(statement, dialect) == expected


@pytest.mark.parametrize(("dialect", "statement"), rows(NOT_KNOWN))
def test_it_may_write_anything(dialect: str, statement: str) -> None:
    """What is not understood for certain is unknown."""
    assert TextReader().written(statement, dialect) is UNKNOWN


@pytest.mark.parametrize("dialect", ["oracle", "mssql", "duckdb", ""])
def test_other_databases(dialect: str) -> None:
    """Of a database that sqlglot is not asked about, plain reading is known, and nothing else."""
    read = TextReader().written
    assert read("SELECT * FROM t FOR UPDATE", dialect) is READS
    for statement in ("DELETE FROM t", "SELECT 1 EXEC p", "SELECT 'insert'", "USE x DROP TABLE t"):
        assert read(statement, dialect) is UNKNOWN


@pytest.mark.parametrize("dialect", ALL)
def test_without_a_parser(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sqlglot a plain SELECT reads, and anything else is unknown."""
    monkeypatch.setitem(sys.modules, "sqlalchemy_rediscache.sql_text.statements", None)
    read = TextReader().written
    assert read("SELECT * FROM t WHERE a = 1", dialect) is READS
    assert read("SELECT * FROM t FOR UPDATE", dialect) is READS
    assert read("DELETE FROM t", dialect) is UNKNOWN
    assert read("SELECT 1; DELETE FROM t", dialect) is UNKNOWN


def test_huge_texts() -> None:
    """Over the limit no parser is asked; many rows below it are no work."""
    read = TextReader().written
    insert = "INSERT INTO t VALUES (1, 'abc')"
    assert read(insert + ", (1, 'abc')" * 10_000, "sqlite") is UNKNOWN
    assert read(insert + ", (1, 'abc')" * 3_000, "sqlite") == written("I t")
    assert read(f"SELECT * FROM t WHERE a IN ({'1, ' * 100_000}1)", "sqlite") is READS
    assert read("UPDATE t SET a = " + "(" * 9_000 + "1" + ")" * 9_000, "sqlite") is UNKNOWN


def test_answers_are_remembered() -> None:
    """A text is looked at once; few are kept."""
    reader = TextReader(remembered=64)
    first = reader.written("DELETE FROM t", "sqlite")
    assert reader.written("DELETE FROM t", "sqlite") is first
    assert reader.written("DELETE FROM T", "postgresql") == first
    for number in range(200):
        reader.written(f"SELECT {number}", "sqlite")
        reader.written(f"SELECT {number}, '{'x' * 5_000}'", "sqlite")
    assert reader.written("DELETE FROM t", "sqlite") is not first
    assert reader.remembered() <= 64 + 2


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The parser's warnings of what it does not understand are not logged."""
    caplog.set_level(logging.DEBUG)
    read = TextReader().written
    read("ALTER TABLE t SET SCHEMA s", "postgresql")
    read("UPDATE t SET a = json_extract(b, 'not a [path')", "sqlite")
    read("UPDATE t SET a = b -> 'x y' #>> '{a,b}'", "postgresql")
    read("REFRESH MATERIALIZED VIEW v", "postgresql")
    read("ALTER TABLE t COALESCE PARTITION 4", "mysql")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("statement", "schema", "name", "touched"),
    [
        ("DELETE FROM t", None, "t", True),
        ("DELETE FROM t", "s", "t", True),
        ("DELETE FROM s.t", None, "t", True),
        ("DELETE FROM s.t", "s", "t", True),
        ("DELETE FROM s.t", "S", "T", True),
        ("DELETE FROM s.t", "other", "t", False),
        ("DELETE FROM t", None, "u", False),
        ('DELETE FROM "T"', None, "t", True),
    ],
)
def test_which_tables_it_touches(
    statement: str, schema: str | None, name: str, touched: bool
) -> None:
    """A schema that one side leaves out may be any; case makes no difference."""
    answer = TextReader().written(statement, "postgresql")
    assert isinstance(answer, Written)
    assert answer.touches(schema, name) is touched
