"""The query path: from a query's name to its rows, or the right to keep what is loaded.

Read it from top to bottom, after `read_path`. An **entry** of a query holds the primary keys of its
entities and its other values, never an entity's columns: those are in the row cache, once. Beside
them it holds what the query depended on, in each region, before it was loaded.

How an entry can't be stale, step by step:

1. The reader asks what the query depends on now: for each region the stamps of its tags, or of the
   region. While a write that may concern it is under way, nothing is kept.
2. The reader loads the query.
3. The entry is stored with what step 1 said.
4. A later reader asks again, and is served only if every stamp is still the same. A writer changes
   the stamps in its lock, before its COMMIT: had it locked after step 1, they differ; had it locked
   before, step 1 would have found it under way, or its commit was there for step 2 to see.

The rows that an entry names are read before the stamps are compared, all in one round trip. Each of
them has a tag that the query depends on (or the region's stamp counts), so a row that was written
meanwhile changes a stamp too: keys and rows belong to one moment.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .codec import Wire
from .debts import Debts
from .errors import CacheUnavailable, EncodeError, EntryTooLarge
from .keys import Place
from .patience import Patience
from .query.layout import Entity, Layout
from .read_path import unkept
from .stats import Counters
from .store import Asked, Keep, KeptRow, QueryScripts, QueryState, RowsWanted, Watched

Keys = Sequence[Sequence[bytes | None]]
"""For each entity of a result the keys in its rows."""

_UNSURE = (QueryState.WRITTEN, QueryState.OTHER_STAMP)
_MOST_ROUNDS = 5
"""An entry that names other rows each time that it is looked at is left alone after this many."""

_EARLY_BETA = 1.0
"""How eagerly entries are loaded anew before they expire: 1 is the optimum of XFetch."""


class Rules(NamedTuple):
    """How one query is cached.

    Args:
        ttl: Seconds that an entry may stay.
        lease: The reader may keep what it loads.
        wait: It may wait for another's load.
        refresh: It wants the database's answer.
    """

    ttl: float
    lease: bool
    wait: bool
    refresh: bool


@dataclass(frozen=True)
class Wanted:
    """A query of one session.

    Args:
        digest: Its name: statement, parameters, and what else tells results apart.
        layout: What the columns of its result are.
        watched: What it depends on; the first is where its entry lies.
        places: For each entity the place of its region.
        direct: Its rows are wanted as the values of its single entity.
    """

    digest: bytes
    layout: Layout
    watched: Sequence[Watched]
    places: Sequence[Place]
    direct: bool


@dataclass
class Found:
    """What the cache says of a query.

    Args:
        rows: The rows of its result, None on a miss.
        asked: What it depends on, if it may be kept.
        token: The lease's.
    """

    rows: list[Sequence[Any]] | None = None
    asked: Sequence[Asked] = ()
    token: bytes = b""


@dataclass
class Entry:
    """What an entry holds: the keys of its entities, its other values, the time its load took."""

    keys: list[list[bytes | None]]
    rest: list[bytes]
    took_ms: float


class QueryPath:
    """Answers queries and keeps what they return, for one cache.

    Args:
        counters: Where outcomes are counted.
        debts: Invalidations that are owed to Redis.
        note: Told the stamp of each region that was asked, and whether a writer was open.
        lease_wait: Seconds to wait for another reader's load.
        max_bytes: Larger entries are not stored.
        guesses: For each query the keys that its entry had when it was last seen.
    """

    def __init__(
        self,
        counters: Counters,
        debts: Debts,
        note: Callable[[bytes, bytes | None], None],
        lease_wait: float,
        max_bytes: int,
        guesses: Any,
    ) -> None:
        self._counters = counters
        self._debts = debts
        self._note = note
        self._lease_wait = lease_wait
        self._max_bytes = max_bytes
        self._guesses = guesses
        self._wire = Wire("")

    # -- reading ------------------------------------------------------------------------------

    def find(self, scripts: QueryScripts, wanted: Wanted, rules: Rules) -> Found:
        """Look a query up; wait for its load when another reader is at it."""
        token = scripts.new_token()
        keys: Keys = self._guesses.get(wanted.digest, ())
        patience = Patience(self._lease_wait)
        for _ in range(_MOST_ROUNDS):
            answer = self._waited(scripts, wanted, token, keys, rules, patience)
            if answer is None:
                return Found()
            asked, rows = answer
            if asked[0].state is QueryState.LEASED:
                return self._missed(Found(None, asked, token))
            if asked[0].state is not QueryState.THERE:
                break  # a write is under way, this reader's snapshot is an older one, ...
            entry = self._unpacked(wanted, asked)
            if entry is not None and entry.keys != keys:
                # Ask again, for the rows that it names, and for the stamps with them.
                keys = self._guesses[wanted.digest] = entry.keys
                if any(keys):
                    continue
            if entry is not None and not self._early(asked[0], entry):
                result = _result(wanted, entry, rows)
                if result is not None:
                    self._counters.add("query_hits")
                    return Found(result)
            # Not in force any more, or not for long, or some of its rows are gone: this reader
            # loads all of it, from one moment.
            if not rules.lease or rules.refresh:
                break
            rules = rules._replace(refresh=True)
        return self._missed(Found())

    def _waited(
        self,
        scripts: QueryScripts,
        wanted: Wanted,
        token: bytes,
        keys: Keys,
        rules: Rules,
        patience: Patience,
    ) -> tuple[list[Asked], list[list[Any]]] | None:
        """Redis's answer, once no other reader is loading the query; None where there is none."""
        while True:
            answer = self._ask(scripts, wanted, token, keys, rules)
            if answer is None:
                return None
            asked = answer[0]
            if any(one.state in _UNSURE for one in asked):
                # One region that can't be relied on decides for all.
                if asked[0].state is QueryState.LEASED:
                    self.give_back(scripts, wanted, Found(None, asked, token))
                return [one for one in asked if one.state in _UNSURE], answer[1]
            if asked[0].state is not QueryState.BEING_LOADED or not rules.wait:
                return answer
            if not patience.begun:
                self._counters.add("waits")
            pause = patience.next()
            if pause is None:
                return answer
            scripts.pause(pause)

    def _missed(self, found: Found) -> Found:
        self._counters.add("query_misses")
        return found

    def _ask(
        self, scripts: QueryScripts, wanted: Wanted, token: bytes, keys: Keys, rules: Rules
    ) -> tuple[list[Asked], list[list[Any]]] | None:
        """Redis's answer, the rows decoded; None where it gives none that may be trusted."""
        debts = self._debts
        rows = [
            RowsWanted(place.guard, place.prefix, entity.region.field, distinct(own))
            for entity, place, own in zip(wanted.layout.entities, wanted.places, keys, strict=False)
        ]
        rows = [one for one in rows if one.names]
        try:
            if not debts.settled:
                if not debts.trusting:
                    return None
                debts.pay(scripts.scripts)
            answer = scripts.ask(
                wanted.watched, wanted.digest, token, rows,
                lease=rules.lease, refresh=rules.refresh,
            )  # fmt: skip
        except CacheUnavailable:
            self._counters.add("errors")
            return None
        if not debts.settled:
            return None
        for watched, one in zip(wanted.watched, answer[0], strict=True):
            self._note(watched.guard, None if one.busy else one.stamp)
        return answer

    def _unpacked(self, wanted: Wanted, asked: Sequence[Asked]) -> Entry | None:
        """The entry, None where it does not decode or something it depends on has changed."""
        layout = wanted.layout
        try:
            others, keys, rest, took = self._wire.unpack(asked[0].entry)
            entry = Entry([list(own) for own in keys], list(rest), float(took))
            whole = {len(own) for own in entry.keys} | ({len(rest)} if layout.codec else set())
        except Exception:  # noqa: BLE001 (anybody may have written these bytes)
            self._counters.add("corrupt")
            return None
        if len(entry.keys) != len(layout.entities) or len(whole) != 1:
            self._counters.add("corrupt")
            return None
        return entry if list(others) == [one.on for one in asked[1:]] else None

    @staticmethod
    def _early(asked: Asked, entry: Entry) -> bool:
        """Load it anew now, before it expires, so that not all find it gone at once?

        The chance grows as the end comes near, and with the time that the load takes: Vattani,
        Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention" (VLDB 2015).
        """
        ahead = -entry.took_ms * _EARLY_BETA * math.log(1.0 - random.random())  # noqa: S311
        return 0 <= asked.left_ms < ahead

    # -- after a miss -------------------------------------------------------------------------

    def keep(
        self,
        scripts: QueryScripts,
        wanted: Wanted,
        found: Found,
        rows: Sequence[Sequence[Any]],
        ttl: float,
        took: float,
    ) -> None:
        """Keep what was loaded under the lease of `found`.

        Args:
            scripts: How to reach Redis.
            wanted: The query.
            found: What `find` said.
            rows: What the database returned.
            ttl: Seconds for the entry.
            took: Seconds that it took to load.
        """
        asked = found.asked
        try:
            keys, by_key, rest = wanted.layout.split(rows)
            value = self._wire.pack([[one.on for one in asked[1:]], keys, rest, took * 1000])
            if len(value) > self._max_bytes:
                raise EntryTooLarge(f"the entry has {len(value)} bytes")
        except EncodeError as error:
            self._counters.because("unencodable", unkept(error))
            keys, by_key, value = [], [], b""
        try:
            calls = _calls(wanted, asked, value, by_key, ttl, self._counters)
            scripts.keep(calls, found.token, self._told)
        except CacheUnavailable:
            self._counters.add("errors")
            return
        if value:
            self._guesses[wanted.digest] = keys

    def give_back(self, scripts: QueryScripts, wanted: Wanted, found: Found) -> None:
        """Return the lease unused, so that nobody waits for what won't come."""
        if found.asked:
            entry = (wanted.watched[0].entry_key(wanted.digest), b"", 0)
            call = _kept(wanted.watched[0], found.asked[0], entry, None, {}, self._counters)
            try:
                scripts.keep([call], found.token, lambda entries, rows: None)
            except CacheUnavailable:
                self._counters.add("errors")

    def _told(self, entries: int | None, rows: int) -> None:
        if entries is None:
            self._counters.add("errors")
            return
        if entries:
            self._counters.add("query_fills", entries)
        if rows:
            self._counters.add("fills", rows)


