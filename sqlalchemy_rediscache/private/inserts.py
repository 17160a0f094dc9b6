"""What a compiled INSERT says of the rows that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Insert, Table
from sqlalchemy.sql.dml import InsertDMLState
from sqlalchemy.sql.elements import BindParameter

from .rendering import hints, renders_itself
from .sent import has_text, only_ignores, plain_statement, tables_written, updates_on_conflict


class Inserted(NamedTuple):
    """An INSERT of rows, which touches none that is there."""

    table: Table
    rows: tuple[Mapping[str, str], ...] | None
    """For each row of VALUES, by its columns' keys, the parameters that are stored as they are.

    None where the rows are those of a SELECT."""
    named: frozenset[str]
    """The keys of the columns that it says anything of; others have their defaults."""


def inserted(compiled: Any) -> Inserted | None:
    """The rows that a compiled INSERT makes; None of another statement.

    Some of them may be there: with ``ON CONFLICT DO NOTHING``, and SQLite's ``OR IGNORE``, these
    stay as they are. None also of a statement that may do more: other upserts and prefixes, text in
    a SELECT that it takes the rows of, expressions that write beside it. (MySQL's ``IGNORE`` stores
    other values than those that it is sent, where it would refuse these without it.)
    """
    statement = plain_statement(compiled.statement)
    if not isinstance(statement, Insert) or compiled.ctes or renders_itself(statement):
        return None
    if not isinstance(compiled.compile_state, InsertDMLState):
        return None  # within select().from_statement()
    if not _leaves_what_is_there(statement) or hints(statement):
        return None
    tables = list(tables_written(statement.table))
    if len(tables) != 1 or tables[0] is None:
        return None
    if statement.select is not None:
        return None if has_text(compiled) else Inserted(tables[0], None, frozenset())
    given = [_by_key(one) for one in _given(compiled.compile_state)]
    named = frozenset().union(compiled.column_keys or (), *given)
    return Inserted(tables[0], tuple(_rows(compiled, tables[0], given)), named)


def _leaves_what_is_there(statement: Any) -> bool:
    """Does it say of rows that are in the way, if anything, that they stay as they are?"""
    if updates_on_conflict(statement) or not only_ignores(statement):
        return False
    conflict = statement._post_values_clause
    return conflict is None or not renders_itself(conflict)


def inserted_values(context: Any, found: Inserted) -> Iterator[Mapping[str, Any]]:
    """The values of each row that is about to be sent, by the columns' keys.

    A column is missing whose value the database makes. Of rows of a SELECT nothing is known.
    """
    for given in context.compiled_parameters:
        for row in found.rows or ():
            yield {key: given[name] for key, name in row.items() if name in given}


def _given(state: Any) -> Sequence[Mapping[Any, Any]]:
    """What the statement itself gives, for each row of VALUES."""
    rows: Sequence[Mapping[Any, Any]] = (state._dict_parameters or {},)
    return state._multi_parameters if state._has_multi_parameters else rows


def _by_key(values: Mapping[Any, Any]) -> Mapping[str, Any]:
    return {one if isinstance(one, str) else one.key: value for one, value in values.items()}


def _rows(
    compiled: Any, table: Table, given: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, str]]:
    if not compiled.compile_state._has_multi_parameters:
        yield dict(_known(compiled, table, given[0], ("{}",)))
        return
    for number in range(len(given)):
        # The first row's defaults are named as those of a single one.
        names = ("{}_m0", "{}") if number == 0 else (f"{{}}_m{number}",)
        yield dict(_known(compiled, table, {}, names))


def _known(
    compiled: Any, table: Table, given: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """The columns whose values are plain parameters of the columns' own types."""
    for column in table.c:
        value = given.get(column.key)
        if isinstance(value, BindParameter):
            binds = [compiled.binds.get(value.key)]
        else:  # a parameter within an expression may have any name, but is not made for a column
            binds = [compiled.binds.get(one.format(column.key)) for one in names]
            binds = [bind for bind in binds if _made_for_column(bind)]
        for bind in binds:
            if bind is not None and bind.type is column.type:
                yield column.key, compiled.bind_names[bind]
                break


def _made_for_column(bind: Any) -> bool:
    """Did the compiler make a parameter for a column's value, and not the application?"""
    return getattr(bind, "_is_crud", False) is True
