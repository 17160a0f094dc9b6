"""Which columns are NULL in a new row whose INSERT leaves them out? Asked of the catalog, too.

The model may not tell of a default that the table has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Column, Table
from sqlalchemy.engine import Connection

from .catalog import RECHECK, fetched, literal, named, schema_of
from .engines import EngineInfo


def null_when_unsent(connection: Connection, engine: EngineInfo, table: Table) -> frozenset[str]:
    """The keys of those columns, as far as both the model and the catalog say so."""
    schema = schema_of(connection, table)
    key = (schema, table.name)
    answer = engine.without_default.get(key)
    if answer is None or time.monotonic() - answer[0] > RECHECK:
        query = _QUERIES.get(connection.dialect.name)
        rows = () if query is None else fetched(connection, query(connection, table, schema))
        answer = (time.monotonic(), frozenset(row[0] for row in rows))
        engine.without_default[key] = answer
    return frozenset(
        column.key for column in table.c if column.name in answer[1] and _without_default(column)
    )


def _without_default(column: Column[object]) -> bool:
    return bool(
        column.nullable
        and column.default is None
        and column.server_default is None
        and column.computed is None
    )


def _postgresql(connection: Connection, table: Table, schema: str | None) -> str:
    name = named(connection, table, schema)
    return (
        "SELECT attname FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type"
        f" ON pg_type.oid = atttypid WHERE attrelid = to_regclass({name})"
        " AND attnum > 0 AND NOT attisdropped AND NOT attnotnull AND NOT atthasdef"
        " AND attidentity = '' AND typtype <> 'd'"
    )


def _sqlite(connection: Connection, table: Table, schema: str | None) -> str:
    of = literal(table.name) + (f", {literal(schema)}" if schema else "")
    return f'SELECT name FROM pragma_table_info({of}) WHERE dflt_value IS NULL AND "notnull" = 0'


def _mysql(connection: Connection, table: Table, schema: str | None) -> str:
    where = literal(schema) if schema else "DATABASE()"
    # MariaDB writes the word where there is none, and a text in quotes.
    none = " OR COLUMN_DEFAULT = 'NULL'" if getattr(connection.dialect, "is_mariadb", False) else ""
    return (
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS"
        f" WHERE TABLE_SCHEMA = {where} AND TABLE_NAME = {literal(table.name)}"
        f" AND IS_NULLABLE = 'YES' AND EXTRA = '' AND (COLUMN_DEFAULT IS NULL{none})"
    )


_Query = Callable[[Connection, Table, str | None], str]

_QUERIES: Final[Mapping[str, _Query]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "mysql": _mysql,
    "mariadb": _mysql,
}
