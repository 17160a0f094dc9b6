"""A second-level cache for the SQLAlchemy ORM on Redis: transparent, never stale, fast."""

from importlib import metadata as _metadata

from .cache import RedisCache
from .errors import (
    AlreadyEnabled,
    CacheError,
    CacheUnavailable,
    ConfigurationError,
    DecodeError,
    EncodeError,
    ServerRefused,
    UncacheableModel,
)
from .mixin import CacheMixin
from .options import CacheOption, from_cache, refresh_cache, skip_cache
from .policy import CachePolicy
from .session.explain import Explanation
from .stats import Stats

try:
    __version__ = _metadata.version("sqlalchemy-rediscache")
except _metadata.PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0"

__all__ = [
    "AlreadyEnabled",
    "CacheError",
    "CacheMixin",
    "CacheOption",
    "CachePolicy",
    "CacheUnavailable",
    "ConfigurationError",
    "DecodeError",
    "EncodeError",
    "Explanation",
    "RedisCache",
    "ServerRefused",
    "Stats",
    "UncacheableModel",
    "from_cache",
    "refresh_cache",
    "skip_cache",
]
