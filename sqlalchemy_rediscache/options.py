"""Options for single statements: `from_cache`, `skip_cache` and `refresh_cache`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable
from typing import Any, Literal

from .errors import ConfigurationError
from .private import KeyedOption

Mode = Literal["cache", "skip", "refresh"]

DEFAULT_QUERY_TTL = 300.0
"""Seconds that a cached query may stay, where nothing else is said."""

MOST_NAMES = 100
"""More names than this at once are a mistake."""


class CacheOption(KeyedOption):
    """What one statement asks of the cache; see `from_cache`, `skip_cache`, `refresh_cache`.

    One class and one constant: SQLAlchemy matches user-defined options of a cached statement with
    those of a new one by position, so options of different classes could take each other's place.
    For the same reason it has a part in the key that SQLAlchemy caches statements by, whatever it
    asks: beside the same statement with other options and without this one, it would be left out of
    what goes on to the loads of related objects.
    """

    propagate_to_loaders = True

    def __init__(
        self,
        mode: Mode,
        ttl: float = DEFAULT_QUERY_TTL,
        stale_ttl: float = 0.0,
        key: str = "",
        tags: Collection[str] = (),
    ) -> None:
        super().__init__(payload=(mode, ttl, stale_ttl, key, tags))
        self.mode: Mode = mode
        self.ttl = ttl
        self.stale_ttl = stale_ttl
        self.key = key
        self.tags = tuple(tags)
        self.words = tuple(named_tags(tags, "from_cache")) if tags else ()
        """The tags as they are named in Redis."""
        self.name = b""
        """What it adds to the name of the entry."""
        if key or tags:
            text = key.encode("utf-8", "surrogatepass")
            self.name = b" ".join([b"%d:%b" % (len(text), text), *self.words])
        if stale_ttl:
            self.name += b" stale"

    @property
    def plain(self) -> CacheOption:
        """The same without what is meant for one statement alone."""
        return CacheOption(self.mode, self.ttl) if self.name else self


def only_ask(options: Iterable[Any]) -> bool:
    """Is a cached answer all that options ask for?"""
    return all(isinstance(one, CacheOption) and one.mode == "cache" for one in options)


def from_cache(
    ttl: float = DEFAULT_QUERY_TTL,
    *,
    stale_ttl: float | None = None,
    key: str | None = None,
    tags: Collection[str] = (),
) -> CacheOption:
    """This statement's result comes from the cache, and is kept there.

    For ``select().options(...)`` of any kind of ORM select. Entities in the result come from the
    row cache; what else it has is kept with it. It is served until a write changes what it depends
    on, which is found out by the statement's own conditions: see docs/queries.md.

    Args:
        ttl: Seconds that the result may stay, a positive number. It bounds memory: no result is
            stale for any length of it. Default 300.
        stale_ttl: Seconds, a positive number, for which an older result may be served: while one
            reader loads the query anew, or a commit that concerns it is under way, the others get
            at once what was the database's answer at some moment within the last `stale_ttl`
            seconds. The one way to be served what is not the latest: docs/queries.md has the
            exceptions. Default None: never.
        key: A name that is added to what the entry is called by, beside the statement and its
            parameters: for a result that depends on more than these (a setting of the session in
            the database, say). Statements with different keys share no entry. Default: none.
        tags: Names by which `RedisCache.invalidate_tags` ends the entry, beside what it depends on
            anyway. Default: none.

    Raises:
        ConfigurationError: An argument is wrong; the message says what to give.
    """
    _seconds("ttl", ttl)
    if stale_ttl is not None:
        _seconds("stale_ttl", stale_ttl)
    if key is not None and not _is_name(key):
        raise ConfigurationError(f"from_cache(key={key!r}): give a text that is not empty, or None")
    names = tuple(tags) if isinstance(tags, list | tuple | set | frozenset) else tags
    if names != ():
        named_tags(names, "from_cache")
    return CacheOption("cache", float(ttl), float(stale_ttl or 0), key or "", sorted(names))


def is_number(value: object) -> bool:
    """Is a setting a number, which True and False are not?"""
    return isinstance(value, int | float) and not isinstance(value, bool)


def query_defaults(value: object, called: str) -> CacheOption | None:
    """A setting that says how queries are cached that don't ask for it.

    Raises:
        ConfigurationError: It is something else than `from_cache()` gives, or None.
    """
    if value is None or (isinstance(value, CacheOption) and value.mode == "cache"):
        return value
    raise ConfigurationError(f"{called}(query_defaults={value!r}): give from_cache(...), or None")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _seconds(name: str, value: Any) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(f"from_cache({name}={value!r}): give a number of seconds above 0")


def named_tags(names: Collection[str], called: str) -> list[bytes]:
    """What the names that an application gives tags are in Redis.

    Args:
        names: The names.
        called: The function that they were given to.

    Raises:
        ConfigurationError: There are none or too many, or one is no name.
    """
    if not isinstance(names, list | tuple | set | frozenset) or not 0 < len(names) <= MOST_NAMES:
        raise ConfigurationError(
            f"{called}: tags={names!r}: give 1 to {MOST_NAMES} names, as a tuple of texts"
        )
    for name in names:
        if not _is_name(name):
            raise ConfigurationError(f"{called}: {name!r} is no tag: give a text that is not empty")
    return [
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest().encode()
        for name in sorted(set(names))
    ]


def skip_cache() -> CacheOption:
    """This statement (and the loads of objects that it leads to) does not use the cache.

    For ``select().options(...)`` and ``session.get(..., options=[...])``. The execution option
    ``skip_cache=True`` does the same.
    """
    return CacheOption("skip")


def refresh_cache() -> CacheOption:
    """This statement asks the database, and what it returns replaces what was cached.

    For ``select().options(...)`` and ``session.get(..., options=[...])``. The execution option
    ``refresh_cache=True`` does the same.
    """
    return CacheOption("refresh")
