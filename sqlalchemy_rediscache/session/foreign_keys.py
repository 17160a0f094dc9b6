"""Which tables' rows the database changes along with those of others, by foreign keys' actions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Table

_ACTIONS = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


def reached_by_delete(
    tables: Iterable[Table], among: Collection[Table] | None = None
) -> frozenset[Table]:
    """The tables whose rows change when rows of these are deleted, any number of steps away.

    Args:
        tables: Where rows are deleted.
        among: The tables that may follow; default all of their metadata.
    """
    found = _reached(tables, "ondelete", among)
    # A column that is set to NULL or its default may be part of a key that others follow.
    return found | _reached(found, "onupdate", among)


def reached_by_update(
    tables: Iterable[Table], among: Collection[Table] | None = None
) -> frozenset[Table]:
    """The tables whose rows change when keys of these are updated, any number of steps away.

    Args:
        tables: Where keys are updated.
        among: The tables that may follow; default all of their metadata.
    """
    return _reached(tables, "onupdate", among)


def _reached(
    tables: Iterable[Table], action: str, among: Collection[Table] | None
) -> frozenset[Table]:
    found: set[Table] = set()
    pending = list(tables)
    while pending:
        table = pending.pop()
        for other in table.metadata.tables.values() if among is None else among:
            if other in found:
                continue
            for constraint in other.foreign_key_constraints:
                if (getattr(constraint, action) or "").upper() in _ACTIONS and (
                    _refers(constraint, table)
                ):
                    found.add(other)
                    pending.append(other)
                    break
    return frozenset(found)


def _refers(constraint: Any, table: Table) -> bool:
    name = constraint.elements[0].target_fullname.rpartition(".")[0]
    return bool(name == table.fullname)
