"""The databases whose treatment of written values is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import Column, Dialect, Table
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

from sqlalchemy_rediscache.codec.inexact import INEXACT

Rule = Callable[[Any], Any]
"""From a written value to the value that a read gives, or `INEXACT`."""


class Backend(Enum):
    """A family of databases with the same treatment of values."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    """MariaDB and MySQL."""

    OTHER = "other"


_BACKENDS: Final[Mapping[str, Backend]] = {
    "sqlite": Backend.SQLITE,
    "postgresql": Backend.POSTGRESQL,
    "mysql": Backend.MYSQL,
    "mariadb": Backend.MYSQL,
}


def backend_of(dialect: Dialect) -> Backend:
    """The family that a dialect belongs to."""
    return _BACKENDS.get(dialect.name, Backend.OTHER)


def inexact(value: Any) -> Any:
    """The rule of everything that is not certain."""
    return INEXACT


@dataclass(frozen=True)
class Target:
    """Where a value is written to.

    Attributes:
        type_: The type (a TypeEngine) as declared for the dialect.
        dialect: The dialect.
        backend: Its family.
        column: The column of a table, None for an expression.
    """

    type_: Any
    dialect: Dialect
    backend: Backend
    column: Column[Any] | None

    def with_type(self, type_: TypeEngine[Any]) -> Target:
        """The same place with another type: the one below a decorator, the items of an array."""
        return Target(type_, self.dialect, self.backend, self.column)

    @property
    def table(self) -> Table | None:
        """The table of the column."""
        table = getattr(self.column, "table", None)
        return table if isinstance(table, Table) else None


def target_of(column: ColumnElement[Any], type_: TypeEngine[Any], dialect: Dialect) -> Target:
    """Describe where the values of a column go."""
    return Target(
        type_, dialect, backend_of(dialect), column if isinstance(column, Column) else None
    )
