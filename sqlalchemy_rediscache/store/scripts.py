"""The typed callers of the Lua scripts, one method for each: the protocol as the rest sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from ..errors import CacheUnavailable
from .answers import (
    OTHER_GENERATION,
    OTHER_STAMP,
    Held,
    HeldRows,
    Lease,
    LockWanted,
    Published,
    Reading,
    State,
)
from .calls import Call, Calls
from .read_call import ReadCall, undo_of
from .transport import Frame, Transport
from .wire import integer

_NOTHING: Final = Published(b"", b"", 0)
"""Tells ``release`` to publish nothing in a row."""

_LENT: Final = (State.LEASED, State.LEASED_EARLY)


class Scripts:
    """The protocol of rows.

    Args:
        calls: How scripts are called.
    """

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.tokens = calls.tokens
        self._undoes = calls.transport.cancellable
        self._read_calls: dict[tuple[bytes, bytes], ReadCall] = {}
        """For each guard and field."""

    @property
    def transport(self) -> Transport:
        """Where calls go."""
        return self.calls.transport

    # -- reading ------------------------------------------------------------------------------

    def read(
        self,
        guard: bytes,
        prefix: bytes,
        tokens: Sequence[bytes],
        field: bytes,
        *,
        lease: bool,
        stamp: bytes = b"",
        refresh: bool = False,
        early_ms: int = 0,
    ) -> tuple[Reading, Sequence[Lease | None]]:
        """Read rows of one bucket (script ``read``), with a lease for each that is to be loaded.

        Args:
            guard: The bucket's guard.
            prefix: What stands before the generation in the rows' keys.
            tokens: The last part of each row's key.
            field: The field of the row's hash to read.
            lease: Ask for leases.
            stamp: b"" for no matter, b"?" to have it reported, or the one that must be in force.
            refresh: Act as if the values were absent (and delete them).
            early_ms: Ask for leases on rows, too, that are there and have less than this to live.
        """
        call = self._read_call("read", guard, prefix, field)
        token = self.tokens.new()
        known = self.calls.generations.get(guard, token)
        tail = call.tail(lease=lease, stamp=stamp, refresh=refresh, early_ms=early_ms)
        while True:
            rows = [call.key(known, name) for name in tokens]
            undo = self._undo(guard, known, token, rows) if lease and self._undoes else None
            if len(rows) == 1:
                frame = call.one(rows[0], known, token, tail)
            else:
                frame = call.many(rows, known, token, tail)
            reply = self.calls.send(frame, undo)
            if reply.__class__ is bytes:
                return Reading((reply,), None, False, True), (None,)
            code, current = reply[0], reply[1]
            self.calls.generations[guard] = current
            if code == OTHER_GENERATION:
                known = current
                continue
            if code == OTHER_STAMP:
                gone = (State.OTHER_STAMP,) * len(rows)
                return Reading(gone, reply[2], bool(reply[3])), (None,) * len(rows)
            states: list[Any] = msgpack.unpackb(reply[4], raw=True)
            if len(states) == 1 and states[0] == State.LEASED:  # a miss, as a rule
                lent = Lease(guard, known, rows[0], field, token, time.monotonic(), reply[5])
                return Reading([State.LEASED], reply[2], bool(reply[3])), [lent]
            if int not in map(type, states):
                return Reading(states, reply[2], bool(reply[3]), True), (None,) * len(rows)
            states = [State(found) if found.__class__ is int else found for found in states]
            now = time.monotonic()
            leases = [
                Lease(guard, known, row, field, token, now, reply[5]) if found in _LENT else None
                for row, found in zip(rows, states, strict=True)
            ]
            return Reading(states, reply[2], bool(reply[3])), leases

    def _read_call(self, script: str, guard: bytes, prefix: bytes, field: bytes) -> ReadCall:
        call = self._read_calls.get((guard, field))
        if call is None:
            call = self._read_calls[guard, field] = ReadCall(
                self.calls.server,
                self.calls.sha(script),
                guard,
                prefix,
                lock_ms=self.calls.lock_ms,
                lease_ms=self.calls.lease_ms,
                max_bytes=self.calls.max_bytes,
                field=field,
            )
        return call

    def fill(
        self,
        filled: Sequence[tuple[Lease, bytes, int, bytes]],
        told: Callable[[int | None], None],
        words_field: bytes = b"",
    ) -> None:
        """Fill rows under leases of one read (script ``fill``).

        Nobody waits for the answer: see `Transport.post`.

        Args:
            filled: For each row its lease, the value, its TTL in milliseconds, and its tags as
                words, b"" where they are not known. With b"" as its value the lease is given
                back: with 0 as its TTL, too, what was there is left, else it goes.
            told: Called once, now or later, with how many were accepted, None when nobody knows.
            words_field: The field of the rows' tags.

        Raises:
            CacheUnavailable: It could not be sent.
        """
        first = filled[0][0]
        tail: list[bytes] = []
        for lease, value, ttl_ms, words in filled:
            tail += (lease.field, value, integer(ttl_ms), words_field, words)
        keys = [first.guard, *(lease.row for lease, _, _, _ in filled)]
        call = Call("fill", keys, first.generation, first.token, tail)
        self.calls.post([call], lambda replies: told(None if replies is None else replies[0]))

    # -- writing ------------------------------------------------------------------------------

    def lock(self, wanted: Sequence[LockWanted], token: bytes) -> list[Held]:
        """Hold rows, or whole regions, for a writer (script ``lock``), all in one round trip.

        Args:
            wanted: For each guard what to hold.
            token: The writer's token.
        """
        held: dict[int, Held] = {}
        while len(held) < len(wanted):
            calls = []
            for index, one in enumerate(wanted):
                if index not in held:
                    known = self.calls.generations.get(one.guard, token)
                    rows = _keys(one.guard, one.prefix, known, one.names)
                    keys = [rows[0], one.prefix + b"tags", *rows[1:]]
                    fields = one.fields
                    if fields and fields.count(fields[0]) == len(fields):
                        fields = fields[:1]
                    tagset, loose, words, had, unnamed = one.touched
                    arguments = (b"1" if one.whole else b"0", tagset, b"1" if loose else b"0",
                                 words, had, b"1" if unnamed else b"0", *fields)  # fmt: skip
                    calls.append((index, Call("lock", keys, known, token, arguments)))
            replies = self.calls.run([call for _, call in calls])
            for (index, call), packed in zip(calls, replies, strict=True):
                reply = msgpack.unpackb(packed, raw=True)
                self.calls.generations[call.keys[0]] = reply[1]
                if reply[0] == 0:
                    held[index] = Held(reply[1], reply[2])
        return [held[index] for index in range(len(wanted))]

    def release(
        self, held: Sequence[HeldRows], token: bytes, told: Callable[[int | None], None]
    ) -> None:
        """Release what `lock` held and publish (script ``release``).

        Nobody waits for the answer: see `Transport.post`. Until the server has it, the rows stay
        locked, and are read from the database.

        Args:
            held: For each guard what was held.
            token: The writer's token.
            told: Called once, now or later, with how many rows were published, None when nobody
                knows: the lock expires by itself then.

        Raises:
            CacheUnavailable: It could not be sent.
        """

        def _calls(waiting: Sequence[HeldRows]) -> list[Call]:
            return [
                Call("release", _keys(one.guard, one.prefix, one.generation, one.names),
                     one.generation, token, (b"1" if one.whole else b"0", _packed(one.values)))
                for one in waiting
            ]  # fmt: skip

        def answered(replies: list[Any] | None) -> None:
            # Sent once more where it was lost: for one token it may run twice.
            published = 0
            waiting = held
            try:
                while waiting:
                    if replies is None:
                        replies = self.calls.run(_calls(waiting))
                    again: list[HeldRows] = []
                    for one, packed in zip(waiting, replies, strict=True):
                        reply = msgpack.unpackb(packed, raw=True)
                        self.calls.generations[one.guard] = reply[1]
                        if reply[0] == 1:  # renamed meanwhile: empty the rows under the new names
                            again.append(one._replace(generation=reply[1], values=()))
                        else:
                            published += reply[2]
                    waiting, replies = again, None
            except CacheUnavailable:
                told(None)
                return
            told(published)

        self.calls.post(_calls(held), answered)

    def invalidate(self, wanted: Sequence[tuple[bytes, bytes, Sequence[bytes]]]) -> None:
        """Empty rows, or whole regions (script ``invalidate``).

        Args:
            wanted: For each guard: guard, key prefix and row names (none: the whole region).
        """
        waiting = list(wanted)
        token = self.tokens.new()
        while waiting:
            calls = []
            for guard, prefix, names in waiting:
                known = self.calls.generations.get(guard, token)
                keys = _keys(guard, prefix, known, names)
                calls.append(Call("invalidate", keys, known, token, ()))
            again = []
            for one, reply in zip(waiting, self.calls.run(calls), strict=True):
                self.calls.generations[one[0]] = reply[1]
                if reply[0] == 1:
                    again.append(one)
            waiting = again

    def clear(self, pattern: bytes) -> int:
        """Give every guard under a pattern a new generation and delete the rows of the old ones.

        Only rows that were there before are deleted: they are out of reach then. One of the new
        generation may be a writer's lock.

        Args:
            pattern: A pattern of SCAN that matches guards and rows.

        Returns:
            How many guards there were.
        """
        keys = self.scan(pattern)
        guards = [key for key in keys if key.endswith(b":guard")]
        self.invalidate([(guard, guard[: -len(b"guard")], ()) for guard in guards])
        tags = {guard[: -len(b"guard")] for guard in guards}
        rows = [key for key in keys if key[: key.rfind(b"}:") + 2] in tags and key not in guards]
        for start in range(0, len(rows), 500):
            self.calls.command(b"UNLINK", *rows[start : start + 500])
        return len(guards)

    # -- plain commands -----------------------------------------------------------------------

    def scan(self, pattern: bytes) -> list[bytes]:
        """Every key that matches a pattern; some may come twice or be gone by now."""
        cursor, found = b"0", list[bytes]()
        while True:
            cursor, keys = self.calls.command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"500")
            found += keys
            if cursor == b"0":
                return found

    # -- parts --------------------------------------------------------------------------------

    def _undo(self, guard: bytes, generation: bytes, token: bytes, rows: Sequence[bytes]) -> Frame:
        sha = self.calls.sha("fill")
        return undo_of(sha, guard, generation, token, self.calls.lock_ms, rows)


def _keys(guard: bytes, prefix: bytes, generation: bytes, names: Sequence[bytes]) -> list[bytes]:
    """The keys of a call: the guard and the rows of a generation."""
    before = b"%b%b:" % (prefix, generation)
    return [guard, *[before + name for name in names]]


def _packed(values: Sequence[Published | None]) -> bytes:
    """What to publish, as one argument: the server reads a thousand of them more slowly."""
    flat: list[bytes | int] = []
    for value in values:
        flat += value or _NOTHING
    packed: bytes = msgpack.packb(flat, use_bin_type=False)
    return packed
