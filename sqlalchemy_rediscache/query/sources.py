"""What a SELECT selects from, and which conditions a row must fulfil, as which part of it.

A row "matters" as some part of a FROM if its coming, going or changing may change what the SELECT
computes from. Which conditions it must fulfil for that:

- of an inner join, and of a FROM list: the ON of the join and what is true of all rows of the
  other side. A combination of rows that does not fulfil them is no row of the join.
- on the right side of a LEFT JOIN: the same, since a row that matches nothing neither appears nor
  keeps a row of the left from being filled up with NULLs.
- on the left side of a LEFT JOIN, and on both sides of a FULL JOIN: nothing. It always appears.
- WHERE, for all. A row on a side that may be filled up with NULLs matters in two ways: by the
  combinations that it is in, and by those filled up in its place if it goes. An equality or IN on
  one of its columns is true of the first alone; IS NULL may be true of the second, and so says
  nothing of the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Alias, Column, Join, Table
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.operators import eq
from sqlalchemy.sql.selectable import FromGrouping

from .. import private
from .branches import Branches, branches


class Need(NamedTuple):
    """A condition that a row must fulfil to matter."""

    alternatives: Branches
    of_nulls: bool
    """May IS NULL be true of NULLs that a join put in the row's place?"""


@dataclass
class Source:
    """One part of a FROM: a table, an alias of a table (both with a `table`), a subquery..."""

    element: Any
    table: Table | None
    needs: list[Need] = field(default_factory=list)
    nullable: bool = False
    """May a join fill up its columns with NULLs?"""
    refers: Column[Any] | None = None
    """The column that a LEFT JOIN to this one compares with its primary key, and nothing else."""

    def need(self, conditions: Iterable[Branches]) -> None:
        """Note conditions of a join or of a WHERE that this part takes part in."""
        self.needs += [Need(condition, self.nullable) for condition in conditions]


class _Part(NamedTuple):
    sources: list[Source]
    facts: list[Branches]
    """What is true of every row of this part of the FROM."""


def sources(froms: Sequence[Any], criteria: Sequence[Any]) -> list[Source]:
    """The parts of a FROM, each with the conditions that a row must fulfil to matter in it."""
    whole = _Part([], [])
    for element in froms:
        whole = _inner(whole, _part(element), [])
    where = [branches(condition) for condition in criteria]
    for source in whole.sources:
        source.need(where)
    return whole.sources


def base_table(element: Any) -> Table | None:
    """The table that a part of a FROM is, or is an alias of."""
    while isinstance(element, Alias):
        element = element.element
    return private.plain(element) if isinstance(element, Table) else None


def _part(element: Any) -> _Part:
    if isinstance(element, FromGrouping):
        return _part(element.element)
    if not isinstance(element, Join):
        return _Part([Source(element, base_table(element))], [])
    left, right = _part(element.left), _part(element.right)
    on = [] if element.onclause is None else [branches(element.onclause)]
    if element.full:
        return _full(left, right)
    if element.isouter and len(right.sources) == 1:
        right.sources[0].refers = _referring(element.onclause, right.sources[0])
    return _left(left, right, on) if element.isouter else _inner(left, right, on)


def _referring(on: Any, right: Source) -> Column[Any] | None:
    """What an ON compares with the primary key of what it joins, if it does nothing else."""
    if right.table is None or not isinstance(on, BinaryExpression) or on.operator is not eq:
        return None
    columns = [one for one in (on.left, on.right) if isinstance(one, Column)]
    own = [one for one in columns if one.table == right.element]  # the one, or annotated
    others = [one for one in columns if one.table != right.element]
    key = [column.key for column in right.table.primary_key.columns]
    return others[0] if [one.key for one in own] == key and len(others) == 1 else None


def _inner(left: _Part, right: _Part, on: list[Branches]) -> _Part:
    for source in left.sources:
        source.need([*on, *right.facts])
    for source in right.sources:
        source.need([*on, *left.facts])
    return _Part(left.sources + right.sources, left.facts + right.facts + on)


def _left(left: _Part, right: _Part, on: list[Branches]) -> _Part:
    for source in right.sources:
        source.need([*on, *left.facts])
        source.nullable = True
    return _Part(left.sources + right.sources, left.facts)


def _full(left: _Part, right: _Part) -> _Part:
    both = left.sources + right.sources
    for source in both:
        source.nullable = True
    return _Part(both, [])
