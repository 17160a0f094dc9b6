"""The call of the script ``ask`` for one region, packed beforehand as far as it does not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .server import ServerIdentity
from .transport import Frame
from .wire import Middle, bulks

_LONGEST_KEPT: Final = 16_384
"""Bytes of rows' keys that are kept packed."""


class RowsWanted:
    """Rows of one region to read along with an entry.

    Args:
        guard: The region's guard.
        prefix: What stands before the generation in the rows' keys.
        field: The field to read.
        names: The last parts of their keys.
    """

    __slots__ = ("_packed", "field", "guard", "names", "prefix")

    def __init__(self, guard: bytes, prefix: bytes, field: bytes, names: Sequence[bytes]) -> None:
        self.guard = guard
        self.prefix = prefix
        self.field = field
        self.names = names
        self._packed: tuple[bytes, bytes] | None = None
        """A generation, and the keys of the rows that are named for it, packed."""

    def keys(self, generation: bytes) -> list[bytes]:
        """The keys of the rows."""
        before = b"%b%b:" % (self.prefix, generation)
        return [before + name for name in self.names]

    def packed(self, generation: bytes) -> bytes:
        """The keys of the rows, packed: once for all who ask for the same rows again."""
        known = self._packed
        if known is not None and known[0] == generation:
            return known[1]
        packed = bulks(self.keys(generation))
        if len(packed) <= _LONGEST_KEPT:
            self._packed = generation, packed
        return packed


class AskCall:
    """Packs what is asked of one region.

    Args:
        server: What is known of the server.
        sha: What EVALSHA calls the script by.
        guard: The region's guard.
        tags_key: The hash of its tags.
        tagset: See ``ask.lua``, as the following.
        lock_ms: Milliseconds of a lock.
        lease_ms: Milliseconds of a lease, where one is asked for.
        max_bytes: Most bytes of an entry or a row.
    """

    __slots__ = ("_guard", "_lease_ms", "_lock_ms", "_max_bytes", "_middle", "_server", "_start",
                 "_tagset", "_tails")  # fmt: skip

    def __init__(
        self,
        server: ServerIdentity,
        sha: bytes,
        guard: bytes,
        tags_key: bytes,
        tagset: bytes,
        *,
        lock_ms: bytes,
        lease_ms: bytes,
        max_bytes: bytes,
    ) -> None:
        self._server = server
        self._start = bulks((b"EVALSHA", sha))
        self._guard = bulks((guard, tags_key))
        self._tagset = tagset
        self._lock_ms = lock_ms
        self._lease_ms = lease_ms
        self._max_bytes = max_bytes
        self._tails: dict[tuple[bool, bytes, bool, int, bool, bytes], bytes] = {}
        self._middle = Middle()

    def frame(
        self,
        generation: bytes,
        token: bytes,
        entry: bytes | None,
        rows: RowsWanted | None,
        tags: Sequence[bytes],
        tail: bytes,
    ) -> Frame:
        """One call.

        Args:
            generation: The one that rows are named for.
            token: The reader's.
            entry: The key of the entry; None with a region that is not its home.
            rows: Rows to read along.
            tags: What the query depends on here.
            tail: The arguments between, from `tail`.
        """
        keys = b"" if entry is None else b"$%d\r\n%b\r\n" % (len(entry), entry)
        count = 2 if entry is None else 3
        if rows is not None:
            keys += rows.packed(generation)
            count += len(rows.names)
        last = bulks(tags)
        parts = 16 + count + len(tags)

        def frame(run: bytes) -> bytes:
            hold = self._server.hold_ms()
            return b"*%d\r\n%b%b%b%b%b$%d\r\n%b\r\n$%d\r\n%b\r\n%b%b" % (
                parts, self._start, bulks((b"%d" % count,)), self._guard, keys,
                self._middle.packed(run, generation), len(token), token, len(hold), hold,
                tail, last,
            )  # fmt: skip

        return frame

    def tail(
        self, *, lease: bool, stamp: bytes, refresh: bool, stale_ms: int, home: bool, field: bytes
    ) -> bytes:
        """The arguments from the lock's time to the rows' field, packed: few for most programs."""
        key = (lease, stamp, refresh, stale_ms, home, field)
        known = self._tails.get(key)
        if known is None:
            known = bulks(
                (self._lock_ms, self._lease_ms if lease else b"0", self._max_bytes, stamp,
                 b"1" if refresh else b"0", self._tagset, b"%d" % stale_ms if home else b"0",
                 b"1" if home else b"0", field)
            )  # fmt: skip
            if stamp == b"":
                self._tails[key] = known
        return known
