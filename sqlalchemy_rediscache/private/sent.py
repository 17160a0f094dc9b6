"""What is sent to the database."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Delete, Insert, Join, Table, TextualSelect, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.dml import DMLState
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    TextClause,
)
from sqlalchemy.sql.expression import SelectBase
from sqlalchemy.sql.lambdas import LambdaElement

from .rendering import hints, renders_itself

_KINDS = ("isinsert", "isupdate", "isdelete")
"""What a compiled statement says of itself; a compiled DDL statement lacks them."""
_HARMLESS = "on_conflict_do_nothing"


class ByKey(NamedTuple):
    """An UPDATE or DELETE of one table that names the primary keys of its rows."""

    table: Table
    keys: tuple[str, ...]
    """For each column of the primary key the parameter that has its value, or its values."""
    changed: frozenset[str]
    """The keys of the columns that an UPDATE sets, as far as it says so."""


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
    elements = [plain_statement(compiled.statement), *(cte.element for cte in compiled.ctes or ())]
    return all(
        isinstance(one, SelectBase)
        and not isinstance(one, TextualSelect)
        and not renders_itself(one)
        for one in elements
    )


def has_text(compiled: Any) -> bool:
    """Are there pieces in a compiled query that are not SQLAlchemy's own: text, hints, prefixes?"""
    for element in visitors.iterate(plain_statement(compiled.statement)):
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
        parts.append((plain_statement(compiled.statement), compiled.compile_state))
    elif not isinstance(plain_statement(compiled.statement), SelectBase):
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
    if getattr(statement, "_prefixes", ()) and not only_ignores(statement):
        return None  # INSERT OR REPLACE
    tables = list(tables_written(statement.table))
    updates, deletes = isinstance(statement, Update), isinstance(statement, Delete)
    if isinstance(statement, Insert):
        updates = updates_on_conflict(statement)
    if updates and state is not None:
        # MySQL updates several tables at once.
        for one in getattr(state, "_extra_froms", ()):
            if any(column in (state._dict_parameters or ()) for column in one.c):
                tables += tables_written(one)
    if not tables or None in tables:
        return None
    return Dml(frozenset(table for table in tables if table is not None), updates, deletes)


def updates_on_conflict(statement: Insert) -> bool:
    """Does an INSERT update rows that are in its way?"""
    conflict: Any = statement._post_values_clause
    return conflict is not None and conflict.__visit_name__ != _HARMLESS


def only_ignores(statement: Any) -> bool:
    """Is it an INSERT with no prefix but SQLite's ``OR IGNORE``, which changes no row there is?"""
    return isinstance(statement, Insert) and all(
        isinstance(one, TextClause) and one.text.strip().upper() == "OR IGNORE"
        for one, _ in statement._prefixes
    )


def by_key(compiled: Any) -> ByKey | None:
    """The rows that a compiled UPDATE or DELETE names by their primary keys; None of another.

    Other conditions make them fewer at most. What an UPDATE sets may be more than it says: columns
    with an ``onupdate`` of their own.
    """
    statement = plain_statement(compiled.statement)
    if not isinstance(statement, Update | Delete) or compiled.ctes or renders_itself(statement):
        return None
    if not isinstance(compiled.compile_state, DMLState):
        return None  # within select().from_statement()
    tables = list(tables_written(statement.table))
    if len(tables) != 1 or tables[0] is None or not tables[0].primary_key.columns:
        return None
    named: dict[Any, str] = {}
    for where in _conjuncts(statement._where_criteria):
        found = _equal(where, tables[0])
        name = None if found is None else _name(compiled, found[1])
        if found is not None and name is not None:
            named.setdefault(found[0], name)
    keys = tuple(named[column] for column in tables[0].primary_key.columns if column in named)
    if len(keys) != len(tables[0].primary_key.columns):
        return None
    return ByKey(tables[0], keys, _changed(compiled, statement, tables[0]))


def named_keys(context: Any, found: ByKey) -> list[tuple[Any, ...]] | None:
    """The primary keys that a statement names which is about to be sent; None if not all are there.

    A parameter that is a list has been replaced by one for each of its values.
    """
    lists: Mapping[str, Sequence[str]] = context._expanded_parameters or {}
    keys: list[tuple[Any, ...]] = []
    for given in context.compiled_parameters:
        names = [lists.get(name, (name,)) for name in found.keys]
        if not all(name in given for listed in names for name in listed):
            return None
        keys += itertools.product(*([given[name] for name in listed] for listed in names))
    return keys


def _conjuncts(wheres: Iterable[Any]) -> Iterator[Any]:
    for where in wheres:
        if isinstance(where, BooleanClauseList) and where.operator is operators.and_:
            yield from _conjuncts(where.clauses)
        else:
            yield where


def _equal(where: Any, table: Table) -> tuple[Column[Any], BindParameter[Any]] | None:
    """A column of the table and the parameter that it has to be equal to, or one of."""
    if not isinstance(where, BinaryExpression):
        return None
    column, parameter = where.left, where.right
    if where.operator is operators.eq and isinstance(column, BindParameter):
        column, parameter = parameter, column
    elif where.operator not in (operators.eq, operators.in_op):
        return None
    if not isinstance(column, Column) or not isinstance(parameter, BindParameter):
        return None
    own = table.c.get(column.key)
    if own is None or column._deannotate() is not own:
        return None
    return (own, parameter) if type(parameter.type) is type(own.type) else None


def _name(compiled: Any, parameter: BindParameter[Any]) -> str | None:
    """What a parameter is called in the compiled statement."""
    return compiled.bind_names.get(compiled.binds.get(parameter.key))  # type: ignore[no-any-return]


def _changed(compiled: Any, statement: Any, table: Table) -> frozenset[str]:
    if isinstance(statement, Delete):
        return frozenset()
    given = compiled.compile_state._dict_parameters or {}
    names = {one if isinstance(one, str) else one.key for one in given}
    names.update(compiled.column_keys or ())
    return frozenset(names or (column.key for column in table.c))


def tables_written(written: Any) -> Iterator[Table | None]:
    """The tables behind what a statement names as written; None for what is no table."""
    if isinstance(written, Join):
        yield from tables_written(written.left)
        yield from tables_written(written.right)
        return
    plain = written._deannotate()
    if not isinstance(plain, Table) and getattr(plain, "__visit_name__", "") == "alias":
        plain = plain.element
    yield plain if isinstance(plain, Table) else None


def plain_statement(statement: Any) -> Any:
    """What a lambda, or a SELECT of the ORM's from another statement, stands for."""
    if isinstance(statement, LambdaElement):
        statement = statement._resolved
    return statement.element if isinstance(statement, FromStatement) else statement
