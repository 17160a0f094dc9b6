"""The typed callers of ``ask`` and ``keep``: queries, what they depend on, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import msgpack

from .ask_call import AskCall, RowsWanted
from .calls import Call
from .scripts import Scripts
from .transport import Frame
from .wire import integer


class QueryState(IntEnum):
    """What `ask` found."""

    THERE = 0
    """The entry, with what it depended on in its own region still in force."""
    LEASED = 1
    """Nothing that can be served; the caller may keep what it loads."""
    WRITTEN = 2
    """A write that may concern it is under way: load, don't keep."""
    BEING_LOADED = 3
    """Absent; another is loading it."""
    ABSENT = 4
    """Absent; no lease was asked for."""
    OTHER_STAMP = 6
    """The region changed since the caller's snapshot."""


_STATES: Mapping[int, QueryState] = {state.value: state for state in QueryState}


class Watched(NamedTuple):
    """What a query depends on in one region.

    Args:
        guard: The region's guard.
        prefix: What stands before the generation in its rows' keys.
        tagset: The columns that the tags are of.
        tags: The tags that matter; none when every row does.
        stamp: b"" or the stamp that must still be in force.
        rows_apart: Rows of the result may be written without a change of what it depends on.
    """

    guard: bytes
    prefix: bytes
    tagset: bytes
    tags: Sequence[bytes]
    stamp: bytes
    rows_apart: bool = False

    @property
    def tags_key(self) -> bytes:
        """The hash of the region's tags."""
        return self.prefix + b"tags"

    def entry_key(self, digest: bytes) -> bytes:
        """Where an entry of a query lies that has this region as its home."""
        return b"%bq:%b" % (self.prefix, digest)


class Asked(NamedTuple):
    """The answer to one `ask`."""

    state: QueryState
    generation: bytes
    stamp: bytes
    busy: bool
    on: bytes
    """What an entry depends on in this region that is loaded from now on."""
    entry: bytes
    left_ms: int
    """Milliseconds that the entry has left; below 0 where there is none."""
    age_ms: int = -1
    """Milliseconds since the entry was last known to be right; below 0 where that is not kept."""
    good: bytes = b""
    """When that was, as `vouch` wants it."""


Rows = list[bytes | Literal[False]]
"""For each row asked for its value, False where there is none to serve."""


class KeptEntry(NamedTuple):
    """An entry to keep: its key, value (b"" for none), TTL, and the time after it."""

    key: bytes
    value: bytes
    ttl_ms: int
    stale_ms: int
    """Milliseconds after its TTL, or after a write has ended it, in which it may be served."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row that came with a result: its key, value, TTL and tags."""

    name: bytes
    value: bytes
    ttl_ms: int
    words: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """What of a result is kept with one region.

    Args:
        watched: The region.
        generation: The generation that `ask` reported.
        on: What it said the result depends on there.
        rows_on: What must not have changed since for the rows to be kept.
        entry: The entry; None with regions that are not its home. With b"" as its value the lease
            is given back; with 0 as its TTL, too, what was there is left.
        field: The field of the rows.
        words_field: The field of the rows' tags.
        rows: The rows.
    """

    watched: Watched
    generation: bytes
    on: bytes
    rows_on: bytes
    entry: KeptEntry | None
    field: bytes
    words_field: bytes
    rows: Sequence[KeptRow]


