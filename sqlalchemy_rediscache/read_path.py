"""The read path: from the keys of rows to their values, a remembered absence, or a lease to load.

Read it from top to bottom. It knows nothing of sessions: it is told what the reader may do
(`Permit`), and answers with one `Outcome` for each row. Whatever goes wrong on the way (Redis is
gone, a value does not decode) ends as a miss without a lease: the caller loads from the database.

How a fill can't be stale, step by step:

1. The reader finds no value and is granted a lease, a token that the row's hash keeps.
2. The reader loads the row.
3. A writer locks the row before its COMMIT: that deletes the lease.
4. The reader fills: refused, since the lease is no longer there. Had step 3 come before step 1,
   no lease would have been granted; had it come after step 4, it would have deleted the value.

A reader may also be granted a lease on a value that is there, and nearly over (see `early`). It
loads and fills likewise; step 3 deletes the value with the lease, and until then or step 4 all
others are served it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from .codec import ABSENT_ROW
from .debts import Debts
from .errors import CacheUnavailable, DecodeError, EncodeError, EntryTooLarge
from .group import Group
from .keys import Place
from .patience import Patience
from .row import Row
from .stamps import Stamps
from .stats import Counters, Reason
from .store import Lease, Reading, Scripts, State

_LEFT: Final = (b"", 0, b"")
"""In the place of value, TTL and tags: nothing was loaded, what is there is left."""

_NOT_KEPT: Final = (b"", 1, b"")
"""Likewise: what was loaded can't be kept, and what is there is not to be served any more."""


class Permit(NamedTuple):
    """What a reader may do.

    Args:
        lease: It may fill: it has written nothing, and will load what is committed.
        wait: It may wait for another reader's fill.
        stamp: b"" where any moment is as good as another (READ COMMITTED), b"?" when a snapshot is
            still to come, else the stamp the region had when the reader's snapshot was taken.
        refresh: It wants the database's answer and has the cached one deleted.
    """

    lease: bool
    wait: bool
    stamp: bytes = b""
    refresh: bool = False

    @property
    def early(self) -> bool:
        """May it load a row anew that is there?

        Not from a snapshot that it has: it may be older than what is there.
        """
        return self.lease and not self.refresh and self.stamp in (b"", b"?")


@dataclass(slots=True)
class Outcome:
    """What the cache says of one row: there, or absent, or a miss with or without a lease."""

    row: Row | None = None
    absent: bool = False
    lease: Lease | None = None

    @property
    def hit(self) -> bool:
        """Was the row, or its absence, found?"""
        return self.row is not None or self.absent


@dataclass(slots=True)
class Batch:
    """What the cache says of several rows.

    Args:
        rows: Each row that is there, in the order of the keys.
        hit: Every row, or its absence, was found.
        leases: The rows that may be filled.
    """

    rows: list[Row]
    hit: bool
    leases: list[Lease]


