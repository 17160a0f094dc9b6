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
meanwhile changes a stamp too: keys and rows belong to one moment. (For rows of an eager join, which
have none, `docs/consistency.md` says how else it is so: they are read before what the entry depends
on, and that must be what it was when the reader last saw the entry.)
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

from .codec import Wire
from .debts import Debts
from .early import ahead_ms
from .errors import CacheUnavailable, EncodeError, EntryTooLarge
from .patience import Patience
from .query_entry import Entry, Found, Rules, Wanted, given_back, kept_calls
from .query_memory import NOTHING, Guess, Made, QueryMemory, distinct
from .read_path import unkept
from .row import Row
from .stamps import Stamps
from .stats import Counters
from .store import Asked, QueryScripts, QueryState, RowsWanted

_UNSURE = (QueryState.WRITTEN, QueryState.OTHER_STAMP)
_MOST_ROUNDS = 5
"""An entry that names other rows each time that it is looked at is left alone after this many."""

_VOUCHED = 8
"""An entry that may be served stale is vouched for this many times within that time, if read."""


class QueryPath:
    """Answers queries and keeps what they return, for one cache.

    Args:
        counters: Where outcomes are counted.
        debts: Invalidations that are owed to Redis.
        stamps: Which stamps were seen.
        lease_wait: Seconds to wait for another reader's load.
        max_bytes: Larger entries are not stored.
        memory: What is remembered of queries.
    """

    def __init__(
        self,
        counters: Counters,
        debts: Debts,
        stamps: Stamps,
        lease_wait: float,
        max_bytes: int,
        memory: QueryMemory,
    ) -> None:
        self._counters = counters
        self._debts = debts
        self._stamps = stamps
        self._lease_wait = lease_wait
        self._max_bytes = max_bytes
        self.memory = memory
        self._wire = Wire("")

    # -- reading ------------------------------------------------------------------------------

    def find(self, scripts: QueryScripts, wanted: Wanted, rules: Rules) -> Found:
        """Look a query up; wait for its load when another reader is at it."""
        token = scripts.new_token()
        guess = self.memory.guess(wanted)
        patience = Patience(self._lease_wait)
        for _ in range(_MOST_ROUNDS):
            began = time.monotonic()
            last = self.memory.last(wanted, guess, began)
            rows_wanted = guess.rows if last is None else ()
            answer = self._waited(scripts, wanted, token, rows_wanted, rules, patience)
            if answer is None:
                return Found()
            asked, rows = answer
            if asked[0].state is QueryState.LEASED:
                return self._missed(Found(None, asked, token))
            if asked[0].state is not QueryState.THERE:
                # A write is under way, another is loading it, this snapshot is an older one, ...
                return self._old(wanted, asked[0], rules) or self._missed(Found())
            made: Made | Guess | None = last
            if last is None:
                made = self._made(wanted, guess, asked, rows, began)
            elif not last.is_of(wanted, asked):
                made = self.memory.drop(wanted, guess)
            if isinstance(made, Guess):
                # Ask again, for the rows that it names, and for the stamps with them.
                guess = made
                continue
            if made is not None and not self._early(asked[0], made.took_ms):
                self._hit(scripts, wanted, asked[0], rules, began)
                return Found(made.rows)
            # Not in force any more, or not for long, or some of its rows are gone: this reader
            # loads all of it, from one moment.
            if not rules.lease or rules.refresh:
                break
            rules = rules._replace(refresh=True)
        return self._missed(Found())

    def _made(
        self,
        wanted: Wanted,
        guess: Guess,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[Any]],
        began: float,
    ) -> Made | Guess | None:
        """The result, None where there is none, or a guess if the entry names other rows."""
        entry = self._unpacked(wanted, asked)
        if entry is None:
            return None
        named = wanted.named is not None
        if entry.keys != guess.keys or (named and guess.on != [one.on for one in asked]):
            guess = self.memory.expect(wanted, entry.keys, asked)
            if guess.rows:
                return guess
        result = _result(wanted, entry, guess, rows)
        if result is None:
            return None
        return self.memory.note(wanted, guess, asked, entry, result, began)

    def _waited(
        self,
        scripts: QueryScripts,
        wanted: Wanted,
        token: bytes,
        rows: Sequence[RowsWanted],
        rules: Rules,
        patience: Patience,
    ) -> tuple[list[Asked], list[list[Any]]] | None:
        """Redis's answer, once no other reader is loading the query; None where there is none."""
        while True:
            answer = self._ask(scripts, wanted, token, rows, rules)
            if answer is None:
                return None
            asked = answer[0]
            if len(asked) == 1 and asked[0].state is QueryState.THERE:  # as a rule
                return answer
            unsure = next((one.state for one in asked if one.state in _UNSURE), None)
            if unsure is not None:
                # One region that can't be relied on decides for all.
                if asked[0].state is QueryState.LEASED:
                    self.give_back(scripts, wanted, Found(None, asked, token))
                return [asked[0]._replace(state=unsure), *asked[1:]], answer[1]
            waits = rules.wait and not _servable(asked[0], rules)
            if asked[0].state is not QueryState.BEING_LOADED or not waits:
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
        self,
        scripts: QueryScripts,
        wanted: Wanted,
        token: bytes,
        rows: Sequence[RowsWanted],
        rules: Rules,
    ) -> tuple[list[Asked], list[list[Any]]] | None:
        """Redis's answer, the rows decoded; None where it gives none that may be trusted."""
        debts = self._debts
        try:
            if not debts.settled:
                if not debts.trusting:
                    return None
                debts.pay(scripts.scripts)
            answer = scripts.ask(
                wanted.watched, wanted.digest, token, rows,
                lease=rules.lease, refresh=rules.refresh, stale_ms=rules.stale_ms,
            )  # fmt: skip
        except CacheUnavailable:
            self._counters.add("errors")
            return None
        if not debts.settled:
            return None
        for watched, one in zip(wanted.watched, answer[0], strict=True):
            self._stamps.saw(watched.guard, None if one.busy else one.stamp)
        return answer

    def _old(self, wanted: Wanted, asked: Asked, rules: Rules) -> Found | None:
        """A result that is not in force any more, where the query said that it may be served.

        It has no rows elsewhere: all of it is of one moment, no longer ago than it said.
        """
        entry = self._unpacked(wanted, [asked], old=True) if _servable(asked, rules) else None
        result = None if entry is None else _result(wanted, entry, NOTHING, ())
        if result is None:
            return None
        self._counters.add("query_stale")
        return Found(result)

    def _hit(
        self, scripts: QueryScripts, wanted: Wanted, asked: Asked, rules: Rules, began: float
    ) -> None:
        """Count it, and note now and then of what may be served stale that it was in force."""
        self._counters.add("query_hits")
        if rules.stale_ms == 0 or asked.age_ms * _VOUCHED <= rules.stale_ms:
            return
        guard, key = wanted.watched[0].guard, wanted.watched[0].entry_key(wanted.digest)
        ago_ms = math.ceil((time.monotonic() - began) * 1000)
        try:
            scripts.vouch(guard, key, asked.good, ago_ms)
        except CacheUnavailable:
            self._counters.add("errors")

    def _unpacked(
        self, wanted: Wanted, asked: Sequence[Asked], *, old: bool = False
    ) -> Entry | None:
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
        return entry if old or list(others) == [one.on for one in asked[1:]] else None

    @staticmethod
    def _early(asked: Asked, took_ms: float) -> bool:
        """Load it anew now, before it expires, so that not all find it gone at once?"""
        return 0 <= asked.left_ms < ahead_ms(took_ms, random.random())  # noqa: S311

    # -- after a miss -------------------------------------------------------------------------

    def keep(
        self,
        scripts: QueryScripts,
        wanted: Wanted,
        found: Found,
        rows: Sequence[Sequence[Any]],
        rules: Rules,
        took: float,
    ) -> None:
        """Keep what was loaded under the lease of `found`.

        Args:
            scripts: How to reach Redis.
            wanted: The query.
            found: What `find` said.
            rows: What the database returned.
            rules: How it is cached.
            took: Seconds that it took to load.
        """
        asked = found.asked
        try:
            keys, by_key, rest = wanted.layout.split(rows)
            _check_named(wanted, rows, keys)
            value = self._wire.pack([[one.on for one in asked[1:]], keys, rest, took * 1000])
            if len(value) > self._max_bytes:
                raise EntryTooLarge(f"the entry has {len(value)} bytes")
        except EncodeError as error:
            self._counters.because("unencodable", unkept(error))
            keys, by_key, value = [], [], b""
        try:
            calls = kept_calls(wanted, asked, value, by_key, rules, self._counters)
            scripts.keep(calls, found.token, self._told)
        except CacheUnavailable:
            self._counters.add("errors")
            return
        if value:
            self.memory.expect(wanted, keys, asked)

    def give_back(self, scripts: QueryScripts, wanted: Wanted, found: Found) -> None:
        """Return the lease unused, so that nobody waits for what won't come."""
        if found.asked:
            call = given_back(wanted, found.asked)
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


