"""What the demo's operations do with the database: ordinary ORM code that knows of no cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from sqlalchemy_rediscache.cli.demo.model import Airport, Braking, Condition, RunwayReport, Status
from sqlalchemy_rediscache.cli.demo.operations import Kind, Operation
from sqlalchemy_rediscache.cli.demo.settings import DemoError
from sqlalchemy_rediscache.cli.demo.staleness import CommittedRevisions, count_stale

WRITE_ATTEMPTS = 100
REPORTERS = ("tower", "airport operator", "airline pilot", "private pilot", "snow clearing")
STATUS_BY_BRAKING: Final[Mapping[Braking, Status]] = {
    Braking.GOOD: Status.OPEN,
    Braking.GOOD_TO_MEDIUM: Status.OPEN,
    Braking.MEDIUM: Status.LIMITED,
    Braking.MEDIUM_TO_POOR: Status.LIMITED,
    Braking.POOR: Status.CLOSED,
    Braking.NIL: Status.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the check of one operation's reads found.

    Attributes:
        stale: airports that were read in a state older than allowed.
        checked: airports that were checked.
        conflicts: how often the operation lost against another writer and began again.
    """

    stale: int
    checked: int
    conflicts: int = 0


class AirportAccess:
    """Performs operations, each in a new session as a web request would."""

    def __init__(self, factory: sessionmaker[Session], committed: CommittedRevisions) -> None:
        """Use the sessions of a factory.

        Args:
            factory: makes the sessions, with or without a cache.
            committed: what has been committed, to check reads against.
        """
        self._factory = factory
        self._committed = committed

    def perform(self, operation: Operation) -> Outcome:
        """Perform one operation and check what it read."""
        match operation.kind:
            case Kind.GET:
                return self._get(operation.airport_ids[0], follow=False)
            case Kind.LAZY:
                return self._get(operation.airport_ids[0], follow=True)
            case Kind.BATCH:
                return self._batch(operation.airport_ids)
            case Kind.WRITE:
                return self._write(operation)

    def _get(self, airport_id: int, *, follow: bool) -> Outcome:
        expected = self._committed.newest((airport_id,))
        with self._factory() as session:
            airport = session.get(Airport, airport_id)
            if airport is None:
                return Outcome(stale=1, checked=1)
            if follow:
                _follow(airport)
            seen = {airport.id: airport.revision}
        return Outcome(count_stale(expected, seen), checked=1)

    def _batch(self, airport_ids: tuple[int, ...]) -> Outcome:
        expected = self._committed.newest(airport_ids)
        with self._factory() as session:
            airports = session.scalars(select(Airport).where(Airport.id.in_(airport_ids)))
            seen = {airport.id: airport.revision for airport in airports}
        return Outcome(count_stale(expected, seen), checked=len(expected))

    def _write(self, operation: Operation) -> Outcome:
        stale = checked = 0
        for conflicts in range(WRITE_ATTEMPTS):
            airport_id = operation.airport_ids[0]
            expected = self._committed.newest((airport_id,))
            with self._factory() as session:
                airport = session.get(Airport, airport_id)
                seen = {} if airport is None else {airport_id: airport.revision}
                stale += count_stale(expected, seen)
                checked += 1
                if airport is None:
                    return Outcome(stale, checked, conflicts)
                _report(session, airport, operation.variant)
                try:
                    session.flush()
                except StaleDataError:  # another writer was faster: read again, as a user would
                    continue
                revision = airport.revision
                session.commit()
            self._committed.committed(airport_id, revision)
            return Outcome(stale, checked, conflicts)
        raise DemoError(
            f"An update of airport {operation.airport_ids[0]} lost {WRITE_ATTEMPTS} times in a "
            f"row; {stale} of its {checked} reads were stale. Try fewer threads."
        )


def _follow(airport: Airport) -> tuple[str, str | None, str]:
    subdivision = airport.subdivision
    return (
        airport.country.code,
        None if subdivision is None else subdivision.name,
        airport.timezone.name,
    )


def _report(session: Session, airport: Airport, variant: int) -> None:
    conditions, brakings = list(Condition), list(Braking)
    condition = conditions[variant % len(conditions)]
    braking = Braking.GOOD if condition is Condition.DRY else brakings[variant // 16 % 6]
    now = datetime.now(UTC).replace(tzinfo=None)
    airport.status = STATUS_BY_BRAKING[braking]
    airport.status_since = now
    session.add(
        RunwayReport(
            airport_id=airport.id,
            observed_at=now,
            runway=f"{variant // 128 % 36 + 1:02}{'LCR'[variant % 3]}",
            condition=condition,
            braking=braking,
            depth_mm=0 if condition is Condition.DRY else variant // 8192 % 30,
            reporter=REPORTERS[variant % len(REPORTERS)],
        )
    )
