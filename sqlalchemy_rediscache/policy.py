"""What a model says about its caching: `CachePolicy`, all validation and defaults in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import ConfigurationError
from .options import CacheOption, is_number, query_defaults

Write = Literal["through", "invalidate"]

_SHORTEST_TTL = 0.001
_LONGEST_TTL = 10 * 365 * 86400
_MOST_JITTER = 0.9
_REGION_BYTES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@dataclass(frozen=True, kw_only=True)
class CachePolicy:
    """How the rows of one model are cached. Every field has a default that suits most models.

    Args:
        ttl: Seconds that a row may stay in Redis, a positive number. Default one hour. Rows are
            never stale for any length of it: the TTL bounds memory, not staleness.
        stale_ttl: Seconds, a positive number, that a row stays after its TTL. The first reader then
            loads it anew, and until that is done the others are served what is there, without
            waiting. A write that the cache sees ends the row at once, then as ever; one that it
            does not see goes unnoticed for at most `ttl` and `stale_ttl`. Default None: a row goes
            with its TTL.
        jitter: Share of the TTL, from 0 to 0.9, by which each row's TTL is shortened at random, so
            that rows filled together don't expire together. Default 0.1.
        negative_ttl: Seconds to remember that a row does not exist; 0 remembers nothing.
            Default 60.
        write: What a commit does with the rows it wrote. ``"through"`` (default) publishes the new
            row where it is known exactly what the database holds; ``"invalidate"`` only empties.
        compress_over: Rows larger than this many bytes are compressed; None never compresses.
            Default 1024.
        region: Name of the region in Redis keys, of letters, digits, ``_ . -``. Default: the
            table's name.

        query_tags: Columns by whose values cached queries are invalidated precisely, by their keys.
            None (default): every column of a primary key, foreign key, unique constraint or index.
        collections: Cache lazily and ``selectin`` loaded collections, and lookups by a unique
            column, without being asked to by each statement. Default True.
        query_defaults: What ``from_cache(...)`` gives: every select whose first entity is the model
            is cached like that, as if it had the option. An option of its own goes before, and
            ``skip_cache()`` keeps out. Default None: only those that ask.

    Raises:
        ConfigurationError: A field has a value outside of its range.
    """

    ttl: float = 3600.0
    stale_ttl: float | None = None
    jitter: float = 0.1
    negative_ttl: float = 60.0
    write: Write = "through"
    compress_over: int | None = 1024
    region: str | None = None
    query_tags: tuple[str, ...] | None = None
    collections: bool = True
    query_defaults: CacheOption | None = None

    def __post_init__(self) -> None:
        _check(is_number(self.ttl) and _SHORTEST_TTL <= self.ttl <= _LONGEST_TTL, "ttl", self.ttl,
               "a number of seconds above 0 (an entry without expiry is a fault)")  # fmt: skip
        stale = self.stale_ttl
        _check(stale is None or (is_number(stale) and _SHORTEST_TTL <= stale <= _LONGEST_TTL),
               "stale_ttl", stale, "a number of seconds above 0, or None")  # fmt: skip
        _check(is_number(self.jitter) and 0 <= self.jitter <= _MOST_JITTER, "jitter", self.jitter,
               "a share from 0 to 0.9")  # fmt: skip
        _check(is_number(self.negative_ttl) and self.negative_ttl >= 0, "negative_ttl",
               self.negative_ttl, "a number of seconds, or 0 to remember no absence")  # fmt: skip
        _check(self.write in ("through", "invalidate"), "write", self.write,
               '"through" or "invalidate"')  # fmt: skip
        _check(self.compress_over is None or self.compress_over >= 0, "compress_over",
               self.compress_over, "a number of bytes, or None")  # fmt: skip
        _check(self.region is None or (self.region != "" and _REGION_BYTES.issuperset(self.region)),
               "region", self.region, "a name of letters, digits, '_', '.', '-'")  # fmt: skip
        named = self.query_tags
        _check(named is None or type(named) is tuple,
               "query_tags", named, "a tuple of column keys, or None")  # fmt: skip
        query_defaults(self.query_defaults, "CachePolicy")
        _check(self.collections in (True, False), "collections", self.collections, "True or False")


def _check(holds: bool, field: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigurationError(f"CachePolicy({field}={value!r}): give {expected}")
