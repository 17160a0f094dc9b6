"""What a connection learns of the server it talks to, and what this process remembers of it."""

from __future__ import annotations

import threading
import time

from ..errors import ServerRefused

MINIMUM = (6, 2)


class ServerIdentity:
    """The run ids of the primary that this process saw, for all of its connections.

    A restart or a failover gives another run id: locks may have been lost with the old one. From
    then on, for one `lock_ttl`, this process asks every guard to grant no lease (quarantine).
    """

    def __init__(self, lock_ttl: float) -> None:
        self._lock = threading.Lock()
        self._lock_ttl = lock_ttl
        self._run: bytes | None = None
        self._hold_until = 0.0

    def saw(self, run: bytes) -> None:
        """Note the run id that a new connection found."""
        with self._lock:
            if self._run is not None and run != self._run:
                self._hold_until = time.monotonic() + self._lock_ttl
            self._run = run

    def hold_ms(self) -> bytes:
        """Milliseconds of quarantine to ask for; 0 unless the server changed a moment ago."""
        if not self._hold_until:
            return b"0"
        left = self._hold_until - time.monotonic()
        if left <= 0:
            self._hold_until = 0.0
            return b"0"
        return b"%d" % max(1, left * 1000)


def run_id(info: bytes) -> bytes:
    """The run id in the answer to ``INFO server``, shortened; checks the version.

    Raises:
        ServerRefused: The server is older than Redis 6.2.
    """
    found = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    version = found.get(b"redis_version", b"0").decode()
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM:
        raise ServerRefused(
            f"the server is Redis {version}; the cache needs Redis 6.2 or later, or Valkey"
        )
    return found.get(b"run_id", b"")[:16]