def _calls(
    wanted: Wanted,
    asked: Sequence[Asked],
    value: bytes,
    by_key: Sequence[dict[bytes, list[Any]]],
    ttl: float,
    counters: Counters,
) -> list[Keep]:
    """What to keep with each region: the entry with its home, rows with their own."""
    entry: tuple[bytes, bytes, int] | None
    entry = (wanted.watched[0].entry_key(wanted.digest), value, int(ttl * 1000))
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
    entry: tuple[bytes, bytes, int] | None,
    entity: Entity | None,
    rows: dict[bytes, list[Any]],
    counters: Counters,
) -> Keep:
    found = []
    if entity is not None:
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
    return Keep(watched, asked.generation, asked.on, entry, field, words, found)


def distinct(keys: Sequence[bytes | None]) -> list[bytes]:
    """Each key once, without the rows that have no such entity."""
    return [key for key in dict.fromkeys(keys) if key is not None]


def _result(
    wanted: Wanted, entry: Entry, found: Sequence[Sequence[Any]]
) -> list[Sequence[Any]] | None:
    """The rows of the result, None where a row that the entry names is not there."""
    layout = wanted.layout
    answers = iter(found)
    by_key: list[dict[bytes, list[Any]]] = []
    for entity, own in zip(layout.entities, entry.keys, strict=True):
        names = distinct(own)
        rows = entity.region.decoded(names, next(answers)) if names else []
        if rows is None:
            return None
        by_key.append(dict(zip(names, rows, strict=True)))
    return layout.joined(entry.keys, by_key, entry.rest, direct=wanted.direct)
