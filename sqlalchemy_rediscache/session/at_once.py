"""Writes that are committed by the statement that is about to be sent, and not by a COMMIT.

They are locked right before it, and released right after.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import Connection

from .. import private
from ..write_path import WriteSet
from .access import Services
from .unit import Unit, note_commit


class _Pending(NamedTuple):
    """What a statement decides that was sent and is not answered yet."""

    writes: WriteSet
    unit: Unit | None = None
    """Whose they are again, unless the statement does what is expected of it; None for nobody."""
    stays_open: bool = False
    """It does if the database's transaction is open after it; else if none is."""


class AtOnce:
    """Locks and releases around single statements of one cache's engines.

    Args:
        services: The parts of the cache.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._key = f"_rediscache_at_once_{id(self):x}"

    def lock(self, connection: Connection, writes: WriteSet) -> None:
        """The statement commits this.

        Raises:
            CacheUnavailable: The lock can't be taken and the cache is strict: don't send it.
        """
        if writes:
            self._lock(connection, writes)
            self._expect(connection, _Pending(writes))

    def commit(self, connection: Connection, unit: Unit | None) -> None:
        """The statement commits all that the transaction wrote so far, if the driver agrees.

        The transaction goes on without it: what it writes from now on may be rolled back.

        Raises:
            CacheUnavailable: The lock can't be taken and the cache is strict: don't send it.
        """
        writes = WriteSet()
        for other in self._services.engine(connection.engine).beside(unit):
            writes.join(other.writes)  # in the same transaction of the database
            other.writes.forget_values()
        if unit is None or len(unit.connections) > 1:
            if unit is not None:  # what of it was written on this connection, nobody knows
                writes.join(unit.writes)
                unit.writes.forget_values()
            self.lock(connection, writes)
            return
        if unit.mixed or writes:
            unit.writes.forget_values()
            unit.writes.join(writes)
        self.take(connection, unit)

    def take(self, connection: Connection, unit: Unit) -> None:
        """The statement commits what was written, and it is written no more, if the driver agrees.

        Raises:
            CacheUnavailable: The lock can't be taken and the cache is strict: don't send it.
        """
        if not unit.writes:
            return
        writes, unit.writes = unit.writes, WriteSet()
        try:
            self._lock(connection, writes)
        except BaseException:
            unit.writes.join(writes)
            raise
        self._expect(connection, _Pending(writes, unit))
        session = None if unit.session is None else unit.session()
        if session is not None:
            note_commit(session)

    def undo(self, connection: Connection, unit: Unit) -> None:
        """The statement undoes all that the transaction wrote so far, if the driver agrees."""
        if len(unit.connections) > 1 or unit.mixed or unit.flushing:
            return
        if unit.writes:
            writes, unit.writes = unit.writes, WriteSet()
            self._expect(connection, _Pending(writes, unit, stays_open=True))

    def _lock(self, connection: Connection, writes: WriteSet) -> None:
        is_async = self._services.engine(connection.engine).is_async
        self._services.writes.lock(self._services.scripts(is_async), writes)

    def _expect(self, connection: Connection, pending: _Pending) -> None:
        connection.__dict__.setdefault(self._key, []).append(pending)
        if not event.contains(connection, "after_cursor_execute", self.after_execute):
            event.listen(connection, "after_cursor_execute", self.after_execute)

    def after_execute(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        """A statement was sent and answered."""
        self.settle(connection)

    def settle(self, connection: Connection, *, failed: bool = False) -> None:
        """Release what was locked for the statement that was answered or refused."""
        pending: list[_Pending] = connection.__dict__.pop(self._key, [])
        for writes, unit, stays_open in pending:
            done = not failed
            if unit is not None and done:
                done = private.driver_in_transaction(connection) is stays_open
            if unit is not None and not done:
                unit.writes.join(writes)
            scripts = self._services.scripts(self._services.engine(connection.engine).is_async)
            self._services.writes.release(scripts, writes, committed=done and not stays_open)

    def forget(self, connection: Connection) -> None:
        """The connection was lost: how the statement ended nobody knows, nothing is released."""
        connection.__dict__.pop(self._key, None)
