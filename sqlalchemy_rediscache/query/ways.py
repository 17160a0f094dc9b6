"""The ways in which a row can matter to a SELECT, told by the value of one column each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Column
from sqlalchemy.sql.elements import BindParameter

from .branches import IS_NULL, Atom, Branch, Fixed, Same, both
from .comparison import joined, tag_type
from .sources import Source, base_table
from .unique import unique_columns

Value: TypeAlias = BindParameter[Any] | None
Taggable: TypeAlias = Callable[[Column[Any]], bool]
Place: TypeAlias = tuple[Any, str]
"""A column of one part of a FROM: the part and the column's key."""


class Tagged(NamedTuple):
    """One way for a row to matter: its `column`, of the base table, has one of these values.

    A parameter's value comes with the call; an expanding parameter (of IN) stands for each value
    of its list. None is IS NULL. A parameter that turns out to be None is an equality with NULL,
    which is true of no row, and so is a None in the list of an IN: it is no tag.
    """

    column: Column[Any]
    values: tuple[Value, ...]


def ways(source: Source, taggable: Taggable) -> list[Tagged] | None:
    """How rows of the source's table can matter in it, None if any row can."""
    found = []
    for branch in both(_usable(source)):
        way = _way(branch, source, taggable)
        if way is None:
            return None
        found.append(way)
    return found


def merged(found: Iterable[Tagged]) -> tuple[Tagged, ...]:
    """One way for each column, each value once."""
    values: dict[Column[Any], dict[int, Value]] = {}
    for way in found:
        values.setdefault(way.column, {}).update((id(value), value) for value in way.values)
    return tuple(Tagged(column, tuple(known.values())) for column, known in values.items())


def base_column(column: Column[Any]) -> Column[Any] | None:
    """The column of the table that a column of the table or of an alias of it stands for."""
    table = base_table(column.table)
    if table is None:
        return None
    found: Column[Any] | None = table.c.get(column.key)
    return found if found is not None and found.name == column.name else None


def _usable(source: Source) -> Iterator[tuple[Branch, ...]]:
    """The needs of a source, without each IS NULL that may not be true of the row itself."""
    for alternatives, of_nulls in source.needs:
        if of_nulls:
            yield tuple(tuple(a for a in branch if not _is_null(a)) for branch in alternatives)
        else:
            yield alternatives


def _is_null(atom: Atom) -> bool:
    return isinstance(atom, Fixed) and atom.rank == IS_NULL


def _way(branch: Branch, source: Source, taggable: Taggable) -> Tagged | None:
    """The most precise way to tell which rows fulfil a branch, None if there is none."""
    found: tuple[tuple[int, bool], Tagged] | None = None
    equal = _Equal(branch, taggable)
    for place, column in equal.columns.items():
        if place[0] != source.element or not tag_type(column.type) or not taggable(column):
            continue
        for fixed in equal.fixed(place):
            rank = (fixed.rank, not _is_unique(column))
            if found is None or rank < found[0]:
                found = rank, Tagged(column, fixed.values)
    return None if found is None else found[1]


class _Equal:
    """The columns of a branch that have the same value, and what that is."""

    def __init__(self, branch: Branch, taggable: Taggable) -> None:
        self.columns: dict[Place, Column[Any]] = {}
        self._parents: dict[Place, Place] = {}
        self._taggable = taggable
        for atom in branch:
            for column in (atom.column,) if isinstance(atom, Fixed) else atom:
                self._add(column)
        for atom in branch:
            if isinstance(atom, Same):
                self._join(_place(atom.left), _place(atom.right))
        self._fixed = [
            atom
            for atom in branch
            if isinstance(atom, Fixed) and _place(atom.column) in self.columns
        ]

    def fixed(self, place: Place) -> Iterator[Fixed]:
        """What fixes the value of a column: IS NULL of itself, all else of any equal column."""
        for atom in self._fixed:
            other = _place(atom.column)
            if other == place or (not _is_null(atom) and self._root(other) == self._root(place)):
                yield atom

    def _add(self, column: Column[Any]) -> None:
        base = base_column(column)
        if base is not None:
            self.columns[_place(column)] = base
            self._parents[_place(column)] = _place(column)

    def _join(self, left: Place, right: Place) -> None:
        if left not in self.columns or right not in self.columns:
            return
        columns = self.columns[left], self.columns[right]
        if not all(tag_type(column.type) for column in columns):
            return
        if joined(*columns, carried=all(self._taggable(column) for column in columns)):
            self._parents[self._root(left)] = self._root(right)

    def _root(self, place: Place) -> Place:
        while self._parents[place] != place:
            place = self._parents[place]
        return place


def _place(column: Column[Any]) -> Place:
    return column.table, column.key


def _is_unique(column: Column[Any]) -> bool:
    table: Any = column.table
    key = table.primary_key.columns
    alone = bool(column.unique) or (len(key) == 1 and key[0] is column)
    return alone or column in unique_columns(table)
