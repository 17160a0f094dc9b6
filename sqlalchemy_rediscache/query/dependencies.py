"""Which rows of which tables the result of a SELECT can depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import ClauseElement

from .. import private
from ..stats import Reason
from .admitted import objection
from .beside_keys import beside_keys
from .refusal import Refusal
from .sources import Source, sources
from .ways import Taggable, Tagged, merged, ways


@dataclass(frozen=True)
class Dependency:
    """A table that a result depends on, and how.

    A row that none of the `ways` describes, neither before a write nor after it, can't change the
    result. Where `ways` is None any row may; where it is empty, none does. `beside_key` is how
    often columns are rendered that are not of the primary key, None where that can't be told.
    """

    table: Table
    ways: tuple[Tagged, ...] | None
    beside_key: int | None = None


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
    for select, froms in rendered.selects:
        for source in sources(froms, private.criteria(select)):
            _add(found, source, taggable)
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
        )
        for table, known in found.items()
    )


def _add(found: dict[Table, list[Tagged] | None], source: Source, taggable: Taggable) -> None:
    if source.table is None:
        return
    known = found.setdefault(source.table, [])
    more = ways(source, taggable)
    found[source.table] = None if known is None or more is None else known + more
