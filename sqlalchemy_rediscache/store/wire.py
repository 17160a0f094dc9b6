"""Commands as the bytes that Redis reads (RESP), packed once for a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pack(parts: Sequence[bytes]) -> bytes:
    """One command as a RESP array of bulk strings."""
    return b"*%d\r\n%b" % (len(parts), bulks(parts))


def bulks(parts: Iterable[bytes]) -> bytes:
    """Bulk strings, without the array around them."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


def integer(value: float) -> bytes:
    """A number of milliseconds (or any count) as Redis reads it."""
    return b"%d" % value


class Middle:
    """The run of the server and a generation, packed: both change rarely."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b"", b"", b""  # of one piece: other threads look at it

    def packed(self, run: bytes, generation: bytes) -> bytes:
        """Both as bulk strings; once for as long as they are the same objects."""
        last = self._last
        if last[0] is run and last[1] is generation:
            return last[2]
        packed = bulks((run, generation))
        self._last = run, generation, packed
        return packed
