"""One region's place in Redis, spoken to through the typed callers of the scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import redis

from sqlalchemy_rediscache import private
from sqlalchemy_rediscache.store import Lease, Published, Reading, Scripts, State, Store
from sqlalchemy_rediscache.store import StoreSettings as Settings
from sqlalchemy_rediscache.store.answers import HeldRows, LockWanted

FIELD = b"row:12345678"
OTHER_FIELD = b"grp:87654321"
HOUR = 3_600_000


def make_store(target: object, **changes: float) -> Store:
    """A store with deadlines that a busy machine does not exceed.

    Args:
        target: A URL or a client.
        changes: Settings that differ.
    """
    settings: dict[str, float] = {
        "connect_timeout": 10.0, "read_timeout": 10.0, "lock_ttl": 30.0, "lease_ttl": 30.0,
        "lease_wait": 3.0, "max_bytes": 1000, **changes,
    }  # fmt: skip
    return Store(target, Settings(**settings), private.await_, lambda: None)  # type: ignore[arg-type]


class Shelf:
    """A region as one process sees it.

    Args:
        scripts: How the process reaches Redis.
        name: The region.
    """

    def __init__(self, scripts: Scripts, name: bytes = b"r@x.0") -> None:
        self.scripts = scripts
        self.prefix = b"t:1:{%b}:" % name
        self.guard = self.prefix + b"guard"

    def look(
        self, *names: bytes, lease: bool = True, stamp: bytes = b"", refresh: bool = False,
        field: bytes = FIELD, early_ms: int = 0,
    ) -> tuple[Reading, Sequence[Lease | None]]:  # fmt: skip
        """Read rows."""
        return self.scripts.read(
            self.guard, self.prefix, names, field, lease=lease, stamp=stamp, refresh=refresh,
            early_ms=early_ms,
        )  # fmt: skip

    def read(self, *names: bytes, lease: bool = True, field: bytes = FIELD) -> bytes | State:
        """What one row has; a lease is given back at once."""
        reading, leases = self.look(*names, lease=lease, field=field)
        if leases[0] is not None:
            self.fill([(leases[0], b"", 0)])
        return reading.rows[0]

    def lease(self, name: bytes, field: bytes = FIELD) -> Lease:
        """Be granted a lease."""
        (lease,) = self.look(name, field=field)[1]
        assert lease is not None
        return lease

    def fill(self, entries: Sequence[tuple[Lease, bytes, int]]) -> int:
        """Fill under leases, wait for the answer: how many were accepted."""
        untagged = [(*entry, b"") for entry in entries]
        return self._told(lambda told: self.scripts.fill(untagged, told))

    def _told(self, post: Callable[[Callable[[int | None], None]], None]) -> int:
        found: list[int | None] = []
        post(found.append)
        self.scripts.transport.settle()
        (count,) = found
        assert count is not None
        return count

    def put(self, name: bytes, value: bytes, ttl_ms: int = HOUR, field: bytes = FIELD) -> None:
        """Load a row into the cache as a reader does."""
        assert self.fill([(self.lease(name, field), value, ttl_ms)]) == 1

    def lock(
        self, *names: bytes, token: bytes | None = None, field: bytes = FIELD
    ) -> tuple[bytes, bytes, Sequence[bytes]]:
        """Hold rows, or with none the region: the token, the generation, the values."""
        token = token or self.scripts.tokens.new()
        fields = [field] * len(names)
        wanted = LockWanted(self.guard, self.prefix, names, fields, whole=not names)
        (held,) = self.scripts.lock([wanted], token)
        return token, held.generation, held.values

    def release(
        self, token: bytes, generation: bytes, *names: bytes, value: bytes | None = None
    ) -> int:
        """End a lock; with a value publish it in each row."""
        publish = None if value is None else Published(FIELD, value, HOUR)
        values = [publish] * len(names)
        held = HeldRows(self.guard, self.prefix, generation, names, not names, values)
        return self.release_all([held], token)

    def release_all(self, held: Sequence[HeldRows], token: bytes) -> int:
        """End locks, wait for the answer: how many rows were published."""
        return self._told(lambda told: self.scripts.release(held, token, told))

    def invalidate(self, *names: bytes) -> None:
        """Empty rows, or with none the region."""
        self.scripts.invalidate([(self.guard, self.prefix, names)])

    def key(self, client: redis.Redis, name: bytes) -> bytes:
        """The key of a row in the generation that is in force."""
        generation = client.hget(self.guard.decode(), "gen")
        assert isinstance(generation, bytes)
        return self.prefix + generation + b":" + name

    def stamp(self) -> bytes:
        """The stamp in force."""
        stamp = self.look(b"any", lease=False, stamp=b"?")[0].stamp
        assert stamp is not None
        return stamp


def until(condition: Callable[[], bool], tries: int = 3000) -> None:
    """Wait for something that happens by itself."""
    for _ in range(tries):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")