class ReadPath:
    """Reads and fills rows for one cache.

    Args:
        counters: Where outcomes are counted.
        debts: Invalidations that are owed to Redis; nothing is served before they are paid.
        stamps: Which stamps were seen.
        lease_wait: Seconds to wait for another reader's fill.
    """

    def __init__(
        self,
        counters: Counters,
        debts: Debts,
        stamps: Stamps,
        lease_wait: float,
    ) -> None:
        self._counters = counters
        self._debts = debts
        self._stamps = stamps
        self._lease_wait = lease_wait

    def read_row(
        self, scripts: Scripts, group: Group, place: Place, token: bytes, permit: Permit
    ) -> Outcome:
        """Look one row up; wait for its fill when another reader is at it."""
        patience = Patience(self._lease_wait)
        early_ms = group.loads.early_ms()
        if early_ms and not permit.early:
            early_ms = 0
        while True:
            answer = self._ask(scripts, group, place, (token,), permit, early_ms)
            if answer is None:
                return Outcome()
            reading, leases = answer
            row = reading.rows[0]
            if reading.whole and row != ABSENT_ROW:
                try:
                    found = group.read(cast(bytes, row))
                    if found.key == token:
                        self._counters.add("hits")
                        return Outcome(found)
                except DecodeError:
                    pass  # sorted out below
            if row is not State.BEING_FILLED or not permit.wait:
                return self._sorted_out(scripts, group, place, (token,), reading, leases)[0]
            # Another reader has the lease. Its fill comes within a SELECT's time, or never: its
            # lease expires and one of those who wait is granted the next.
            if not patience.begun:
                self._counters.add("waits")
            pause = patience.next()
            if pause is None:
                return Outcome()
            scripts.transport.pause(pause)

    def read_rows(
        self,
        scripts: Scripts,
        group: Group,
        place: Place,
        tokens: Sequence[bytes],
        permit: Permit,
    ) -> Batch:
        """Look rows of one region up in one round trip, which is one moment for all of them."""
        early_ms = group.loads.stale_ms if permit.early else 0
        answer = self._ask(scripts, group, place, tokens, permit, early_ms)
        if answer is None:
            return Batch([], False, [])
        reading, leases = answer
        if reading.whole:
            rows = group.read_many(reading.rows, tokens)
            if rows is not None:
                self._counters.add("hits", len(rows))
                return Batch(rows, True, [])
        outcomes = self._sorted_out(scripts, group, place, tokens, reading, leases)
        return Batch(
            [outcome.row for outcome in outcomes if outcome.row is not None],
            all(outcome.hit for outcome in outcomes),
            [outcome.lease for outcome in outcomes if outcome.lease is not None],
        )

    def _ask(
        self,
        scripts: Scripts,
        group: Group,
        place: Place,
        tokens: Sequence[bytes],
        permit: Permit,
        early_ms: int,
    ) -> tuple[Reading, Sequence[Lease | None]] | None:
        """Redis's answer; None where it gives none that may be trusted."""
        debts = self._debts
        if not debts.settled:
            if not debts.trusting:
                return None
            try:
                debts.pay(scripts)
            except CacheUnavailable:
                self._counters.add("errors")
                return None
        try:
            reading, leases = scripts.read(
                place.guard,
                place.prefix,
                tokens,
                group.field,
                lease=permit.lease,
                stamp=permit.stamp,
                refresh=permit.refresh,
                early_ms=early_ms,
            )
        except CacheUnavailable:
            self._counters.add("errors")
            return None
        if not debts.settled:  # a COMMIT without its lock came between
            self.give_back(scripts, [lease for lease in leases if lease is not None])
            return None
        if reading.stamp is not None:
            self._stamps.saw(place.guard, None if reading.busy else reading.stamp)
        return reading, leases

    def _sorted_out(
        self,
        scripts: Scripts,
        group: Group,
        place: Place,
        tokens: Sequence[bytes],
        reading: Reading,
        leases: Sequence[Lease | None],
    ) -> list[Outcome]:
        """What each state of an entry means for the reader."""
        if len(tokens) == 1 and reading.rows[0] is State.LEASED:  # a miss, as a rule
            self._counters.add("misses")
            return [Outcome(None, False, leases[0])]
        outcomes = []
        corrupt: list[bytes] = []
        absent = misses = early = 0
        for token, row, lease in zip(tokens, reading.rows, leases, strict=True):
            if isinstance(row, State):
                if row is State.TOO_LARGE:
                    self._counters.add("corrupt")
                misses += row is not State.BEING_FILLED
                early += row is State.LEASED_EARLY
                outcomes.append(Outcome(None, False, lease))
            elif row == ABSENT_ROW:
                absent += 1
                outcomes.append(Outcome(None, True))
            else:
                try:
                    found = group.read(row)
                except DecodeError:
                    found = None
                # What decodes must also be the row that was asked for.
                if found is None or found.key != token:
                    corrupt.append(token)
                    outcomes.append(Outcome())
                    continue
                outcomes.append(Outcome(found))
        if corrupt:
            misses += len(corrupt)
            self._discard(scripts, place, corrupt)
        hits = sum(outcome.hit for outcome in outcomes)
        self._count(hits=hits, negative_hits=absent, misses=misses, early_loads=early)
        return outcomes

    def _count(self, **counted: int) -> None:
        for name, amount in counted.items():
            if amount:
                self._counters.add(name, amount)

    def _discard(self, scripts: Scripts, place: Place, corrupt: Sequence[bytes]) -> None:
        self._counters.add("corrupt", len(corrupt))
        try:
            scripts.invalidate([(place.guard, place.prefix, corrupt)])
        except CacheUnavailable:
            self._counters.add("errors")

    # -- after a miss -------------------------------------------------------------------------

    def fill(
        self,
        scripts: Scripts,
        group: Group,
        loaded: Sequence[tuple[Lease, Sequence[Any] | None]],
    ) -> None:
        """Put what was loaded under leases of one read in the cache.

        Args:
            scripts: How to reach Redis.
            group: The columns that were loaded.
            loaded: For each lease the values that the database returned, in the codec's order, or
                None where it has no such row.
        """
        if not loaded:
            return
        if len(loaded) == 1:
            group.loads.note(time.monotonic() - loaded[0][0].since)
        entries = [(lease, *self._encoded(group, lease, values)) for lease, values in loaded]
        wanted = sum(1 for entry in entries if entry[1])

        def told(filled: int | None) -> None:
            if filled is None:
                self._counters.add("errors")
                return
            if filled:
                self._counters.add("fills", filled)
            if filled < wanted:
                self._counters.add("refused_fills", wanted - filled)

        self._fill(scripts, entries, told, group.words_field)

    def _fill(
        self,
        scripts: Scripts,
        entries: Sequence[tuple[Lease, bytes, int, bytes]],
        told: Callable[[int | None], None],
        words_field: bytes = b"",
    ) -> None:
        # Nobody waits for a fill: a read that comes before it finds the lease still held.
        try:
            scripts.fill(entries, told, words_field)
        except CacheUnavailable:
            self._counters.add("errors")

    def _encoded(
        self, group: Group, lease: Lease, values: Sequence[Any] | None
    ) -> tuple[bytes, int, bytes]:
        """The value, its TTL in milliseconds and its tags."""
        if values is None:
            if not group.negative_ms or not lease.absent:
                return _NOT_KEPT
            return ABSENT_ROW + lease.absent, group.negative_ms, b""
        try:
            return group.codec.encode(values), group.ttl_ms(), group.words(values)
        except EncodeError as error:
            self._counters.because("unencodable", unkept(error))
            return _NOT_KEPT

    def give_back(self, scripts: Scripts, leases: Sequence[Lease]) -> None:
        """Return leases unused, so that nobody waits for a fill that won't come."""
        for lease in leases:
            self._fill(scripts, [(lease, *_LEFT)], lambda filled: None)


def unkept(error: EncodeError) -> Reason:
    """Why what was loaded can't be stored."""
    return Reason.TOO_LARGE if isinstance(error, EntryTooLarge) else Reason.VALUE
