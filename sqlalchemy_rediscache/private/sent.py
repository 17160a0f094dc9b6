"""What is sent to the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.schema import ExecutableDDLElement

_READS = "_rediscache_only_reads"


def default_isolation(dialect: Dialect) -> str | None:
    """The isolation level of new connections, None while the dialect has not connected."""
    return getattr(dialect, "_on_connect_isolation_level", None) or getattr(
        dialect, "default_isolation_level", None
    )


def is_text(compiled: Any) -> bool:
    """Is a compiled statement a piece of text?"""
    statement = getattr(compiled, "statement", None)
    return getattr(statement, "__visit_name__", "") == "textclause"


def _has_writing_cte(compiled: Any) -> bool:
    """Does a SELECT write through a common table expression?"""
    ctes = getattr(compiled, "ctes", None) or ()
    return any(getattr(cte.element, "is_dml", False) for cte in ctes)


def only_reads(compiled: Any) -> bool:
    """Is a compiled statement one that writes nothing? It remembers: asked for every statement."""
    known: bool | None = compiled.__dict__.get(_READS)
    if known is None:
        kinds = ("isinsert", "isupdate", "isdelete")  # which a compiled DDL statement lacks
        writes = any(getattr(compiled, kind, True) for kind in kinds)
        known = not (writes or is_text(compiled) or _has_writing_cte(compiled))
        compiled.__dict__[_READS] = known
    return known


def sent_by_flush(context: Any, flushing: bool) -> bool:
    """Is a statement sent by a flush for its objects, and not by an event handler during it?

    A flush compiles its statements into a cache of the mapper's own.
    """
    if not flushing:
        return False
    cache = context.execution_options.get("compiled_cache")
    return cache is not None and cache is not context.engine._compiled_cache


def written_tables(compiled: Any) -> set[Any] | None:
    """The tables that a compiled statement writes, None where they can't be told."""
    statement = compiled.statement
    found: set[Any] = set()
    for cte in getattr(compiled, "ctes", None) or ():
        if getattr(cte.element, "is_dml", False):
            found.add(cte.element.table)
    if getattr(statement, "is_dml", False):
        # select(Model).from_statement(insert(...).returning(...)) has it one level down
        found.add(getattr(statement, "element", statement).table)
    elif isinstance(statement, ExecutableDDLElement):
        element = getattr(statement, "element", None)
        if element is None or getattr(element, "__visit_name__", "") != "table":
            return None
        found.add(element)
    return found or None
