"""Which rows of which tables the result of a SELECT can depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Alias, Column, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement

from .. import private
from ..stats import Reason
from .admitted import objection
from .beside_keys import beside_keys
from .refusal import Refusal
from .sources import Source, base_table, sources
from .ways import Taggable, Tagged, base_column, merged, ways


@dataclass(frozen=True)
class Dependency:
    """A table that a result depends on, and how.

    A row that none of the `ways` describes, neither before a write nor after it, can't change the
    result. Where `ways` is None any row may; where it is empty, none does. `beside_key` is how
    often columns are rendered that are not of the primary key, None where that can't be told.
    `refers` is the column of another table that names the one row which is joined to each of its
    rows, and never takes a row away, where the statement says no more of this table (an eager
    LEFT JOIN).
    """

    table: Table
    ways: tuple[Tagged, ...] | None
    beside_key: int | None = None
    refers: Column[Any] | None = None


def dependencies(
    statement: Any, taggable: Taggable, dialect: Dialect | None = None
) -> tuple[Dependency, ...] | Refusal:
    """The rows that a SELECT's result can depend on, table by table in order of appearance.

    `statement` is a SELECT of any kind, of the ORM or the Core. Take the one that the application
    executes: of what the ORM made of it (``compile_state.statement``), the loader criteria of
    subqueries can't be told any more. `dialect` is the one that it will be sent through: some
    write a SELECT in another way, or know elements that others don't.

    `taggable` says of a column of a table whether the caller can tell values of it apart as the
    database does, and notes each write by them. It must not be true of texts where the database
    compares them by a collation that takes different texts for equal (MySQL's default, and its
    padding with spaces), of values with several forms of which the caller does not make one
    (decimals, times with a zone), nor of columns whose value a write does not know (computed, set
    by a trigger).

    A parameter's value is compared by the database, which may convert it: where it is not exactly
    of the column's Python type, a caller must take the dependency for one on any row. Parameters
    are found by their keys among those of the statement; a cached form of it has other values.

    A `Table` that is a view in the database is taken for a table: its name is what is written to.
    """
    if not isinstance(statement, ClauseElement):
        reason = f"{type(statement).__name__} is no SELECT of SQLAlchemy's"
        return Refusal(reason, Reason.TEXT)
    try:
        rendered = private.rendered(statement, dialect or DefaultDialect())
    except (SQLAlchemyError, NotImplementedError) as error:
        return Refusal(f"SQLAlchemy can't compile it: {error}", Reason.UNKNOWN_CONSTRUCT)
    refused = objection(rendered)
    if refused is not None:
        return refused
    found: dict[Table, list[Tagged] | None] = {}
    parts: list[Source] = []
    for select, froms in rendered.selects:
        parts += sources(froms, private.criteria(select))
    for source in parts:
        _add(found, source, taggable)
    refers = _referring(statement, parts) if len(rendered.selects) == 1 else {}
    # no table that is rendered may be missing, wherever it came from
    for element in rendered.elements:
        if isinstance(element, Table):
            found.setdefault(private.plain(element), None)
    others = beside_keys(rendered)
    return tuple(
        Dependency(
            table,
            None if known is None else merged(known),
            None if others is None else others.get(table, 0),
            refers.get(table),
        )
        for table, known in found.items()
    )


def _referring(statement: Any, parts: Sequence[Source]) -> dict[Table, Column[Any]]:
    """For each table that is joined eagerly, once, by its key: the column that names its rows."""
    if not private.joins_nothing(statement):
        return {}
    tables = Counter(part.table for part in parts)
    mentioned = {base_table(element) for element in visitors.iterate(statement)} | {
        base_table(element.table)
        for element in visitors.iterate(statement)
        if isinstance(element, Column)
    }
    found = {}
    for part in parts:
        table, column = part.table, part.refers
        if table is None or column is None or table in mentioned or tables[table] > 1:
            continue
        base = base_column(column)
        if base is not None and not isinstance(column.table, Alias) and tables[base.table] == 1:
            found[table] = base
    return found


def _add(found: dict[Table, list[Tagged] | None], source: Source, taggable: Taggable) -> None:
    if source.table is None:
        return
    known = found.setdefault(source.table, [])
    more = ways(source, taggable)
    found[source.table] = None if known is None or more is None else known + more
