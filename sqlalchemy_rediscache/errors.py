"""The errors of the package: one tree, each class saying what its catcher can do.

::

    CacheError
    ├── ConfigurationError      the cache, a model or a factory was set up wrongly: fix the code
    │   ├── UncacheableModel    this mapped class can't be cached: the message says why
    │   ├── AlreadyEnabled      this factory belongs to another cache: disable that one first
    │   └── ServerRefused       Redis can't be used as configured: URL, password, version
    ├── CacheUnavailable        Redis did not answer: retry, or go on without the cache
    ├── EncodeError             a value can't be stored exactly: the row stays out of the cache
    │   └── EntryTooLarge       it has more bytes than `max_entry_bytes`
    └── DecodeError             what Redis holds is not one of our rows: it is deleted, read anew

Reads never raise any of them: a read that meets one is answered by the database and counted.
"""

from __future__ import annotations


class CacheError(Exception):
    """Base of every error that this package raises."""


class ConfigurationError(CacheError):
    """The cache, a model or a factory can't work as it is set up; the message says what to do."""


class UncacheableModel(ConfigurationError):
    """A mapped class can't be cached; the message has the reason and the remedy."""


class AlreadyEnabled(ConfigurationError):
    """A session factory or class is enabled already by another cache; disable it there first."""


class ServerRefused(ConfigurationError):
    """The Redis server answered, but can't serve this cache (password, version, database)."""


class CacheUnavailable(CacheError):
    """Redis did not answer within its deadline or closed the connection.

    Raised out of configuration calls, ``invalidate()`` and ``clear()``, never out of a read. A
    commit raises it only with ``consistency="strict"``.
    """


class EncodeError(CacheError):
    """A value can't be stored in a way that gives it back exactly."""


class EntryTooLarge(EncodeError):
    """What should be stored has more bytes than ``max_entry_bytes``."""


class DecodeError(CacheError):
    """Bytes from Redis do not decode to a row of the expected shape."""
