"""`Stamps`: which stamp each region was last seen to have, and whether that was before a snapshot.

A transaction that reads one moment of the database may be served, and may fill, only what is of
that moment or before: the region's stamp must still be the one that was in force, with no writer
open, before the snapshot was taken. To keep a copy of all stamps with each transaction would take
the longer the more regions there are; a number for each transaction does as well.
"""

from __future__ import annotations

import itertools


class Stamps:
    """The stamps that one process has seen.

    Numbers are drawn for what is seen and for transactions that begin, from one row: a smaller
    number was drawn earlier, in whatever thread. What has changed after a transaction began is
    forgotten for it, as it must be: the server would refuse the older stamp.
    """

    __slots__ = ("_count", "_known")

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._known: dict[bytes, tuple[bytes | None, int]] = {}

    def now(self) -> int:
        """A number for a transaction that begins."""
        return next(self._count)

    def saw(self, guard: bytes, stamp: bytes | None) -> None:
        """Note the stamp of a guard, None when a writer was open."""
        known = self._known.get(guard)
        if known is None or known[0] != stamp:
            self._known[guard] = stamp, next(self._count)

    def last(self, guard: bytes) -> bytes | None:
        """The stamp that a guard had when it was last seen with no writer open."""
        known = self._known.get(guard)
        return None if known is None else known[0]

    def before(self, guard: bytes, began: int) -> bytes | None:
        """The stamp that was in force when a transaction began; None where that is not known."""
        known = self._known.get(guard)
        return known[0] if known is not None and known[1] < began else None

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
