"""Conditions in disjunctive normal form: what must hold of columns for a condition to be true.

Only what can name a value is kept: equalities with parameters, IN, IS NULL, and equalities between
columns. Everything else is taken for true, which makes a condition weaker and never wrong: what is
asked of it is which rows can't fulfil it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Column
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseList,
    False_,
    Grouping,
    Null,
)

from .. import private
from .comparison import comparable

MOST_BRANCHES: Final = 32
"""A condition of more alternatives than this is taken for true."""


EQUAL: Final = 0
LISTED: Final = 1
IS_NULL: Final = 2


class Fixed(NamedTuple):
    """A column of some FROM has one of these values, None standing for NULL."""

    column: Column[Any]
    values: tuple[BindParameter[Any] | None, ...]
    rank: int
    """`EQUAL`, `LISTED` or `IS_NULL`: the lower, the fewer rows."""


class Same(NamedTuple):
    """Two columns are equal, and so neither is NULL."""

    left: Column[Any]
    right: Column[Any]


Atom: TypeAlias = Fixed | Same
Branch: TypeAlias = tuple[Atom, ...]
Branches: TypeAlias = tuple[Branch, ...]

TRUE: Final[Branches] = ((),)
FALSE: Final[Branches] = ()


def branches(clause: Any) -> Branches:
    """The alternatives of a condition: where it is true, all atoms of one of them are."""
    if isinstance(clause, Grouping):
        return branches(clause.element)
    if isinstance(clause, BooleanClauseList):
        parts = [branches(part) for part in clause.clauses]
        return both(parts) if clause.operator is operators.and_ else _either(parts)
    if getattr(clause, "__visit_name__", "") == "lambda_element":
        return branches(private.resolved(clause))
    if isinstance(clause, False_):
        return FALSE
    atom = _atom(clause)
    return TRUE if atom is None else ((atom,),)


def both(parts: Iterable[Branches]) -> Branches:
    """All conditions at once; of those that would make too many branches, some are left out."""
    found = TRUE
    for part in sorted(parts, key=len):
        if len(found) * len(part) <= MOST_BRANCHES:
            found = tuple(left + right for left, right in product(found, part))
    return found


def _either(parts: Sequence[Branches]) -> Branches:
    found = tuple(branch for part in parts for branch in part)
    # a branch of which nothing is known may be true of any row
    return TRUE if len(found) > MOST_BRANCHES or () in found else found


def _atom(clause: Any) -> Atom | None:
    if not isinstance(clause, BinaryExpression):
        return None
    if clause.operator is operators.eq:
        return _equality(clause.left, clause.right)
    if not isinstance(clause.left, Column):
        return None
    if clause.operator is operators.in_op:
        return _listed(clause.left, clause.right)
    if clause.operator is operators.is_ and isinstance(clause.right, Null):
        return Fixed(clause.left, (None,), IS_NULL)
    return None


def _equality(left: Any, right: Any) -> Atom | None:
    if isinstance(left, BindParameter):
        left, right = right, left
    if not isinstance(left, Column):
        return None
    if isinstance(right, Column):
        return Same(left, right)
    if isinstance(right, BindParameter) and not right.expanding and comparable(left, right.type):
        return Fixed(left, (right,), EQUAL)
    return None


def _listed(column: Column[Any], listed: Any) -> Atom | None:
    values = [listed]
    if isinstance(listed, Grouping):
        listed = listed.element
    if isinstance(listed, ClauseList):
        values = list(listed.clauses)
    for value in values:
        if not isinstance(value, BindParameter) or not comparable(column, value.type):
            return None
    return Fixed(column, tuple(values), LISTED)
