"""How a database's catalog is asked, and for how long its answers are good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.engine import Connection

RECHECK: Final = 60.0
"""Seconds for which an answer is good; DDL sent through the engine ends it at once."""


def fetched(connection: Connection, query: str) -> Sequence[Any]:
    """The rows that the catalog gives.

    Straight to the driver: it is not the application's statement, and neither its listeners nor
    its logs should see it as one.
    """
    raw = connection.connection.cursor()
    try:
        raw.execute(query)
        return raw.fetchall()
    finally:
        raw.close()


def schema_of(connection: Connection, table: Table) -> str | None:
    """The schema that a connection has a table in."""
    schema_map = connection.get_execution_options().get("schema_translate_map") or {}
    found: str | None = schema_map.get(table.schema, table.schema)
    return found


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def named(connection: Connection, table: Table, schema: str | None) -> str:
    """The name of a table, as a constant for PostgreSQL's catalog."""
    quote = connection.dialect.identifier_preparer.quote
    return literal(".".join(quote(part) for part in (schema, table.name) if part))
