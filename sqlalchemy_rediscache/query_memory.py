"""What one process remembers of queries: the rows that an entry names, and its last result.

A result is served again without reading its rows for as long as Redis says that the same entry is
in force, and that what it depends on is what it was. No row of it has been written then: each has
one of the tags that the query depends on, or its region is watched as a whole, and the lock of a
writer changes their stamps. Where a query depends on nothing but which rows there are
(`Watched.rows_apart`), the stamp of the region says it, which every lock changes.

Redis is asked each time: this saves the server, the wire and the decoding the rows, and no round
trip.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple

from .query.layout import Layout
from .query_entry import Entry, Wanted
from .store import Asked, RowsWanted

Keys = Sequence[Sequence[bytes | None]]
"""For each entity of a result the keys in its rows."""

_FEW_ROWS = 20
_MOST_ROWS = 200
"""Rows of a result that is remembered: of up to 750 small ones and 48 large ones, 25,000 in all."""
_LONGEST = 1.0
"""Seconds for which it is, or a tenth of the TTL of its rows, if that is shorter."""


class Made(NamedTuple):
    """A result, and what it was made of.

    Args:
        rows: The result.
        took_ms: Milliseconds that the database took for it.
        entry: The entry.
        state: What it depended on, see `state_of`.
        layout: How it was made; weakly, since it leads to classes, which may be given up.
        direct: See `Wanted`.
        until: When it is made anew, by the monotonic clock: rows have a TTL of their own.
    """

    rows: Sequence[Sequence[Any]]
    took_ms: float
    entry: bytes
    state: Sequence[bytes]
    layout: weakref.ref[Layout]
    direct: bool
    until: float

    def is_of(self, wanted: Wanted, asked: Sequence[Asked]) -> bool:
        """Is the entry the one it was made of, and all that it depends on as it was?"""
        return asked[0].entry == self.entry and state_of(wanted, asked) == self.state


class Guess(NamedTuple):
    """What an entry is expected to name.

    Args:
        keys: For each entity of the result the keys in its rows.
        rows: Each row once, for each entity that has any.
        seen: What the query depended on when its rows were read last.
        last: The result that was made of them, if it is a small one.
        on: What the query depended on when it was seen that the entry names these.
    """

    keys: Keys
    rows: Sequence[RowsWanted]
    seen: Sequence[bytes] = ()
    last: Made | None = None
    on: Sequence[bytes] = ()


NOTHING = Guess((), ())


class QueryMemory:
    """The guesses of one process.

    Args:
        kept: For the home and the name of each query its guess; the oldest ones go.
        large: The same for results of many rows, of which fewer are remembered.
    """

    def __init__(
        self,
        kept: MutableMapping[tuple[bytes, bytes], Guess],
        large: MutableMapping[tuple[bytes, bytes], Made],
    ) -> None:
        self._kept = kept
        self._large = large

    def guess(self, wanted: Wanted) -> Guess:
        """What the entry of a query named when it was last seen."""
        return self._kept.get(wanted.name, NOTHING)

    def last(self, wanted: Wanted, guess: Guess, now: float) -> Made | None:
        """The last result of a query, where it may be served again if Redis agrees."""
        last = guess.last
        if last is None and self._large:
            last = self._large.get(wanted.name)
        if last is None or now >= last.until:
            return None
        alike = last.layout() is wanted.layout and last.direct is wanted.direct
        return last if alike else None

    def expect(self, wanted: Wanted, keys: Keys, asked: Sequence[Asked]) -> Guess:
        """Note what an entry names, given what Redis said of it."""
        rows = [
            RowsWanted(place.guard, place.prefix, entity.region.field, distinct(own))
            for entity, place, own in zip(wanted.layout.entities, wanted.places, keys, strict=False)
        ]
        on = [one.on for one in asked]
        return self.drop(wanted, Guess(keys, [one for one in rows if one.names], on=on))

    def note(
        self,
        wanted: Wanted,
        guess: Guess,
        asked: Sequence[Asked],
        entry: Entry,
        rows: Sequence[Sequence[Any]],
        now: float,
    ) -> Made:
        """Note a result that was made of an entry and its rows, which were read after `now`."""
        layout = wanted.layout
        state = state_of(wanted, asked)
        ttls = [entity.region.policy.ttl / 10 for entity in layout.entities]
        until = now + min([_LONGEST, *ttls])
        made = Made(
            rows, entry.took_ms, asked[0].entry, state, weakref.ref(layout), wanted.direct, until
        )
        if layout.shareable and len(rows) <= _MOST_ROWS:
            # Other rows of a region may be written all the time: a result that depends on its
            # stamp is remembered once that has stayed the same from one read to the next.
            quiet = state == guess.seen or not any(one.rows_apart for one in wanted.watched)
            small = quiet and len(rows) <= _FEW_ROWS
            self._kept[wanted.name] = guess._replace(seen=state, last=made if small else None)
            if quiet and not small:
                self._large[wanted.name] = made
        return made

    def drop(self, wanted: Wanted, guess: Guess) -> Guess:
        """Forget the last result of a query: something that it depends on has changed."""
        with contextlib.suppress(KeyError):  # not pop(), which two threads can make fail
            del self._large[wanted.name]
        guess = self._kept[wanted.name] = guess._replace(last=None)
        return guess

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._large.clear()


def state_of(wanted: Wanted, asked: Sequence[Asked]) -> list[bytes]:
    """What a query depends on, and what its rows do where that is more."""
    state = [one.on for one in asked]
    for watched, one in zip(wanted.watched, asked, strict=True):
        if watched.rows_apart:
            state.append(one.stamp)
    return state


def distinct(keys: Sequence[bytes | None]) -> list[bytes]:
    """Each key once, without the rows that have no such entity."""
    return [key for key in dict.fromkeys(keys) if key is not None]
