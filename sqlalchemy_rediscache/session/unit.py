"""`Unit`: what one transaction of a session means to the cache, from its first touch to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ..keys import Place
from ..store import Lease
from ..write_path import WriteSet
from .engines import View

_KEY = "_rediscache_unit"


@dataclass(slots=True, eq=False)
class Unit:
    """The state of one transaction.

    A session that only reads hits needs none. It begins to matter when the session gets a
    connection (a snapshot may exist from then on), when a lease is out, or when it writes.
    """

    writes: WriteSet = field(default_factory=WriteSet)
    view: View | None = None
    """What the transaction sees; None while it has no connection."""
    stamps: dict[bytes, bytes | None] = field(default_factory=dict)
    """For each guard the stamp that was in force, with no writer open, before the snapshot."""
    leases: dict[tuple[Place, bytes, bytes], Lease | None] = field(default_factory=dict)
    """Rows looked up by key whose SELECT is about to come, with the lease where one was granted."""
    connections: list[Connection] = field(default_factory=list)
    schema_map: Any = None
    wrote: bool = False
    """It has written something, cached or not: it fills nothing until it ends."""
    closed: bool = False
    """The cache stays out of this transaction's reads."""
    committing: bool = False
    """A COMMIT was sent; until it is known how it ended, nothing is released."""
    doubtful: bool = False
    """The connection was lost while the COMMIT was under way."""
    is_async: bool = False
    flushing: bool = False


def unit_of(session: Session) -> Unit:
    """The unit of the session's transaction, made if there is none."""
    unit: Unit | None = session.__dict__.get(_KEY)
    if unit is None:
        unit = session.__dict__[_KEY] = Unit()
    return unit


def known_unit(session: Session) -> Unit | None:
    """The unit of the session's transaction, if it has one."""
    return session.__dict__.get(_KEY)


def end_unit(session: Session) -> Unit | None:
    """Take the unit away from the session: its transaction is over."""
    return session.__dict__.pop(_KEY, None)
