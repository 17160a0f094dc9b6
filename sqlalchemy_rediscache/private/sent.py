"""What is sent to the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Delete, Insert, Join, Table, TextualSelect, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import SelectBase
from sqlalchemy.sql.lambdas import LambdaElement

from .rendering import hints, renders_itself

_KINDS = ("isinsert", "isupdate", "isdelete")
"""What a compiled statement says of itself; a compiled DDL statement lacks them."""
_HARMLESS = "on_conflict_do_nothing"


class Dml(NamedTuple):
    """What a compiled statement writes."""

    tables: frozenset[Table]
    updates: bool
    """Rows that are there may be updated."""
    deletes: bool
    """Rows may be deleted."""


def default_isolation(dialect: Dialect) -> str | None:
    """The isolation level of new connections, None while the dialect has not connected."""
    return getattr(dialect, "_on_connect_isolation_level", None) or getattr(
        dialect, "default_isolation_level", None
    )


def is_ddl(compiled: Any) -> bool:
    """Is a compiled statement a `DDLElement`?"""
    return not hasattr(compiled, "isinsert")


def is_dml(compiled: Any) -> bool:
    """Is a compiled statement an INSERT, UPDATE or DELETE?"""
    return any(getattr(compiled, kind, False) for kind in _KINDS)


def is_query(compiled: Any) -> bool:
    """Is a compiled statement made of SELECTs, also within its common table expressions?

    Pieces of text in it are not looked at, see `has_text`.
    """
    if is_ddl(compiled) or is_dml(compiled):
        return False
    elements = [_plain(compiled.statement), *(cte.element for cte in compiled.ctes or ())]
    return all(
        isinstance(one, SelectBase)
        and not isinstance(one, TextualSelect)
        and not renders_itself(one)
        for one in elements
    )


def has_text(compiled: Any) -> bool:
    """Are there pieces in a compiled query that are not SQLAlchemy's own: text, hints, prefixes?"""
    for element in visitors.iterate(_plain(compiled.statement)):
        if element.__visit_name__ in ("textclause", "textual_select", "textual_label_reference"):
            return True
        if getattr(element, "is_literal", False) or renders_itself(element):
            return True
        if any(getattr(element, name, ()) for name in ("_prefixes", "_suffixes")):
            return True
        if hints(element):
            return True
    return False


def sent_by_flush(context: Any, flushing: bool) -> bool:
    """Is a statement sent by a flush for its objects, and not by an event handler during it?

    A flush compiles its statements into a cache of the mapper's own.
    """
    if not flushing:
        return False
    cache = context.execution_options.get("compiled_cache")
    return cache is not None and cache is not context.engine._compiled_cache


def dml(compiled: Any) -> Dml | None:
    """What a compiled INSERT, UPDATE or DELETE writes, or a query through expressions that write.

    Returns:
        None where SQLAlchemy's objects don't tell, or for another statement.
    """
    parts: list[tuple[Any, Any]] = []
    if is_ddl(compiled):
        return None
    if is_dml(compiled):
        parts.append((_plain(compiled.statement), compiled.compile_state))
    elif not isinstance(_plain(compiled.statement), SelectBase):
        return None
    parts += [
        (cte.element, None)
        for cte in compiled.ctes or ()
        if not isinstance(cte.element, SelectBase) or isinstance(cte.element, TextualSelect)
    ]
    tables: set[Table] = set()
    updates = deletes = False
    for statement, state in parts:
        written = _written(statement, state)
        if written is None:
            return None
        tables.update(written.tables)
        updates, deletes = updates or written.updates, deletes or written.deletes
    return Dml(frozenset(tables), updates, deletes) if tables else None


def _written(statement: Any, state: Any) -> Dml | None:
    if not isinstance(statement, Insert | Update | Delete) or renders_itself(statement):
        return None
    if getattr(statement, "_prefixes", ()):
        return None  # INSERT OR REPLACE
    tables = list(_tables(statement.table))
    updates, deletes = isinstance(statement, Update), isinstance(statement, Delete)
    if isinstance(statement, Insert):
        conflict = statement._post_values_clause
        updates = conflict is not None and conflict.__visit_name__ != _HARMLESS
    if updates and state is not None:
        # MySQL updates several tables at once.
        for one in getattr(state, "_extra_froms", ()):
            if any(column in (state._dict_parameters or ()) for column in one.c):
                tables += _tables(one)
    if not tables or None in tables:
        return None
    return Dml(frozenset(table for table in tables if table is not None), updates, deletes)


def _tables(written: Any) -> Iterator[Table | None]:
    """The tables behind what a statement names as written; None for what is no table."""
    if isinstance(written, Join):
        yield from _tables(written.left)
        yield from _tables(written.right)
        return
    plain = written._deannotate()
    if not isinstance(plain, Table) and getattr(plain, "__visit_name__", "") == "alias":
        plain = plain.element
    yield plain if isinstance(plain, Table) else None


def _plain(statement: Any) -> Any:
    """What a lambda, or a SELECT of the ORM's from another statement, stands for."""
    if isinstance(statement, LambdaElement):
        statement = statement._resolved
    return statement.element if isinstance(statement, FromStatement) else statement
