"""The moment right before a COMMIT is sent: of one connection, or of all of a dialect's."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection, Dialect

Listener = Callable[[Connection], None]
Sent = Callable[[bool], None]
"""Called when COMMIT was answered, or has failed."""
Around = Callable[[Any], Sent | None]
"""Called with the pool's connection right before COMMIT is sent on it."""

_KEY = "_rediscache_commits"
_SENT = "_rediscache_sent"


def before_commit(connection: Connection, listener: Listener) -> bool:
    """Have a listener called right before each COMMIT of a connection, two-phase or not.

    Returns:
        False where one may be under way that is not heard any more: the application listens for
        COMMIT, this may be said within its listener, and it is the first word of this connection.

    SQLAlchemy's ``commit`` event has two faults here. A listener costs a connection 20 us, since
    its listeners are joined with the engine's; this costs 1 us. And the engine's listeners come
    last: what they write would be seen too late. This one comes after all of the application's.
    """
    commits: _Commits | None = connection.__dict__.get(_KEY)
    if commits is None:
        commits = connection.__dict__[_KEY] = _Commits(connection)
        commits.listeners.append(listener)
        heard = connection._has_events or connection.engine._has_events
        return not (heard and (connection.dispatch.commit or connection.dispatch.commit_twophase))
    if listener not in commits.listeners:
        commits.listeners.append(listener)
    return True


def around_commits(dialect: Dialect, around: Around) -> None:
    """Have what sends COMMIT for a dialect's engines call something before it and after it.

    No event is that late, nor told of each COMMIT without a price for each connection.
    """
    known: _Sending | None = dialect.__dict__.get(_SENT)
    if known is None:
        known = dialect.__dict__[_SENT] = _Sending(dialect)
    if around not in known.around:
        known.around.append(around)


def not_around_commits(dialect: Dialect, around: Around) -> None:
    """Call it no more."""
    known: _Sending | None = dialect.__dict__.get(_SENT)
    if known is not None and around in known.around:
        known.around.remove(around)


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


class _Sending:
    """Stands in for the methods of a dialect that send COMMIT."""

    __slots__ = ("_dialect", "_earlier", "around")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = weakref.ref(dialect)  # which holds this object
        kept = dialect.__dict__
        self._earlier = {name: kept.get(name) for name in ("do_commit", "do_commit_twophase")}
        self.around: list[Around] = []
        kept["do_commit"] = self._do_commit
        kept["do_commit_twophase"] = self._do_commit_twophase

    def _do_commit(self, dbapi_connection: Any) -> None:
        self._send(dbapi_connection, self._method("do_commit"), dbapi_connection)

    def _do_commit_twophase(self, connection: Connection, *args: Any, **options: Any) -> None:
        method = self._method("do_commit_twophase")
        self._send(connection.connection, method, connection, *args, **options)

    def _method(self, name: str) -> Any:
        dialect: Any = self._dialect()  # it is asked to commit
        return self._earlier[name] or getattr(type(dialect), name).__get__(dialect)

    def _send(self, dbapi_connection: Any, method: Any, *args: Any, **options: Any) -> None:
        called: list[Sent] = []
        done = False
        try:
            for around in list(self.around):
                sent = around(dbapi_connection)
                if sent is not None:
                    called.append(sent)
            method(*args, **options)
            done = True
        finally:
            for sent in called:
                sent(done)
