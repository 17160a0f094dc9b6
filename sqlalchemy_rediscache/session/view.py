"""What the statements of a transaction see of others' commits."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from sqlalchemy.engine import Dialect


class View(enum.Enum):
    """What the statements of one transaction see of others' commits."""

    LATEST = "each statement sees what is committed when it starts"
    SNAPSHOT = "all statements see what was committed when the first one started"
    CLOSED = "the cache stays out: uncommitted data, a serializable order, or unknown"


_LEVELS: Final[Mapping[str, View]] = {
    "READ COMMITTED": View.LATEST,
    "REPEATABLE READ": View.SNAPSHOT,
    "SNAPSHOT": View.SNAPSHOT,
}
_DEFAULT_VIEWS: Final[Mapping[str, View]] = {
    "postgresql": View.LATEST,
    "oracle": View.LATEST,
    "mssql": View.LATEST,
}


def view_of(dialect: Dialect, level: str | None) -> View:
    """The view of transactions at an isolation level; None is the database's default."""
    if level is None:
        return _DEFAULT_VIEWS.get(dialect.name, View.SNAPSHOT)
    if dialect.name == "sqlite" and level == "SERIALIZABLE":
        return View.SNAPSHOT  # its only isolated level: a reader keeps the state it first read
    return _LEVELS.get(level.upper(), View.CLOSED)
