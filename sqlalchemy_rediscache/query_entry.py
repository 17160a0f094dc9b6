"""What a reader asks of a query, what it is told, and what is kept of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import EncodeError
from .keys import Place
from .query.layout import Entity, Layout
from .read_path import unkept
from .stats import Counters
from .store import Asked, Keep, KeptEntry, KeptRow, Watched


class Rules(NamedTuple):
    """How one query is cached.

    Args:
        ttl: Seconds that an entry may stay.
        stale_ms: Milliseconds that a result may be served after it was last known to be right.
        lease: The reader may keep what it loads.
        wait: It may wait for another's load.
        refresh: It wants the database's answer.
    """

    ttl: float
    lease: bool
    wait: bool
    refresh: bool
    stale_ms: int = 0


class Wanted(NamedTuple):
    """A query of one session.

    Args:
        digest: Its name: statement, parameters, and what else tells results apart.
        layout: What the columns of its result are.
        watched: What it depends on; the first is where its entry lies.
        places: For each entity the place of its region.
        direct: Its rows are wanted as the values of its single entity.
        named: An entity whose rows may change while the entry is in force, and where in a row of
            the result the value is that refers to it.
    """

    digest: bytes
    layout: Layout
    watched: Sequence[Watched]
    places: Sequence[Place]
    direct: bool
    named: tuple[int, int] | None = None

    @property
    def name(self) -> tuple[bytes, bytes]:
        """What tells it from all others in this process: its home, and its digest."""
        return self.watched[0].guard, self.digest


@dataclass
class Found:
    """What the cache says of a query.

    Args:
        rows: The rows of its result, None on a miss.
        asked: What it depends on, if it may be kept.
        token: The lease's.
    """

    rows: Sequence[Sequence[Any]] | None = None
    asked: Sequence[Asked] = ()
    token: bytes = b""


@dataclass
class Entry:
    """What an entry holds: the keys of its entities, its other values, the time its load took."""

    keys: list[list[bytes | None]]
    rest: list[bytes]
    took_ms: float


def kept_calls(
    wanted: Wanted,
    asked: Sequence[Asked],
    value: bytes,
    by_key: Sequence[dict[bytes, list[Any]]],
    rules: Rules,
    counters: Counters,
) -> list[Keep]:
    """What to keep with each region: the entry with its home, rows with their own."""
    entry: KeptEntry | None
    key = wanted.watched[0].entry_key(wanted.digest)
    entry = KeptEntry(key, value, int(rules.ttl * 1000), rules.stale_ms)
    calls = []
    at = {watched.guard: index for index, watched in enumerate(wanted.watched)}
    for entity, place, own in zip(wanted.layout.entities, wanted.places, by_key, strict=False):
        index = at.get(place.guard)
        if index is None:
            continue
        own_entry = entry if index == 0 else None
        calls.append(_kept(wanted.watched[index], asked[index], own_entry, entity, own, counters))
        if index == 0:
            entry = None
    if entry is not None:
        calls.append(_kept(wanted.watched[0], asked[0], entry, None, {}, counters))
    return calls


def _kept(
    watched: Watched,
    asked: Asked,
    entry: KeptEntry | None,
    entity: Entity | None,
    rows: dict[bytes, list[Any]],
    counters: Counters,
) -> Keep:
    found: list[KeptRow] = []
    rows_on = asked.on
    if watched.rows_apart:
        # A writer of the region that was under way may be one of these rows.
        rows_on = b"" if asked.busy else b"%b|%b" % (asked.generation, asked.stamp)
    if entity is not None and rows_on:
        region = entity.region
        for name, values in rows.items():
            try:
                row = KeptRow(
                    name, region.codec.encode(values), region.ttl_ms(), region.words(values)
                )
            except EncodeError as error:
                counters.because("unencodable", unkept(error))
                continue
            found.append(row)
    field, words = (entity.region.field, entity.region.words_field) if entity else (b"", b"")
    return Keep(watched, asked.generation, asked.on, rows_on, entry, field, words, found)


def given_back(wanted: Wanted, asked: Sequence[Asked]) -> Keep:
    """What gives the lease back that a query was granted."""
    watched = wanted.watched[0]
    entry = KeptEntry(watched.entry_key(wanted.digest), b"", 0, 0)
    return Keep(watched, asked[0].generation, asked[0].on, asked[0].on, entry, b"", b"", [])
