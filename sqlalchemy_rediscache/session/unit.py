"""`Unit`: what one transaction of a session means to the cache, from its first touch to its end."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ..keys import Place
from ..store import Lease
from ..write_path import WriteSet
from .view import View

_KEY = "_rediscache_unit"
_COMMITTED = "_rediscache_committed"


class Unit:
    """The state of one transaction.

    A session that only reads hits needs none. It begins to matter when the session gets a
    connection (a snapshot may exist from then on), when a lease is out, or when it writes. Every
    session that reaches its database makes one, cached models or not: it must cost next to nothing.

    Attributes:
        connections: Those of the transaction, in the order they were taken.
        began: When the first of them was taken, before any snapshot, see `Stamps`; 0 before that.
        view: What the transaction sees; None until somebody asks, see `Services.view`.
        schema_map: The schema map of the first connection, once the view is known.
        wrote: It has written something, cached or not: it fills nothing until it ends.
        flushing: A flush is under way.
        closed: The cache stays out of this transaction's reads.
        committing: A COMMIT was sent; until it is known how it ended, nothing is released.
        doubtful: The connection was lost while the COMMIT was under way.
        is_async: Redis is reached through the event loop.
        leave: Tells those who share its connection that it is over; None where nobody can.
        mixed: Another session was on the same connection meanwhile.
        sent: The last flush sent something that writes.
        torn: While a flush is under way: some of it was committed or rolled back by itself.
        session: Whose transaction it is; None for one that no session of ours began.
    """

    # What most transactions never need is made when it is first asked for.
    _writes: WriteSet | None = None
    _leases: dict[tuple[Place, bytes, bytes], Lease | None] | None = None
    began = 0
    view: View | None = None
    schema_map: Any = None
    wrote = False
    flushing = False
    closed = False
    committing = False
    doubtful = False
    is_async = False
    mixed = False
    sent = False
    torn = False
    leave: Callable[[Unit], None] | None = None
    session: weakref.ref[Session] | None = None

    def __init__(self) -> None:
        self.connections: list[Connection] = []

    @property
    def writes(self) -> WriteSet:
        """What it wrote."""
        if self._writes is None:
            self._writes = WriteSet()
        return self._writes

    @writes.setter
    def writes(self, writes: WriteSet | None) -> None:
        self._writes = writes

    @property
    def leases(self) -> dict[tuple[Place, bytes, bytes], Lease | None]:
        """Rows looked up by key whose SELECT is about to come, with the lease if granted."""
        if self._leases is None:
            self._leases = {}
        return self._leases

    @property
    def untouched(self) -> bool:
        """Did it write nothing and borrow nothing?"""
        return self._writes is None and not self._leases


def unit_of(session: Session) -> Unit:
    """The unit of the session's transaction, made if there is none."""
    unit = known_unit(session) if _KEY in session.__dict__ else None
    if unit is None:
        unit = session.__dict__[_KEY] = Unit()
    return unit


def expect_statement(
    session: Session, row: tuple[Place, bytes, bytes], lease: Lease | None, *, is_async: bool
) -> None:
    """A lookup missed: the SELECT that follows finds its lease here and looks nothing up."""
    unit = unit_of(session)
    unit.is_async = is_async
    unit.leases[row] = lease


def known_unit(session: Session) -> Unit | None:
    """The unit of the session's transaction, if it has one.

    A unit whose connection is closed is of an earlier transaction, of whose end nobody told: all
    listeners of sessions were cleared, as SQLAlchemy's own tests do, or the cache was disabled.
    Then nothing is known of this one, and `Services.permit` keeps out of it. What the earlier one
    has locked is locked until `lock_ttl`.
    """
    unit: Unit | None = session.__dict__.get(_KEY)
    if unit is not None and unit.connections and unit.connections[0].closed:
        end_unit(session)
        if unit.leave is not None:
            unit.leave(unit)
        return None
    return unit


def checked_unit(session: Session) -> Unit | None:
    """The same, a moment after `known_unit`: it was looked at whether it is over (0.15 us)."""
    unit: Unit | None = session.__dict__.get(_KEY)
    return unit


def note_commit(session: Session) -> None:
    """A transaction of the session that had written something was committed."""
    session.__dict__[_COMMITTED] = True


def has_committed(session: Session) -> bool:
    """Has the session committed writes, ever?"""
    return _COMMITTED in session.__dict__


def end_unit(session: Session) -> Unit | None:
    """Take the unit away from the session: its transaction is over."""
    unit: Unit | None = session.__dict__.pop(_KEY, None)
    return unit
