"""What goes in and out of the scripts: states, readings, leases, locks, and the scripts' texts."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

OTHER_GENERATION = 1
OTHER_STAMP = 2


class State(enum.IntEnum):
    """What a read found where there is no value to serve."""

    LEASED = 1
    """Absent; the caller may fill it."""
    LOCKED = 2
    """A writer is about to commit, or the server's quarantine lasts: load, don't fill."""
    BEING_FILLED = 3
    """Absent; another reader is loading it."""
    ABSENT = 4
    """Absent; no lease was asked for."""
    TOO_LARGE = 5
    """The value was larger than any of ours and is deleted."""
    OTHER_STAMP = 6
    """The region changed since the caller's snapshot: the cache may not answer it."""
    LEASED_EARLY = 7
    """There, but nearly over; the caller may fill it, the others go on getting the value."""


class Reading(NamedTuple):
    """The answer to one read."""

    rows: Sequence[bytes | State]
    """For each key asked for, its value or why there is none."""
    stamp: bytes | None
    """The region's stamp when the answer was given; None where it was not reported."""
    busy: bool
    """A writer or the quarantine was open then."""
    whole: bool = False
    """Every row asked for has a value."""


class Lease(NamedTuple):
    """The right to fill one row, granted by a read."""

    guard: bytes
    generation: bytes
    row: bytes
    field: bytes
    token: bytes
    since: float = 0.0
    """When it was granted, by ``time.monotonic()``."""
    absent: bytes = b""
    """What must follow a remembered absence that is loaded under it; b"" where none may be kept."""


class Published(NamedTuple):
    """What a release puts in a row: the value under its field, for `ttl_ms`, and its tags."""

    field: bytes
    value: bytes
    ttl_ms: int
    words_field: bytes = b""
    words: bytes = b""


class Touched(NamedTuple):
    """The tags of the rows that a transaction wrote."""

    tagset: bytes = b""
    """The columns that they are of."""
    loose: bool = False
    """Rows may have got tags that are not known."""
    words: bytes = b""
    """Those that they got, as words."""
    had: bytes = b""
    """For each row b"1" when it was there before, and had tags that only its hash tells."""
    unnamed: bool = False
    """Rows were made whose keys are not known: no absence of the region is sure any more."""


class LockWanted(NamedTuple):
    """What to lock with one guard."""

    guard: bytes
    prefix: bytes
    names: Sequence[bytes]
    """The rows; none with `whole`, or where only tags are written (an association table)."""
    fields: Sequence[bytes]
    """For each row the field whose value to return, or b""."""
    whole: bool
    """The whole region."""
    touched: Touched = Touched()


class Held(NamedTuple):
    """A lock that was taken on one guard."""

    generation: bytes
    values: Sequence[bytes]
    """The value that each row had, b"" where none or where another writer holds it too."""


class HeldRows(NamedTuple):
    """What to release with one guard."""

    guard: bytes
    prefix: bytes
    generation: bytes
    """The one at lock time."""
    names: Sequence[bytes]
    whole: bool
    values: Sequence[Published | None]
    """For each row what to publish; nothing at all for none."""


class Script(NamedTuple):
    """The text of a script and what EVALSHA calls it by."""

    text: bytes
    sha: bytes


_WITH_TAGS = frozenset({"lock", "release", "invalidate", "ask", "keep", "untag"})
_WITH_SHORT_WAY = frozenset({"ask", "read"})
"""Before these stands what answers most of their calls, without all that the others need."""


def load_script(name: str) -> Script:
    """The script of a name, with the functions of the guard before it, and of tags where needed."""
    folder = resources.files(__package__) / "lua"
    parts = ("guard", "tags", name) if name in _WITH_TAGS else ("guard", name)
    if name in _WITH_SHORT_WAY:
        parts = (f"{name}_short", *parts)
    text = b"\n".join([(folder / f"{part}.lua").read_bytes() for part in parts])
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
