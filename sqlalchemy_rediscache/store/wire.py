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