class QueryScripts:
    """Asks for and keeps queries.

    Args:
        scripts: The scripts of rows of the same transport.
    """

    def __init__(self, scripts: Scripts) -> None:
        self.scripts = scripts
        self._ask_calls: dict[tuple[bytes, bytes], AskCall] = {}
        """For each guard and set of columns."""

    def new_token(self) -> bytes:
        """A name for a reader."""
        return self.scripts.tokens.new()

    def pause(self, seconds: float) -> None:
        """Let other readers run for a moment."""
        self.scripts.transport.pause(seconds)

    def ask(
        self,
        watched: Sequence[Watched],
        digest: bytes,
        token: bytes,
        rows: Sequence[RowsWanted],
        *,
        lease: bool,
        refresh: bool,
        stale_ms: int = 0,
    ) -> tuple[list[Asked], list[Rows]]:
        """Ask for an entry, what it depends on, and rows, all in one round trip.

        Rows are read with what the query depends on in their region, or before that: what is
        unchanged then was unchanged before, so that all of it belongs to one moment.

        Args:
            watched: What the query depends on; the first is its home.
            digest: The query's name.
            token: The reader's.
            rows: Rows that the entry is expected to name.
            lease: Ask for the right to keep what is loaded where there is no entry.
            refresh: Act as if there were none.
            stale_ms: Milliseconds for which it may be served after it was last known to be right.
        """
        calls = self.scripts.calls
        packers = [self._ask_call("ask", one) for one in watched]

        def frame(index: int, own: RowsWanted | None) -> Frame:
            one, call, home = watched[index], packers[index], index == 0
            tail = call.tail(lease=lease, stamp=one.stamp, refresh=refresh, stale_ms=stale_ms,
                             home=home, field=b"" if own is None else own.field)  # fmt: skip
            entry = one.entry_key(digest) if home else None
            known = calls.generations.get(one.guard, token)
            return call.frame(known, token, entry, own, one.tags, tail)

        if len(watched) == 1 and not rows:  # of one table, and its result is remembered
            reply = calls.run_frames([frame(0, None)])[0]
            return [self._asked(watched[0], reply)[0]], []
        apart, riding = _riding(watched, rows)
        frames = [calls.frame([self._rows_call(rows[index], token)]) for index in apart]
        # Regions with rows go first: what depends on others is looked at when their rows are read.
        # The very first are rows that change without a word to what the query depends on: all that
        # it does depend on is looked at after them.
        order = sorted(
            range(len(watched)),
            key=lambda index: (index not in riding, not watched[index].rows_apart),
        )
        for index in order:
            own = rows[riding[index]] if index in riding else None
            frames.append(frame(index, own))
        replies = calls.run_frames(frames)
        found: list[Rows] = [[] for _ in rows]
        for index, reply in zip(apart, replies, strict=False):
            found[index] = _rows(reply, len(rows[index].names))
        asked: dict[int, Asked] = {}
        for index, reply in zip(order, replies[len(apart) :], strict=True):
            asked[index], own_rows = self._asked(watched[index], reply)
            if index in riding:
                at = riding[index]
                found[at] = own_rows or [False] * len(rows[at].names)
        return [asked[index] for index in range(len(watched))], found

    def _asked(self, watched: Watched, reply: bytes) -> tuple[Asked, Rows | None]:
        """What a region answered, with the rows that were read along."""
        state, generation, stamp, busy, *more, rows = msgpack.unpackb(reply, raw=True)
        self.scripts.calls.generations[watched.guard] = generation
        return Asked(_STATES[state], generation, stamp, bool(busy), *more), rows or None

    def _ask_call(self, script: str, watched: Watched) -> AskCall:
        key = watched.guard, watched.tagset
        call = self._ask_calls.get(key)
        if call is None:
            calls = self.scripts.calls
            call = self._ask_calls[key] = AskCall(
                calls.server,
                calls.sha(script),
                watched.guard,
                watched.tags_key,
                watched.tagset,
                lock_ms=calls.lock_ms,
                lease_ms=calls.lease_ms,
                max_bytes=calls.max_bytes,
            )
        return call

    def _rows_call(self, wanted: RowsWanted, token: bytes) -> Call:
        known = self.scripts.calls.generations.get(wanted.guard, token)
        keys = [wanted.guard, *wanted.keys(known)]
        # the stamp is asked for so that one row comes in the form of many
        arguments = [b"0", b"?", b"0", self.scripts.calls.max_bytes, wanted.field, b"0"]
        return Call("read", keys, known, token, arguments)

    def vouch(self, guard: bytes, entry: bytes, good: bytes, ago_ms: int) -> None:
        """Note that an entry was in force some time ago (script ``vouch``); nobody waits.

        Args:
            guard: The guard of its home.
            entry: Its key.
            good: When it was last known to be right, as `ask` said.
            ago_ms: Milliseconds since before it was asked for.

        Raises:
            CacheUnavailable: It could not be sent.
        """
        call = Call("vouch", [guard, entry], b"", self.new_token(), [good, b"%d" % ago_ms])
        self.scripts.calls.post([call], lambda replies: None)

    def untag(self, guard: bytes, prefix: bytes, tags: Sequence[bytes]) -> None:
        """End every entry that depends on named tags (script ``untag``).

        Args:
            guard: The guard of the named tags.
            prefix: What stands before their keys.
            tags: The tags.

        Raises:
            CacheUnavailable: Redis did not answer: they may be in force still.
        """
        keys = [guard, prefix + b"tags"]
        call = Call("untag", keys, b"", self.new_token(), [b" ".join(tags)])
        self.scripts.calls.generations[guard] = self.scripts.calls.run([call])[0]

    def keep(
        self, kept: Sequence[Keep], token: bytes, told: Callable[[int | None, int], None]
    ) -> None:
        """Keep a result: its entry and its rows. Nobody waits for the answer.

        Args:
            kept: For each region what is kept there.
            token: The reader's, that of `ask`.
            told: Called once with whether the entry was kept (None when nobody knows), and how
                many rows were.

        Raises:
            CacheUnavailable: It could not be sent.
        """
        calls = []
        for one in kept:
            watched = one.watched
            entry = one.entry or KeptEntry(watched.guard, b"", 0, 0)
            names = [b"%b%b:%b" % (watched.prefix, one.generation, row.name) for row in one.rows]
            tags = () if watched.rows_apart else watched.tags
            arguments = [one.on, one.rows_on, entry.value, integer(entry.ttl_ms),
                         integer(entry.stale_ms), b"%d" % len(tags), *tags,
                         one.field, one.words_field]  # fmt: skip
            for row in one.rows:
                arguments += (row.value, integer(row.ttl_ms), row.words)
            keys = [watched.guard, watched.tags_key, entry.key, *names]
            calls.append(Call("keep", keys, one.generation, token, arguments))

        def answered(replies: list[Any] | None) -> None:
            if replies is None:
                told(None, 0)
            else:
                told(sum(reply[0] for reply in replies), sum(reply[1] for reply in replies))

        self.scripts.calls.post(calls, answered)


def _riding(
    watched: Sequence[Watched], rows: Sequence[RowsWanted]
) -> tuple[list[int], dict[int, int]]:
    """Which of the rows are read by a call of their own, and, for each region, which with its."""
    if not rows:
        return [], {}
    at = {one.guard: index for index, one in enumerate(watched)}
    apart, riding = list[int](), dict[int, int]()
    for index, wanted in enumerate(rows):
        region = at.get(wanted.guard)
        if region is None or region in riding:
            apart.append(index)
        else:
            riding[region] = index
    return apart, riding


def _rows(reply: Any, count: int) -> Rows:
    """The rows of a `read`; none of them where they are named for another generation."""
    if reply[0] != 0:
        return [False] * count
    found = msgpack.unpackb(reply[4], raw=True)
    return [value if value.__class__ is bytes else False for value in found]
