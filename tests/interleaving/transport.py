"""What stands before a cache's connection, so that each command to Redis is a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy_rediscache import RedisCache
from sqlalchemy_rediscache.errors import CacheUnavailable
from tests.interleaving.stepping import Op

if TYPE_CHECKING:
    from tests.interleaving.world import World


class SteppedTransport:
    """Stands before a cache's transport: each command is a step of the running actor.

    Those that are sent in one go are steps of their own: the server takes others' in between.
    """

    cancellable = False

    def __init__(self, inner: Any, world: World, cache: RedisCache) -> None:
        self._inner = inner
        self._world = world
        self._cache = cache
        self._epoch = 0

    def exchange(self, frame: Any, replies: int, undo: Any = None) -> list[Any]:
        """Wait for the turn, then send."""
        found: list[Any] = []
        for place in range(len(_commands(frame(b"")))):
            found += self._one(lambda run, at=place: _commands(frame(run))[at], undo)
        return found

    def _one(self, frame: Any, undo: Any) -> list[Any]:
        world = self._world
        actor = world.stepper.current
        parts = frame(b"").split(b"\r\n")
        name = world.script_names.get(parts[4], "") if parts[2] == b"EVALSHA" else ""
        how = world.stepper.park(Op("redis", name or parts[2].decode()))
        if how == "unsent":
            raise CacheUnavailable("not sent")
        if name == "lock" and actor is not None:
            keys = int(parts[6])
            actor.tokens.add(parts[8 + 2 * (keys + 2)])
        if self._epoch != world.epoch:  # what a new connection to a restarted server does
            self._epoch = world.epoch
            self._cache._services.store.server.saw(world.run(b"run"))
        found: list[Any] = self._inner.exchange(
            lambda run: world.swapped(frame(world.run(run))), 1, undo
        )
        if world.verbose:
            world.stepper.note(str(found)[:120])
        if how == "lost":
            raise CacheUnavailable("done, but the answer was lost")
        return found

    def post(self, frame: Any, replies: int, answered: Any) -> None:
        """A step as any other: when the server does it is what the order says."""
        answered(self.exchange(frame, replies))

    def settle(self) -> None:
        """Nothing is owed."""

    def pause(self, seconds: float) -> None:
        """Wait for the turn."""
        self._world.stepper.park(Op("pause", "waits for another's fill"))

    def close(self) -> None:
        """Close the transport."""
        self._inner.close()


def _commands(frame: bytes) -> list[bytes]:
    """The commands of a frame, apart."""
    found, at = [], 0
    while at < len(frame):
        start = at
        end = frame.index(b"\r\n", at)
        count, at = int(frame[at + 1 : end]), end + 2
        for _ in range(count):
            end = frame.index(b"\r\n", at)
            at = end + 2 + int(frame[at + 1 : end]) + 2
        found.append(frame[start:at])
    return found
