"""Which columns are unique by themselves."""

from __future__ import annotations

import weakref
from typing import Any

from sqlalchemy import Column, Table, UniqueConstraint


class UniqueColumns:
    """Knows them of each table it was asked about.

    Nearly every select of a cached class by a value asks: 0.5 us, where to look at the constraints
    and indexes of a table takes 10 to 25.
    """

    def __init__(self) -> None:
        # By their keys: a column would keep its table.
        self._known: weakref.WeakKeyDictionary[Table, tuple[int, frozenset[str]]] = (
            weakref.WeakKeyDictionary()
        )

    def alone(self, column: Column[Any]) -> bool:
        """Is a column unique by itself, by its own word, a constraint or an index?"""
        if column.unique:
            return True
        table: Any = column.table
        if not isinstance(table, Table):
            return False
        size = len(table.constraints) + len(table.indexes)  # more may be added
        known = self._known.get(table)
        if known is None or known[0] != size:
            keys = frozenset(one.key for one in unique_columns(table))
            known = self._known[table] = size, keys
        return column.key in known[1]


def unique_columns(table: Table) -> frozenset[Column[Any]]:
    """The columns that a constraint or an index of their own says are unique."""
    owners: list[Any] = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    owners += [one for one in table.indexes if one.unique]
    return frozenset(
        column for owner in owners if len(owner.columns) == 1 for column in owner.columns
    )
