"""Options for single statements: `from_cache`, `skip_cache` and `refresh_cache`."""

from __future__ import annotations

from typing import Literal

from sqlalchemy.orm import UserDefinedOption

from .errors import ConfigurationError
from .policy import is_number

Mode = Literal["cache", "skip", "refresh"]

DEFAULT_QUERY_TTL = 300.0
"""Seconds that a cached query may stay, where nothing else is said."""


class CacheOption(UserDefinedOption):
    """What one statement asks of the cache; see `from_cache`, `skip_cache`, `refresh_cache`.

    One class and one constant: SQLAlchemy matches user-defined options of a cached statement with
    those of a new one by position, so options of different classes could take each other's place.
    """

    propagate_to_loaders = True

    def __init__(self, mode: Mode, ttl: float = DEFAULT_QUERY_TTL) -> None:
        super().__init__(payload=(mode, ttl))
        self.mode: Mode = mode
        self.ttl = ttl


def from_cache(ttl: float = DEFAULT_QUERY_TTL) -> CacheOption:
    """This statement's result comes from the cache, and is kept there.

    For ``select().options(...)`` of any kind of ORM select. Entities in the result come from the
    row cache; what else it has is kept with it. It is served until a write changes what it depends
    on, which is found out by the statement's own conditions: see docs/queries.md.

    Args:
        ttl: Seconds that the result may stay, a positive number. It bounds memory: no result is
            stale for any length of it. Default 300.

    Raises:
        ConfigurationError: `ttl` is not a number above 0.
    """
    if not is_number(ttl) or not ttl > 0:
        raise ConfigurationError(f"from_cache(ttl={ttl!r}): give a number of seconds above 0")
    return CacheOption("cache", float(ttl))


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
