"""Connections of SQLAlchemy's that are one connection of the driver's, in one transaction of it.

Pools of one connection have them (``StaticPool``, ``SingletonThreadPool``), as SQLite in memory.
A COMMIT of any commits what all of them wrote, and a ROLLBACK undoes it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from ..errors import CacheUnavailable
from ..write_path import WriteSet
from .access import Services
from .unit import Unit


class SharedConnections:
    """Knows for each connection of the driver's whose transactions are on it.

    Args:
        services: The parts of the cache.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._key = f"_rediscache_shared_{id(self):x}"

    def join(self, connection: Connection, unit: Unit) -> bool:
        """A transaction begins; False where the connection is not shared."""
        info = self._services.engine(connection.engine)
        if not info.shares_connections:
            return False
        here: weakref.WeakSet[Unit] = connection.info.setdefault(self._key, weakref.WeakSet())
        if unit in here:
            return True
        info.join(unit)
        here.add(unit)
        unit.is_async = info.is_async
        earlier = unit.leave

        def leave(unit: Unit) -> None:
            here.discard(unit)
            info.leave(unit)
            if earlier is not None:
                earlier(unit)
            self._doubt(unit)

        unit.leave = leave
        return True

    def _doubt(self, unit: Unit) -> None:
        """It was rolled back. Whether others had committed what it wrote, not all ways tell."""
        if unit.untouched or not unit.writes or unit.writes.token:
            return
        writes, unit.writes = unit.writes, WriteSet()
        writes.forget_values()
        scripts = self._services.scripts(unit.is_async)
        try:
            self._services.writes.lock(scripts, writes)
        except CacheUnavailable:  # of a strict cache: a rollback goes on without it
            writes.token, writes.owed = b"", True
        self._services.writes.release(scripts, writes, committed=True)

    def on_send(self, connection: Any) -> Callable[[bool], None] | None:
        """COMMIT is sent next, by whomever: lock what the others wrote.

        Args:
            connection: The pool's.

        Raises:
            CacheUnavailable: The lock can't be taken and the cache is strict: don't send it.
        """
        taken: list[tuple[Unit, WriteSet]] = []
        writes = WriteSet()
        for unit in list(connection.info.get(self._key, ())):
            if unit.wrote and unit.writes and not unit.writes.token:
                taken.append((unit, unit.writes))
                writes.join(unit.writes)
        if not taken:
            return None
        scripts = self._services.scripts(taken[0][0].is_async)
        self._services.writes.lock(scripts, writes)
        for unit, _ in taken:
            unit.writes = WriteSet()

        def sent(done: bool) -> None:
            if done:
                self._services.writes.release(scripts, writes, committed=True)
                return
            for unit, own in taken:  # they may be committed yet; what is locked ends by itself
                own.forget_values()
                own.join(unit.writes)
                unit.writes = own

        return sent
