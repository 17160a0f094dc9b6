"""The floor: what redis-py itself needs to fetch the same data, with no ORM around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from sqlalchemy_rediscache.cli.bench.dataset import product_row


class Floor:
    """Rows kept in Redis in the two simplest forms, read by redis-py's own client.

    Args:
        url: the Redis URL.
        prefix: put before every key.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self.client = redis.Redis.from_url(url)
        self._prefix = prefix

    def store(self, ids: Sequence[int], suppliers: int, seconds: int = 3600) -> None:
        """Store the products `ids`, each as a hash of 12 fields and as one string of bytes."""
        pipeline = self.client.pipeline(transaction=False)
        for number in ids:
            fields: dict[Any, Any] = {k: str(v) for k, v in product_row(number, suppliers).items()}
            pipeline.hset(self.hash_key(number), mapping=fields)
            pipeline.expire(self.hash_key(number), seconds)
            pipeline.set(self.packed_key(number), "\x1f".join(fields.values()), ex=seconds)
        pipeline.execute()

    def hash_key(self, number: int) -> str:
        """Return the key of the hash of product `number`."""
        return f"{self._prefix}:hash:{number}"

    def packed_key(self, number: int) -> str:
        """Return the key of the packed form of product `number`."""
        return f"{self._prefix}:packed:{number}"

    def hgetall(self, number: int) -> object:
        """Read a product's hash."""
        return self.client.hgetall(self.hash_key(number))

    def get(self, number: int) -> object:
        """Read a product's packed form."""
        return self.client.get(self.packed_key(number))

    def mget(self, ids: Sequence[int]) -> object:
        """Read the packed forms of many products in one command."""
        return self.client.mget([self.packed_key(number) for number in ids])

    def keys(self, pattern: str) -> list[bytes]:
        """Return the keys that match `pattern`, found with SCAN."""
        return list(self.client.scan_iter(match=pattern, count=1000))

    def sizes(self, key: bytes | str) -> tuple[int, int | None]:
        """Return the bytes of a key's value, and what MEMORY USAGE says of key and value.

        The second is None where the server does not have the command or does not allow it.
        """
        try:
            used: Any = self.client.memory_usage(key, samples=0)
        except redis.ResponseError:
            used = None
        if self.client.type(key) == b"hash":
            fields: Any = self.client.hgetall(key)
            return sum(len(k) + len(v) for k, v in fields.items()), used
        length: Any = self.client.strlen(key)
        return length, used

    def server(self) -> dict[str, Any]:
        """Return the server section of INFO."""
        info: Any = self.client.info("server")
        return dict(info)

    def delete(self, pattern: str) -> None:
        """Delete every key that matches `pattern`."""
        found = self.keys(pattern)
        for start in range(0, len(found), 500):
            self.client.unlink(*found[start : start + 500])

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