def _servable(asked: Asked, rules: Rules) -> bool:
    """Was the entry right so short a time ago that it may be served all the same?"""
    return bool(asked.entry) and 0 <= asked.age_ms <= rules.stale_ms


def _check_named(
    wanted: Wanted, rows: Sequence[Sequence[Any]], keys: Sequence[Sequence[bytes | None]]
) -> None:
    """A row that refers to one which is not there depends on the making of that.

    Raises:
        EncodeError: There is one.
    """
    if wanted.named is None:
        return
    entity, place = wanted.named
    for row, key in zip(rows, keys[entity], strict=True):
        if key is None and row[place] is not None:
            raise EncodeError("a row of the result refers to one that is not there")


def _result(
    wanted: Wanted, entry: Entry, guess: Guess, found: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]] | None:
    """The rows of the result, None where a row that the entry names is not there."""
    layout = wanted.layout
    if wanted.direct and len(guess.rows) == 1:
        names = guess.rows[0].names
        if len(names) == len(entry.keys[0]):  # each once, as a rule
            return layout.entities[0].region.read_many(found[0], names)
    answers = iter(found)
    by_key: list[dict[bytes, Row]] = []
    for entity, own in zip(layout.entities, entry.keys, strict=True):
        names = distinct(own)
        rows = entity.region.read_many(next(answers), names) if names else []
        if rows is None:
            return None
        by_key.append(dict(zip(names, rows, strict=True)))
    return layout.joined(entry.keys, by_key, entry.rest, direct=wanted.direct)
