"""The moment right before a connection's COMMIT is sent."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

Listener = Callable[[Connection], None]

_KEY = "_rediscache_commits"


def before_commit(connection: Connection, listener: Listener) -> None:
    """Have a listener called right before each COMMIT of a connection, two-phase or not.

    SQLAlchemy's ``commit`` event has two faults here. A listener costs a connection 20 us, since
    its listeners are joined with the engine's; this costs 1 us. And the engine's listeners come
    last: what they write would be seen too late. This one comes after all of the application's.
    """
    commits: _Commits | None = connection.__dict__.get(_KEY)
    if commits is None:
        commits = connection.__dict__[_KEY] = _Commits(connection)
    if listener not in commits.listeners:
        commits.listeners.append(listener)


class _Commits:
    """Stands in for the methods of one connection that send its COMMIT."""

    __slots__ = ("_connection", "listeners")

    def __init__(self, connection: Connection) -> None:
        self._connection = weakref.ref(connection)  # which holds this object: no cycle to collect
        self.listeners: list[Listener] = []
        kept = connection.__dict__
        kept["_commit_impl"] = self._commit
        kept["_commit_twophase_impl"] = self._commit_twophase

    def _commit(self) -> None:
        connection: Any = self._connection()  # it is calling
        self._tell(connection)
        type(connection)._commit_impl(connection)

    def _commit_twophase(self, xid: Any, is_prepared: bool) -> None:
        connection: Any = self._connection()
        self._tell(connection)
        type(connection)._commit_twophase_impl(connection, xid, is_prepared)

    def _tell(self, connection: Connection) -> None:
        if connection._has_events or connection.engine._has_events:
            connection.__dict__["dispatch"] = _Dispatch(connection.dispatch, self)
        else:
            self.call(connection)

    def call(self, connection: Connection) -> None:
        """Call the listeners."""
        for listener in self.listeners:
            listener(connection)


class _Dispatch:
    """What SQLAlchemy asks for listeners next, and once: theirs are called, then ours."""

    __slots__ = ("_commits", "_theirs")

    def __init__(self, theirs: Any, commits: _Commits) -> None:
        self._theirs = theirs
        self._commits = commits

    def commit(self, connection: Connection) -> None:
        """COMMIT is sent when this returns."""
        connection.__dict__["dispatch"] = self._theirs  # they may send something, or listen
        self._theirs.commit(connection)
        self._commits.call(connection)

    def commit_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        """The second phase of a two-phase COMMIT is sent when this returns."""
        connection.__dict__["dispatch"] = self._theirs
        self._theirs.commit_twophase(connection, xid, is_prepared)
        self._commits.call(connection)
