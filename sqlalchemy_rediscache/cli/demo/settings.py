"""What the demo is asked to do, and how it says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy_rediscache.errors import CacheError

EMBEDDED_URL = "embedded://"


class DemoError(CacheError):
    """The demo cannot run, or had to stop. The message says what to do."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The options of one run.

    Attributes:
        url: Redis URL; `embedded://` starts a server for this run.
        database_url: SQLAlchemy URL; None is a temporary SQLite file.
        seconds: length of each half, in seconds; not used when `operations` is given.
        operations: operations of each half, over all threads; None runs for `seconds`.
        threads: number of threads that run operations.
        writes: part of the operations that write, 0 to 1.
        skew: exponent of the Zipf distribution over airports; 0 is uniform.
        seed: both halves of all runs with one seed do the same operations.
        airports: number of airports to load; None loads all of them.
    """

    url: str = EMBEDDED_URL
    database_url: str | None = None
    seconds: float = 10.0
    operations: int | None = None
    threads: int = 4
    writes: float = 0.02
    skew: float = 1.0
    seed: int = 1
    airports: int | None = None
