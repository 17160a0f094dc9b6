"""Commands as the bytes that Redis reads (RESP), packed once for a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterable


def pack(parts: Iterable[bytes]) -> bytes:
    """One command as a RESP array of bulk strings."""
    parts = list(parts)
    out = [b"*%d\r\n" % len(parts)]
    for part in parts:
        out.append(b"$%d\r\n%b\r\n" % (len(part), part))
    return b"".join(out)


def integer(value: float) -> bytes:
    """A number of milliseconds (or any count) as Redis reads it."""
    return b"%d" % value
