"""From a URL or a client of the user's to connections of our own, with deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError

_SCHEMES = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a connection attempt and the answer to a call may take."""

    connect: float
    read: float


class Address:
    """Where the server is; makes connections to it, blocking or asyncio ones.

    Args:
        target: A URL (``redis://``, ``rediss://``, ``unix://``) or a client of redis-py, whose
            connection settings are taken over; the client's own connections are left alone.
        deadlines: Time limits of every connection.

    Raises:
        ConfigurationError: The target is neither, or a kind of client that is not supported.
    """

    def __init__(self, target: object, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.sync_only = isinstance(target, redis.Redis)
        self.async_only = isinstance(target, redis.asyncio.Redis)
        pool: Any
        if isinstance(target, str):
            if not target.startswith(_SCHEMES):
                raise ConfigurationError(
                    f"{redacted(target)!r} is not a Redis URL: give one that starts with "
                    "redis://, rediss:// or unix://, or 'embedded://'"
                )
            try:
                pool = redis.ConnectionPool.from_url(target)
                async_pool = redis.asyncio.ConnectionPool.from_url(target)
            except (ValueError, redis.RedisError) as error:
                raise ConfigurationError(
                    f"the Redis URL {redacted(target)!r} can't be read: {error}"
                ) from error
            self._sync_class, self._async_class = pool.connection_class, async_pool.connection_class
            options, async_options = pool.connection_kwargs, async_pool.connection_kwargs
        elif self.sync_only or self.async_only:
            pool = target.connection_pool  # type: ignore[attr-defined]
            self._sync_class = self._async_class = pool.connection_class
            options = async_options = pool.connection_kwargs
        else:
            raise ConfigurationError(
                f"RedisCache needs a URL, redis.Redis or redis.asyncio.Redis, not {type(target)!r}"
            )
        self._sync_options = _ours(options, deadlines)
        self._async_options = _ours(async_options, deadlines)
        # the asyncio transport keeps the deadlines itself, see `deadline`
        self._async_options |= {"socket_timeout": None, "socket_connect_timeout": None}
        self._async_options["retry"] = redis.asyncio.retry.Retry(NoBackoff(), 0)

    def connection(self) -> Any:
        """A new blocking connection, not yet connected."""
        if self.async_only:
            raise ConfigurationError(
                "this cache was given an asyncio client, which can't serve a synchronous session "
                "factory: give a URL, which serves both, or a redis.Redis client"
            )
        return self._sync_class(**self._sync_options)

    def async_connection(self) -> Any:
        """A new asyncio connection, not yet connected."""
        if self.sync_only:
            raise ConfigurationError(
                "this cache was given a blocking client, which can't serve an asyncio session "
                "factory: give a URL, which serves both, or a redis.asyncio.Redis client"
            )
        return self._async_class(**self._async_options)


def _ours(options: dict[str, Any], deadlines: Deadlines) -> dict[str, Any]:
    # RESP2 and raw bytes whatever the user's client is set to; no retries behind our back, since a
    # retry hides that a connection was lost and costs another deadline.
    kept = {
        name: value
        for name, value in options.items()
        if name not in ("cache", "cache_config", "himport_registry", "event_dispatcher")
        and not name.startswith("maint_notifications")
        and not name.startswith("orig_")
    }
    return kept | {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": deadlines.read,
        "socket_connect_timeout": deadlines.connect,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
    }


def redacted(target: object) -> str:
    """A URL without its user and password, fit for a message."""
    url = str(target)
    scheme, found, rest = url.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if found and "@" in rest else url
