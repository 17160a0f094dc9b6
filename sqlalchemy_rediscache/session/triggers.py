"""Does the database change rows on their way in? Asked of its catalog, once a minute for a table.

A row that a trigger may have changed is not what the session holds: it is never published. Other
cached rows that a trigger changes are out-of-band writes, see docs/consistency.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from .catalog import RECHECK, fetched, literal, named, schema_of
from .engines import EngineInfo, Rules


def none_on(connection: Connection, engine: EngineInfo, tables: Iterable[Table]) -> bool:
    """Are rows of the tables stored as they are sent? False where that can't be told."""
    return all(_known(connection, engine, table).as_sent for table in tables)


def replace_on(connection: Connection, engine: EngineInfo, tables: Iterable[Table]) -> bool:
    """Does a row of the tables delete others that are in its way?

    So does SQLite where a constraint is ``ON CONFLICT REPLACE``.
    """
    return any(_known(connection, engine, table).replaces for table in tables)


def _known(connection: Connection, engine: EngineInfo, table: Table) -> Rules:
    schema = schema_of(connection, table)
    key, now = (schema, table.name), time.monotonic()
    answer = engine.triggers.get(key)
    if answer is None or now - answer[0] > RECHECK:
        answer = engine.triggers[key] = now, _ask(connection, table, schema)
    return answer[1]


def _ask(connection: Connection, table: Table, schema: str | None) -> Rules:
    query = _QUERIES.get(connection.dialect.name)
    if query is None:
        return Rules(as_sent=False)
    rows = fetched(connection, query(connection, table, schema))
    if not rows or rows[0][0] is None:
        return Rules(as_sent=False)
    triggers, *others = map(int, rows[0])
    return Rules(as_sent=triggers == 0 and not any(others), replaces=any(others))


def _postgresql(connection: Connection, table: Table, schema: str | None) -> str:
    name = named(connection, table, schema)
    return (
        f"SELECT CASE WHEN to_regclass({name}) IS NULL THEN NULL ELSE "
        "(SELECT count(*) FROM pg_catalog.pg_trigger"
        f" WHERE tgrelid = to_regclass({name}) AND NOT tgisinternal) + "
        "(SELECT count(*) FROM pg_catalog.pg_rewrite"
        f" WHERE ev_class = to_regclass({name}) AND rulename <> '_RETURN') END"
    )


def _sqlite(connection: Connection, table: Table, schema: str | None) -> str:
    quote = connection.dialect.identifier_preparer.quote
    place = f"{quote(schema)}." if schema else ""
    own = f"type = 'trigger' AND lower(tbl_name) = lower({literal(table.name)})"
    # a constraint ON CONFLICT REPLACE deletes rows that are in the way of others
    replaces = (
        f"lower(name) = lower({literal(table.name)}) AND lower(sql) LIKE '%conflict%replace%'"
    )
    return (
        f"SELECT (SELECT count(*) FROM {place}sqlite_master WHERE {own})"
        f" + (SELECT count(*) FROM sqlite_temp_master WHERE {own}),"
        f" (SELECT count(*) FROM {place}sqlite_master WHERE {replaces})"
    )


def _mysql(connection: Connection, table: Table, schema: str | None) -> str:
    where = literal(schema) if schema else "DATABASE()"
    return (
        "SELECT count(*) FROM information_schema.TRIGGERS"
        f" WHERE EVENT_OBJECT_SCHEMA = {where} AND EVENT_OBJECT_TABLE = {literal(table.name)}"
    )


_Query = Callable[[Connection, Table, str | None], str]

_QUERIES: Final[Mapping[str, _Query]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "mysql": _mysql,
    "mariadb": _mysql,
}
