"""Values of one packed row put in another, without decoding either."""

from __future__ import annotations

from collections.abc import Iterable

from msgpack import Unpacker


def spliced(row: bytes, changes: bytes, places: Iterable[int], count: int) -> bytes | None:
    """A packed row with some values taken from another: 1 us, where to decode and encode takes 10.

    What is kept stays as it is, byte for byte. Nobody has looked at more than its length: whoever
    reads the row decodes it and finds out if it is damaged, as with the row that was there before.

    Args:
        row: A row that `RowCodec.encode` packed, or anything else.
        changes: A row of the same codec.
        places: Which values to take from `changes`.
        count: How many columns a row has.

    Returns:
        None if one of them is not an array of so many values as it stands: it may be compressed.
    """
    kept, taken = _bounds(row, count), _bounds(changes, count)
    if kept is None or taken is None or row[: kept[0]] != changes[: taken[0]]:
        return None
    parts: list[bytes] = []
    at = 0
    for place in sorted(places):
        parts += (row[at : kept[place]], changes[taken[place] : taken[place + 1]])
        at = kept[place + 1]
    parts.append(row[at:])
    return b"".join(parts)


def _bounds(packed: bytes, count: int) -> list[int] | None:
    """Where each value of an array begins, and where the last one ends; None if it is no array."""
    unpacker = Unpacker()
    tell, skip = unpacker.tell, unpacker.skip
    try:
        unpacker.feed(packed)
        if unpacker.read_array_header() != count:
            return None
        bounds = [tell()]
        for _ in range(count):
            skip()
            bounds.append(tell())
    except Exception:  # noqa: BLE001 (anybody may have written these bytes: whatever goes wrong)
        return None
    return bounds if bounds[-1] == len(packed) else None
