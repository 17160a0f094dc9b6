"""Counters of what the cache did, read without a round trip."""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType


class Reason(enum.StrEnum):
    """Why the cache could not serve a read or a query, or not keep what it returned.

    The names are few and don't change: they are for dashboards. `RedisCache.explain()` has them
    too, with a sentence that names the culprit.
    """

    # The statement: always.
    NO_CACHE_KEY = "no-cache-key"
    NO_TABLE = "no-table"
    UNCACHED_TABLE = "uncached-table"
    NOT_REPEATABLE = "not-repeatable"
    UNKNOWN_FUNCTION = "unknown-function"
    UNKNOWN_CONSTRUCT = "unknown-construct"
    TEXT = "text"
    LOCKING = "locking"
    WRITES = "writes"
    WITHHELD_COLUMN = "withheld-column"
    COLUMN_TYPE = "column-type"
    FAULT = "fault"
    EAGER = "eager"
    # How it is executed.
    PARAMETER = "parameter"
    EXECUTION_OPTION = "execution-option"
    RELOAD = "reload"
    LISTENER = "listener"
    BINDING = "binding"
    # The transaction, now.
    OWN_WRITES = "own-writes"
    SNAPSHOT = "snapshot"
    ISOLATION = "isolation"
    # The result.
    VALUE = "value"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True)
class Stats:
    """What one cache object did since it was made (this process only).

    Attributes:
        hits: Rows answered by Redis, a remembered absence included.
        negative_hits: Of the hits, those that said "there is no such row".
        misses: Rows that were looked up in Redis and not found.
        early_loads: Of the misses, rows that were there, which this process was to load anew since
            their time was nearly over, or over (``stale_ttl``); others went on being served.
        fills: Rows that were put in Redis after a miss.
        refused_fills: Fills that Redis refused, since a writer or another reader came between.
        published: Rows that a commit wrote through.
        invalidated: Rows that a commit or `invalidate()` emptied.
        regions_invalidated: Times that a whole region was emptied (bulk writes, `clear()`).
        waits: Times that a reader waited for another reader's fill.
        bypassed: Reads of a cached model that had to go to the database.
        corrupt: Entries that did not decode; they were deleted.
        unencodable: Rows that could not be stored exactly; they stay out of Redis.
        errors: Calls to Redis that failed.
        unsettled: Writes whose lock could not be taken, remembered to be invalidated.
        round_trips: Calls to Redis.
        query_hits: Queries and collections that were answered from their entries.
        query_misses: Those that were looked up and not found.
        query_fills: Those that were kept after a miss.
        query_stale: Those that were served after they had ended, since they said so
            (``stale_ttl``).
        query_bypassed: Those that the cache could not serve: see docs/queries.md.
        reasons: For each reason (see `Reason`) how many of `bypassed`, `query_bypassed` and
            `unencodable` it was the reason of; reasons that never came up are not there.
    """

    hits: int = 0
    negative_hits: int = 0
    misses: int = 0
    early_loads: int = 0
    fills: int = 0
    refused_fills: int = 0
    published: int = 0
    invalidated: int = 0
    regions_invalidated: int = 0
    waits: int = 0
    bypassed: int = 0
    corrupt: int = 0
    unencodable: int = 0
    errors: int = 0
    unsettled: int = 0
    round_trips: int = 0
    query_hits: int = 0
    query_misses: int = 0
    query_fills: int = 0
    query_stale: int = 0
    query_bypassed: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def hit_ratio(self) -> float:
        """Hits as a share of hits and misses, 0.0 where nothing was looked up."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else 0.0

    @property
    def stores(self) -> int:
        """Rows put in Redis, by readers and by commits."""
        return self.fills + self.published


class Counters:
    """The mutable side of `Stats`: exact under threads."""

    __slots__ = ("_lock", "_reasons", "_values")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = {one.name: 0 for one in fields(Stats) if one.name != "reasons"}
        self._reasons: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Count `amount` more of `name`, a field of `Stats`."""
        with self._lock:
            self._values[name] += amount

    def because(self, name: str, reason: Reason, amount: int = 1) -> None:
        """Count `amount` more of `name`, for a reason."""
        with self._lock:
            self._values[name] += amount
            self._reasons[reason.value] = self._reasons.get(reason.value, 0) + amount

    def read(self) -> Stats:
        """A consistent copy of all counters."""
        with self._lock:
            return Stats(**self._values, reasons=MappingProxyType(self._reasons.copy()))

    def reset_lock(self) -> None:
        """Take a new lock: for a child process, whose parent may have forked while holding it."""
        self._lock = threading.Lock()
