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


class Published(NamedTuple):
    """What a release puts in a row: the value under its field, for `ttl_ms`."""

    field: bytes
    value: bytes
    ttl_ms: int


class Held(NamedTuple):
    """A lock that was taken on one guard."""

    generation: bytes
    values: Sequence[bytes]
    """The value that each row had, b"" where none or where another writer holds it too."""


HeldRows = tuple[bytes, bytes, bytes, Sequence[bytes], Sequence[Published | None]]


class Script(NamedTuple):
    """The text of a script and what EVALSHA calls it by."""

    text: bytes
    sha: bytes


def load_script(name: str) -> Script:
    """The script of a name, with the guard's functions before it."""
    folder = resources.files(__package__) / "lua"
    text = (folder / "guard.lua").read_bytes() + b"\n" + (folder / f"{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
