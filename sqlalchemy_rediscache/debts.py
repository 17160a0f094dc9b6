"""`Debts`: what committed writes still owe to Redis, since it could not be told in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from .keys import Place
from .stats import Counters
from .store import Scripts

_MOST_ROWS = 10_000
"""More rows than this owed to one region are owed as the whole region."""

logger = logging.getLogger("sqlalchemy_rediscache")


class Debts:
    """Rows and regions that were written while Redis could not be told.

    Nothing is read from Redis before they are paid. They are kept in this process only: other
    processes that reach Redis may serve what was there before, until they are paid.

    Args:
        counters: Where they are counted.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._owed: dict[Place, set[bytes] | None] = {}
        self._version = 0
        self._open = 0
        self._complained = False

    def open(self) -> None:
        """A transaction without its lock goes on to COMMIT: trust nothing until `close`."""
        with self._lock:
            self._open += 1

    def close(self) -> None:
        """Such a transaction has ended, and what it wrote is owed."""
        with self._lock:
            self._open -= 1

    @property
    def trusting(self) -> bool:
        """May Redis be believed now, once what is owed is paid?"""
        return self._open == 0

    @property
    def settled(self) -> bool:
        """Is there neither such a transaction nor anything owed?"""
        return self._open == 0 and not self._owed

    def owe(self, place: Place, rows: Iterable[bytes] | None) -> None:
        """Remember rows of a region, or with None the whole region."""
        with self._lock:
            self._version += 1
            owed = self._owed.get(place, set())
            if rows is None or owed is None:
                self._owed[place] = None
            else:
                owed = owed.union(rows)
                self._owed[place] = owed if len(owed) <= _MOST_ROWS else None
        self._counters.add("unsettled")

    def __bool__(self) -> bool:
        return bool(self._owed)

    def pay(self, scripts: Scripts) -> None:
        """Invalidate what is owed, if anything.

        Raises:
            CacheUnavailable: Redis still can't be told; all of it stays owed.
        """
        if not self._owed:
            return
        with self._lock:
            owed, version = dict(self._owed), self._version
        scripts.invalidate(
            [
                (place.guard, place.prefix, () if rows is None else tuple(rows))
                for place, rows in owed.items()
            ]
        )
        with self._lock:
            if version != self._version:
                return  # more was added while the call ran: the next one pays all of it again
            self._owed.clear()
            self._complained = False
        logger.info("invalidations that were owed to Redis are made good: %d regions", len(owed))

    def complain(self) -> None:
        """Say that Redis could not be told of a commit: once, until all is made good."""
        with self._lock:
            complained, self._complained = self._complained, True
        if not complained:
            logger.warning(
                "Redis could not be told of a commit: this process reads from the database until "
                "the invalidation of what was written is made good"
            )
