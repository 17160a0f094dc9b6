"""How the demo notices a stale read.

While the load runs, this process remembers for each airport the newest revision whose COMMIT has
returned. A read that started after that moment and gives an older revision, or no row at all, is
stale. Revisions of a row are never reused (see `Airport`), so the check has no false alarm and
depends on no clock; a read that overlaps a commit may give either side.

When the load is over, nothing overlaps any more: then every row that a session gives must equal
what a plain SQL statement gives, column by column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache.cli.demo.model import Airport

FIRST_REVISION = 1
SWEEP_SIZE = 100


class CommittedRevisions:
    """The newest revision of each airport that is known to be committed."""

    def __init__(self) -> None:
        """Start with every airport at its first revision."""
        self._lock = Lock()
        self._newest: dict[int, int] = {}

    def committed(self, airport_id: int, revision: int) -> None:
        """Note that a commit of this revision has returned; they may come out of order."""
        with self._lock:
            self._newest[airport_id] = max(self._newest.get(airport_id, 0), revision)

    def newest(self, airport_ids: Iterable[int]) -> dict[int, int]:
        """Give the lowest revision of each airport that a read starting now may return."""
        return {
            airport_id: self._newest.get(airport_id, FIRST_REVISION) for airport_id in airport_ids
        }


def count_stale(expected: Mapping[int, int], seen: Mapping[int, int]) -> int:
    """Count the airports that a read gave in a state older than it had to.

    Args:
        expected: `CommittedRevisions.newest`, taken before the read started.
        seen: the revision that the read gave of each airport; an absent one was not found.
    """
    return sum(1 for key, revision in expected.items() if seen.get(key, 0) < revision)


@dataclass(frozen=True, slots=True)
class Difference:
    """An airport of which a session gives something else than the database.

    Attributes:
        airport_id: its primary key.
        by_session: what the session gave, by attribute; None when it found no row.
        by_database: what SQL gave; None when there is no row.
    """

    airport_id: int
    by_session: dict[str, Any] | None
    by_database: dict[str, Any] | None


def compare_with_database(
    factory: sessionmaker[Session], engine: Engine, airport_ids: Collection[int]
) -> list[Difference]:
    """Read airports through sessions and by plain SQL, and give those that differ.

    Nothing else may write to the database meanwhile.

    Args:
        factory: makes the sessions, with or without a cache.
        engine: the database; it is asked on a connection of its own, which no cache sees.
        airport_ids: the airports to compare.
    """
    ordered = sorted(airport_ids)
    differences: list[Difference] = []
    for start in range(0, len(ordered), SWEEP_SIZE):
        part = ordered[start : start + SWEEP_SIZE]
        by_session = _by_session(factory, part)
        by_database = _by_database(engine, part)
        for key in part:
            left, right = by_session.get(key), by_database.get(key)
            if _typed(left) != _typed(right):
                differences.append(Difference(key, left, right))
    return differences


def _by_session(
    factory: sessionmaker[Session], airport_ids: list[int]
) -> dict[int, dict[str, Any]]:
    names = Airport.__mapper__.column_attrs.keys()
    with factory() as session:
        airports = session.scalars(select(Airport).where(Airport.id.in_(airport_ids)))
        return {
            airport.id: {name: getattr(airport, name) for name in names} for airport in airports
        }


def _by_database(engine: Engine, airport_ids: list[int]) -> dict[int, dict[str, Any]]:
    table = Airport.__table__
    with engine.connect() as connection:
        rows = connection.execute(select(table).where(table.c.id.in_(airport_ids))).mappings()
        return {row["id"]: dict(row) for row in rows}


def _typed(row: dict[str, Any] | None) -> dict[str, tuple[type, Any]] | None:
    # 1 == 1.0 == True: a column that came back with another type is a difference too.
    if row is None:
        return None
    return {name: (type(value), value) for name, value in row.items()}
