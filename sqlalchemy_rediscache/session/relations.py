"""Is a table that no cached class is mapped to one by itself? Asked of the catalog once a minute.

What is written to a view, a partition or a table with rules are rows of other tables; a trigger may
write any. Of tables that the models' metadata has, triggers are left to those who made them, see
docs/consistency.md; of tables that it lacks, nobody knows anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.engine import Connection

from ..sql_text import Name
from .catalog import RECHECK, fetched, literal
from .engines import EngineInfo


def writes_itself_alone(
    connection: Connection, engine: EngineInfo, name: Name, *, declared: bool
) -> bool:
    """Are rows that are written to a table rows of no other table? False where that can't be told.

    Args:
        connection: Asked, in the writer's transaction.
        engine: Whose connection it is; it remembers the answers.
        name: The table's schema, None for the connection's default, and its name.
        declared: The models' metadata has the table.
    """
    now = time.monotonic()
    known = engine.relations.get(name)
    if known is None or now - known[0] > RECHECK:
        found = _ask(connection, name)
        if found is None:
            return False  # it is not there yet: the statement itself may make it anything
        known = engine.relations[name] = (now, *found)
    _, plain, has_triggers = known
    return plain and (declared or not has_triggers)


def _ask(connection: Connection, name: Name) -> tuple[bool, bool] | None:
    """Is it a table by itself, and has it triggers? None where it is unknown to the catalog."""
    query = _QUERIES.get(connection.dialect.name)
    if query is None or any("\\" in part for part in name if part):
        return None
    rows = fetched(connection, query(connection, name))
    return (bool(rows[0][0]), bool(rows[0][1])) if rows else None


def _postgresql(connection: Connection, name: Name) -> str:
    quote = connection.dialect.identifier_preparer.quote_identifier
    quoted = ".".join(quote(part) for part in name if part)
    return (
        "SELECT CASE WHEN c.relkind IN ('r', 'p') AND NOT EXISTS"
        " (SELECT 1 FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid) AND NOT EXISTS"
        " (SELECT 1 FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid"
        " OR (inhparent = c.oid AND c.relkind = 'r')) THEN 1 ELSE 0 END,"
        " (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)"
        f" FROM pg_catalog.pg_class c WHERE c.oid = to_regclass({literal(quoted)})"
    )


def _sqlite(connection: Connection, name: Name) -> str:
    schema, table = name
    place = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    named = f"lower(name) = lower({literal(table)})"
    trigger = f"type = 'trigger' AND lower(tbl_name) = lower({literal(table)})"
    return (
        "SELECT CASE WHEN type = 'table' THEN 1 ELSE 0 END,"
        f" (SELECT count(*) FROM {place}sqlite_master WHERE {trigger})"
        f" + (SELECT count(*) FROM sqlite_temp_master WHERE {trigger})"
        f" FROM (SELECT type, name FROM sqlite_temp_master UNION ALL"
        f" SELECT type, name FROM {place}sqlite_master)"
        f" WHERE type IN ('table', 'view') AND {named}"
    )


def _mysql(connection: Connection, name: Name) -> str:
    schema, table = name
    where = literal(schema) if schema else "DATABASE()"
    return (
        "SELECT CASE WHEN TABLE_TYPE = 'BASE TABLE' AND ENGINE IN ('InnoDB', 'Aria', 'MyISAM',"
        " 'MEMORY', 'ARCHIVE', 'CSV', 'RocksDB', 'NDB') THEN 1 ELSE 0 END,"
        " (SELECT count(*) FROM information_schema.TRIGGERS"
        f" WHERE EVENT_OBJECT_SCHEMA = {where} AND EVENT_OBJECT_TABLE = {literal(table)})"
        " FROM information_schema.TABLES"
        f" WHERE TABLE_SCHEMA = {where} AND TABLE_NAME = {literal(table)}"
    )


_Query = Callable[[Connection, Name], str]

_QUERIES: Final[Mapping[str, _Query]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "mysql": _mysql,
    "mariadb": _mysql,
}
"""Statements that look a relation up by its name."""
