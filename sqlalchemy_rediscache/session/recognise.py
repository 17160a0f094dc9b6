"""Recognising a SELECT that is nothing but a lookup of rows by primary key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.orm import Mapper, ORMExecuteState
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnElement,
)

from .. import private
from ..options import CacheOption
from ..query.unique import UniqueColumns

MOST_KEYS = 1_000
"""A list of more keys than this is the database's business: it would keep Redis busy for long."""


def key_lookup(
    statement: Any, parameters: Mapping[str, Any] | None, mapper: Mapper[Any]
) -> list[tuple[Any, ...]] | None:
    """The primary keys that a SELECT of `mapper` asks for, None if it is anything else.

    Recognised: the statements of ``session.get()``, of lazy and ``selectinload`` many-to-one loads
    and of refreshes; ``where(Model.id == x)``, ``where(Model.id.in_([...]))``, and one equality
    for each column of a composite key. The LIMIT of `Query.first()` is no matter to one row.
    """
    if not private.plain_select(statement, limited=True):
        return None
    if private.is_limited(statement):
        found = None if parameters else _keys(statement, {}, mapper)
        return found if found is not None and len(found) == 1 else None
    return _keys(statement, parameters if parameters is not None else {}, mapper)


def _keys(
    statement: Any, given: Mapping[str, Any], mapper: Mapper[Any]
) -> list[tuple[Any, ...]] | None:
    wheres = private.criteria(statement)
    clause, names = private.get_clause(mapper)
    if len(wheres) == 1 and wheres[0] is clause:
        try:
            return [tuple(given[names[column].key] for column in mapper.primary_key)]
        except KeyError:
            return None
    return _written_out(_conjuncts(wheres), given, mapper)


def key_parameters(
    statement: Any, parameters: Mapping[str, Any] | None, mapper: Mapper[Any]
) -> tuple[str, ...] | None:
    """What the parameters are called that have the key of the one row that a SELECT asks for.

    In the order of the key's columns; None where the key is not given by parameters alone.
    """
    found: dict[Any, str] = {}
    for where in _conjuncts(private.criteria(statement)):
        compared = _compared(where)
        if compared is None:
            return None
        found[compared[0]] = compared[1].key
    if (
        found.keys() != set(mapper.primary_key)
        or not set(found.values()) <= (parameters or {}).keys()
    ):
        return None
    return tuple(found[column] for column in mapper.primary_key)


def unique_lookup(statement: Any, mapper: Mapper[Any], unique: UniqueColumns) -> bool:
    """Does a SELECT of a class, or of columns of it, ask for one value of a unique column?"""
    if not private.plain_select(statement, limited=True):
        return False
    if not all(private.is_of(one, mapper) for one in private.selected(statement)):
        return False
    for where in _conjuncts(private.criteria(statement)):
        found = _equality(where, {})
        if found is not None and unique.alone(found[0]):
            return True
    return False


class Equality(NamedTuple):
    """A column of a class, and the parameter that it is compared with.

    The parameter has the column's own type, and a value of its own.
    """

    column: Column[Any]
    parameter: BindParameter[Any]


def only_equality(state: ORMExecuteState, mapper: Mapper[Any]) -> Equality | None:
    """What a SELECT of a class asks for by one equality and by nothing else.

    Args:
        state: The statement, which `private.loads_plainly`. It has no options but the cache's.
        mapper: The class.
    """
    statement = state.statement
    if state.parameters or not private.plain_select(statement):
        return None
    wheres, selected = private.criteria(statement), private.selected(statement)
    if len(wheres) != 1 or len(selected) != 1 or private.entity_of(selected[0]) is not mapper:
        return None
    found = _compared(wheres[0])
    if found is None:
        return None
    if any(not isinstance(one, CacheOption) for one in private.options_of(statement)):
        return None
    column, parameter = found
    own = parameter.type is column.type and parameter.callable is None
    return Equality(column, parameter) if own and not private.lacks_value(parameter) else None


def _conjuncts(wheres: Sequence[Any]) -> list[Any]:
    found = []
    for where in wheres:
        if isinstance(where, BooleanClauseList) and where.operator is operators.and_:
            found += _conjuncts(where.clauses)
        else:
            found.append(where)
    return found


def _written_out(
    wheres: Sequence[Any], given: Mapping[str, Any], mapper: Mapper[Any]
) -> list[tuple[Any, ...]] | None:
    keys = mapper.primary_key
    if len(wheres) != len(keys):
        return None
    if len(keys) == 1:
        listed = _listed(wheres[0], given, keys[0])
        if listed is not None:
            return listed
    values: dict[Any, Any] = {}
    for where in wheres:
        found = _equality(where, given)
        if found is None:
            return None
        values[found[0]] = found[1]
    try:
        return [tuple(values[key] for key in keys)]
    except KeyError:
        return None


def _listed(where: Any, given: Mapping[str, Any], key: Any) -> list[tuple[Any, ...]] | None:
    if not isinstance(where, BinaryExpression) or where.operator is not operators.in_op:
        return None
    if _column(where.left) is not key or not isinstance(where.right, BindParameter):
        return None
    values = _value(where.right, given)
    if not isinstance(values, list | tuple | set | frozenset) or len(values) > MOST_KEYS:
        return None
    return [(value,) for value in values]


def _equality(where: Any, given: Mapping[str, Any]) -> tuple[Any, Any] | None:
    found = _compared(where)
    if found is None:
        return None
    value = _value(found[1], given)
    return None if value is _MISSING else (found[0], value)


def _compared(where: Any) -> tuple[Column[Any], BindParameter[Any]] | None:
    if not isinstance(where, BinaryExpression) or where.operator is not operators.eq:
        return None
    left, right = where.left, where.right
    if isinstance(left, BindParameter):
        left, right = right, left
    column = _column(left)
    if column is None or not isinstance(right, BindParameter) or right.expanding:
        return None
    # a value of another type than the column's is converted by the database, or by a cast that
    # the comparison implies: not a plain lookup
    if private.affinity(right.type) is not private.affinity(column.type):
        return None
    return column, right


def _column(element: ColumnElement[Any]) -> Column[Any] | None:
    """The table's column that a mapped attribute in an expression stands for."""
    if not isinstance(element, Column):
        return None
    if private.entity_of_attribute(element):
        return None
    found: Column[Any] | None = element.table.c.get(element.key)
    return found


_MISSING = object()


def _value(parameter: BindParameter[Any], given: Mapping[str, Any]) -> Any:
    """What a parameter stands for; `_MISSING` where that is not told before the statement runs.

    A callable is not called: it may want what the autoflush has yet to bring, and may answer
    otherwise when the statement calls it again.
    """
    value = given.get(parameter.key, _MISSING)
    if value is not _MISSING or parameter.callable is not None:
        return value
    return parameter.value
