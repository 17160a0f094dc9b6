"""The typed callers of the Lua scripts, one method for each: the protocol as the rest sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack
from redis.exceptions import NoScriptError, ResponseError

from ..errors import CacheUnavailable
from .answers import (
    OTHER_GENERATION,
    OTHER_STAMP,
    Held,
    HeldRows,
    Lease,
    Published,
    Reading,
    State,
    load_script,
)
from .server import ServerIdentity
from .tokens import Tokens
from .transport import Frame, Transport
from .wire import bulks, integer, pack

_NOTHING: Final = Published(b"", b"", 0)
"""Tells ``release`` to publish nothing in a row."""


class Scripts:
    """Calls the scripts over a transport and keeps each guard's generation between calls.

    Args:
        transport: Where calls go.
        server: What is known of the server.
        tokens: Makes lease, lock and generation names.
        lock_ttl: Seconds after which the lock of a writer that died is void.
        lease_ttl: Seconds that a reader has to fill.
        max_bytes: Values larger than this are never served.
        generations: Generation of each guard as last seen; shared by all transports of a store.
        called: Called once for each round trip.
    """

    def __init__(
        self,
        transport: Transport,
        server: ServerIdentity,
        tokens: Tokens,
        *,
        lock_ttl: float,
        lease_ttl: float,
        max_bytes: int,
        generations: dict[bytes, bytes],
        called: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.tokens = tokens
        self._server = server
        self._lock_ms = integer(lock_ttl * 1000)
        self._lease_ms = integer(lease_ttl * 1000)
        self._max_bytes = integer(max_bytes)
        self._generations = generations
        self._called = called
        self._scripts = {
            name: load_script(name) for name in ("read", "fill", "lock", "release", "invalidate")
        }
        self._heads = {
            name: bulks((b"EVALSHA", script.sha)) for name, script in self._scripts.items()
        }
        self._read_tails: dict[tuple[bytes, bool, bytes, bool], bytes] = {}

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
    ) -> tuple[Reading, Sequence[Lease | None]]:
        """Read rows of one bucket (script ``read``), with a lease for each that is absent.

        Args:
            guard: The bucket's guard.
            prefix: What stands before the generation in the rows' keys.
            tokens: The last part of each row's key.
            field: The field of the row's hash to read.
            lease: Ask for leases.
            stamp: b"" for no matter, b"?" to have it reported, or the one that must be in force.
            refresh: Act as if the values were absent (and delete them).
        """
        token = self.tokens.new()
        known = self._generations.get(guard, token)
        tail = self._read_tail(field, lease, stamp, refresh)
        while True:
            rows = [b"%b%b:%b" % (prefix, known, name) for name in tokens]
            undo = self._undo(guard, known, token, rows) if lease else None
            reply = self._send(self._packed("read", guard, rows, known, token, tail), undo)
            if reply.__class__ is bytes:
                return Reading((reply,), None, False), (None,)
            code, current = reply[0], reply[1]
            self._generations[guard] = current
            if code == OTHER_GENERATION:
                known = current
                continue
            if code == OTHER_STAMP:
                gone = (State.OTHER_STAMP,) * len(rows)
                return Reading(gone, reply[2], bool(reply[3])), (None,) * len(rows)
            states = [
                State(found) if found.__class__ is int else found
                for found in msgpack.unpackb(reply[4], raw=True)
            ]
            leases = [
                Lease(guard, known, row, field, token) if found is State.LEASED else None
                for row, found in zip(rows, states, strict=True)
            ]
            return Reading(states, reply[2], bool(reply[3])), leases

    def _read_tail(self, field: bytes, lease: bool, stamp: bytes, refresh: bool) -> bytes:
        """The arguments of ``read`` that don't change from call to call, packed."""
        key = (field, lease, stamp, refresh)
        known = self._read_tails.get(key)
        if known is None:
            known = bulks(
                (self._lock_ms, self._lease_ms if lease else b"0", stamp,
                 b"1" if refresh else b"0", self._max_bytes, field)
            )  # fmt: skip
            if stamp in (b"", b"?"):
                self._read_tails[key] = known
        return known

    def _packed(
        self,
        name: str,
        guard: bytes,
        rows: Sequence[bytes],
        generation: bytes,
        token: bytes,
        tail: bytes,
    ) -> Frame:
        # The hottest call of all: packed in one go, 1 us where the general way takes 5.
        head = b"*%d\r\n%b$%d\r\n%d\r\n%b" % (
            len(rows) + 14,
            self._heads[name],
            len(b"%d" % (len(rows) + 1)),
            len(rows) + 1,
            bulks((guard, *rows)),
        )

        def frame(run: bytes) -> bytes:
            hold = self._server.hold_ms()
            return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (
                head, len(run), run, len(generation), generation, len(token), token,
                len(hold), hold, tail,
            )  # fmt: skip

        return frame

    def fill(self, filled: Sequence[tuple[Lease, bytes, int]]) -> int:
        """Fill rows under leases of one read (script ``fill``); b"" gives the lease back.

        Args:
            filled: For each row its lease, the value and its TTL in milliseconds.

        Returns:
            How many were accepted.
        """
        first = filled[0][0]
        tail: list[bytes] = []
        for lease, value, ttl_ms in filled:
            tail += (lease.field, value, integer(ttl_ms))
        head = [first.generation, first.token, b"%hold%", self._lock_ms]
        accepted: int = self._call(
            "fill", [first.guard, *(lease.row for lease, _, _ in filled)], head + tail
        )
        return accepted

    # -- writing ------------------------------------------------------------------------------

    def lock(
        self, wanted: Sequence[tuple[bytes, bytes, Sequence[bytes], Sequence[bytes]]], token: bytes
    ) -> list[Held]:
        """Hold rows, or whole regions, for a writer (script ``lock``), all in one round trip.

        Args:
            wanted: For each guard: guard, key prefix, row names (none: the whole region) and for
                each row the field whose value to return, or b"".
            token: The writer's token.
        """
        held: dict[int, Held] = {}
        while len(held) < len(wanted):
            calls = []
            for index, (guard, prefix, names, fields) in enumerate(wanted):
                if index not in held:
                    known = self._generations.get(guard, token)
                    if fields and fields.count(fields[0]) == len(fields):
                        fields = fields[:1]  # noqa: PLW2901
                    arguments = [known, token, b"%hold%", self._lock_ms,
                                 b"0" if names else b"1", *fields]  # fmt: skip
                    calls.append((index, _keys(guard, prefix, known, names), arguments))
            replies = self._call_all("lock", [call[1:] for call in calls])
            for (index, keys, _), packed in zip(calls, replies, strict=True):
                reply = msgpack.unpackb(packed, raw=True)
                self._generations[keys[0]] = reply[1]
                if reply[0] == 0:
                    held[index] = Held(reply[1], reply[2])
        return [held[index] for index in range(len(wanted))]

    def release(
        self,
        held: Sequence[HeldRows],
        token: bytes,
    ) -> int:
        """Release what `lock` held and publish (script ``release``), all in one round trip.

        Args:
            held: For each guard: guard, key prefix, the generation at lock time, row names (none:
                the whole region) and for each row what to publish, nothing at all for none.
            token: The writer's token.

        Returns:
            How many rows were published.
        """
        published = 0
        waiting: list[HeldRows] = list(held)
        while waiting:
            calls = []
            for guard, prefix, generation, names, values in waiting:
                arguments = [generation, token, b"%hold%", self._lock_ms,
                             b"0" if names else b"1", _packed(values)]  # fmt: skip
                calls.append((_keys(guard, prefix, generation, names), arguments))
            replies = self._call_all("release", calls)
            again: list[HeldRows] = []
            for one, packed in zip(waiting, replies, strict=True):
                reply = msgpack.unpackb(packed, raw=True)
                guard, prefix, _, names, _ = one
                self._generations[guard] = reply[1]
                if reply[0] == 1:  # renamed meanwhile: empty the rows under their new names
                    again.append((guard, prefix, reply[1], names, ()))
                else:
                    published += reply[2]
            waiting = again
        return published

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
                known = self._generations.get(guard, token)
                keys = _keys(guard, prefix, known, names)
                calls.append((keys, [known, token, b"%hold%", self._lock_ms]))
            again = []
            for one, reply in zip(waiting, self._call_all("invalidate", calls), strict=True):
                self._generations[one[0]] = reply[1]
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
            self.command(b"UNLINK", *rows[start : start + 500])
        return len(guards)

    # -- plain commands -----------------------------------------------------------------------

    def scan(self, pattern: bytes) -> list[bytes]:
        """Every key that matches a pattern; some may come twice or be gone by now."""
        cursor, found = b"0", list[bytes]()
        while True:
            cursor, keys = self.command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"500")
            found += keys
            if cursor == b"0":
                return found

    def command(self, *parts: bytes) -> Any:
        """Run one command of Redis that is no script."""
        packed = pack(parts)
        return self._send(lambda run: packed)

    # -- calls --------------------------------------------------------------------------------

    def _call(
        self, name: str, keys: list[bytes], arguments: list[bytes], undo: Frame | None = None
    ) -> Any:
        return self._send(self._frame(name, [(keys, arguments)]), undo)

    def _call_all(self, name: str, calls: Sequence[tuple[list[bytes], list[bytes]]]) -> list[Any]:
        frame = self._frame(name, calls)
        self._called()
        replies = self.transport.exchange(frame, len(calls))
        if NoScriptError in map(type, replies):
            # Scripts are idempotent for one token, so those of the pipeline that ran may run again.
            self._load_scripts()
            self._called()
            replies = self.transport.exchange(frame, len(calls))
        for reply in replies:
            _raise_refusal(reply)
        return replies

    def _frame(self, name: str, calls: Sequence[tuple[list[bytes], list[bytes]]]) -> Frame:
        sha = self._scripts[name].sha

        def frame(run: bytes) -> bytes:
            hold = self._server.hold_ms()
            return b"".join(
                pack((b"EVALSHA", sha, b"%d" % len(keys), *keys, run, arguments[0],
                      arguments[1], hold, *arguments[3:]))
                for keys, arguments in calls
            )  # fmt: skip

        return frame

    def _send(self, frame: Frame, undo: Frame | None = None) -> Any:
        """One command, one reply."""
        self._called()
        reply = self.transport.exchange(frame, 1, undo)[0]
        if isinstance(reply, ResponseError):
            if isinstance(reply, NoScriptError):
                self._load_scripts()
                self._called()
                reply = self.transport.exchange(frame, 1, undo)[0]
            _raise_refusal(reply)
        return reply

    def _load_scripts(self) -> None:
        load = b"".join(pack((b"SCRIPT", b"LOAD", one.text)) for one in self._scripts.values())
        self._called()
        self.transport.exchange(lambda run: load, len(self._scripts))

    def _undo(self, guard: bytes, generation: bytes, token: bytes, rows: Sequence[bytes]) -> Frame:
        def frame(run: bytes) -> bytes:
            return pack((b"EVALSHA", self._scripts["fill"].sha, b"%d" % (1 + len(rows)), guard,
                         *rows, run, generation, token, b"0", self._lock_ms,
                         *(b"", b"", b"0") * len(rows)))  # fmt: skip

        return frame


def _raise_refusal(reply: Any) -> None:
    if isinstance(reply, ResponseError):
        raise CacheUnavailable(f"Redis refused a command of the cache: {reply}") from reply


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
