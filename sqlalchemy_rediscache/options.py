"""Options for single statements: `skip_cache` and `refresh_cache`."""

from __future__ import annotations

from typing import Literal

from sqlalchemy.orm import UserDefinedOption

Mode = Literal["skip", "refresh"]


class CacheOption(UserDefinedOption):
    """What one statement asks of the cache; made by `skip_cache()` and `refresh_cache()`.

    One class and one constant: SQLAlchemy matches user-defined options of a cached statement with
    those of a new one by position, so options of different classes could take each other's place.
    """

    propagate_to_loaders = True

    def __init__(self, mode: Mode) -> None:
        super().__init__(payload=mode)
        self.mode: Mode = mode


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
