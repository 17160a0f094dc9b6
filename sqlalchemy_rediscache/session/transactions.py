"""From flush to release: the life of a session's transaction, as the cache follows it.

::

    after_begin      a connection: a snapshot may begin, what the transaction sees is known
    after_flush      rows were written                                         (flushes)
    DML              anything else was written                                  (engine_events)
    engine commit    right before the database's COMMIT: lock
    after_commit     of the root transaction: release and publish
    rollback         of the root transaction: release; of a savepoint: forget values
    end              whatever is left: leases go back
"""

from __future__ import annotations

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction

from ..store import Scripts
from .access import Services
from .engine_events import EngineEvents
from .unit import Unit, end_unit, known_unit, note_commit, unit_of


class Transactions:
    """Follows the transactions of one cache's sessions."""

    def __init__(self, services: Services, engine_events: EngineEvents) -> None:
        self._services = services
        self._now = services.stamps.now
        self._engine_events = engine_events

    def after_begin(
        self, session: Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        """The session got a connection: its snapshot begins no earlier than now."""
        unit = unit_of(session)
        connections = unit.connections
        if not connections:
            unit.began = self._now()
        elif any(known is connection for known in connections):
            return  # a savepoint on a connection that is known
        else:
            unit.view = None
        connections.append(connection)
        self._engine_events.follow(session, connection, unit)

    def after_commit(self, session: Session) -> None:
        """COMMIT succeeded; of a savepoint, nothing has happened yet."""
        unit = known_unit(session)
        if unit is None or _in_savepoint(session):
            return
        if unit.wrote:
            note_commit(session)
        if unit.writes and unit.writes.token == b"" and self._engine_events.hand_over(unit):
            end_unit(session)  # the database's transaction is somebody else's, and goes on
            return
        if unit.writes and unit.writes.token == b"":
            unit.writes.owed = True  # COMMIT was not seen: invalidate what was written now
        self._release(unit, committed=True)

    def after_soft_rollback(self, session: Session, transaction: SessionTransaction) -> None:
        """A transaction or a savepoint was rolled back."""
        unit = known_unit(session)
        if unit is None:
            return
        unit.flushing = False  # a flush that fails is rolled back, and tells nothing else
        if transaction.nested:
            unit.writes.forget_values()

    def after_end(self, session: Session, transaction: SessionTransaction) -> None:
        """The root transaction is over, in whatever way."""
        if transaction.parent is not None:
            return
        unit = end_unit(session)
        if unit is None:
            return
        if unit.untouched:  # as most are: no cached class was written, and no lease is out
            self._engine_events.forget(unit)
            return
        if unit.leases:
            left = [lease for lease in unit.leases.values() if lease is not None]
            self._services.reads.give_back(self._scripts(unit), left)
        if unit.writes.owed or (unit.writes.token and not unit.doubtful):
            self._release(unit, committed=False)
        elif unit.writes and not unit.writes.token and self._engine_events.hand_over(unit):
            return  # the session left a transaction of somebody else's, with its rows in it
        self._engine_events.forget(unit)

    def _release(self, unit: Unit, *, committed: bool) -> None:
        if unit.writes.token or unit.writes.owed:
            self._services.writes.release(self._scripts(unit), unit.writes, committed=committed)
        unit.writes = None

    def _scripts(self, unit: Unit) -> Scripts:
        return self._services.scripts(unit.is_async)


def _in_savepoint(session: Session) -> bool:
    transaction = session.get_transaction()
    nested = session.get_nested_transaction()
    return nested is not None and transaction is not None
