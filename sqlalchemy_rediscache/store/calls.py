"""How scripts are called: packed, sent, loaded where the server does not know them, answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from ..errors import CacheUnavailable
from .answers import load_script
from .server import ServerIdentity
from .tokens import Tokens
from .transport import Frame, Transport
from .wire import integer, pack


class Call(NamedTuple):
    """One call of a script.

    Args:
        script: Its name.
        keys: Its keys, the guard first.
        generation: The generation that the caller knows; b"" where the script needs none.
        token: The caller's.
        arguments: What comes after the arguments that all scripts have (see ``guard.lua``).
    """

    script: str
    keys: Sequence[bytes]
    generation: bytes
    token: bytes
    arguments: Sequence[bytes]


class Calls:
    """Calls the scripts over a transport and keeps each guard's generation between calls.

    Args:
        transport: Where calls go.
        server: What is known of the server.
        tokens: Makes lease, lock and generation names.
        scripts: The names of the scripts.
        lock_ttl: Seconds after which the lock of a writer that died is void.
        lease_ttl: Seconds that a reader has to fill.
        max_bytes: Values larger than this are never served.
        generations: Generation of each guard as last seen; shared by all transports of a store.
        called: Called once for each round trip.
    """

    def __init__(
        self,
        transport: Transport,
        server: ServerIdentity,
        tokens: Tokens,
        scripts: Sequence[str],
        *,
        lock_ttl: float,
        lease_ttl: float,
        max_bytes: int,
        generations: dict[bytes, bytes],
        called: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.tokens = tokens
        self.generations = generations
        self.server = server
        self.lock_ms = integer(lock_ttl * 1000)
        self.lease_ms = integer(lease_ttl * 1000)
        self.max_bytes = integer(max_bytes)
        self._called = called
        self._scripts = {name: load_script(name) for name in scripts}

    def sha(self, script: str) -> bytes:
        """What EVALSHA calls a script by."""
        return self._scripts[script].sha

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Call scripts in one round trip, and wait for their replies.

        Raises:
            CacheUnavailable: No answer came in time, or one of them is a refusal.
        """
        return self._run(self.frame(calls), len(calls))

    def run_frames(self, frames: Sequence[Frame]) -> list[Any]:
        """Likewise, of calls that are packed already."""
        if len(frames) == 1:
            return self._run(frames[0], 1)
        return self._run(lambda run: b"".join([frame(run) for frame in frames]), len(frames))

    def _run(self, frame: Frame, replies: int) -> list[Any]:
        self._called()
        found = self.transport.exchange(frame, replies)
        if NoScriptError in map(type, found):
            # Scripts are idempotent for one token, so those of the pipeline that ran may run again.
            self._load_scripts()
            self._called()
            found = self.transport.exchange(frame, replies)
        return _accepted(found)

    def post(self, calls: Sequence[Call], told: Callable[[list[Any] | None], None]) -> None:
        """Call scripts without waiting: see `Transport.post`.

        Args:
            calls: The calls.
            told: Gets their replies, now or later; None when they are lost, or one is a refusal.
                It may call again, but must not raise.

        Raises:
            CacheUnavailable: They could not be sent.
        """

        def answered(replies: list[Any] | None) -> None:
            # In the middle of somebody else's call: nothing may be raised.
            try:
                if replies is not None and NoScriptError in map(type, replies):
                    replies = self.run(calls)
                elif replies is not None:
                    _accepted(replies)
            except CacheUnavailable:
                replies = None
            told(replies)

        self._called()
        self.transport.post(self.frame(calls), len(calls), answered)

    def send(self, frame: Frame, undo: Frame | None = None) -> Any:
        """Send one call, or one command, that is packed already; its reply."""
        self._called()
        reply = self.transport.exchange(frame, 1, undo)[0]
        if isinstance(reply, ResponseError):
            if isinstance(reply, NoScriptError):
                self._load_scripts()
                self._called()
                reply = self.transport.exchange(frame, 1, undo)[0]
            _accepted([reply])
        return reply

    def command(self, *parts: bytes) -> Any:
        """Run one command of Redis that is no script."""
        packed = pack(parts)
        return self.send(lambda run: packed)

    def frame(self, calls: Sequence[Call]) -> Frame:
        """Scripts called one after the other, packed."""

        def frame(run: bytes) -> bytes:
            hold = self.server.hold_ms()
            return b"".join(
                [
                    pack((b"EVALSHA", self._scripts[script].sha, b"%d" % len(keys), *keys, run,
                          generation, token, hold, self.lock_ms, *arguments))
                    for script, keys, generation, token, arguments in calls
                ]
            )  # fmt: skip

        return frame

    def _load_scripts(self) -> None:
        load = b"".join(pack((b"SCRIPT", b"LOAD", one.text)) for one in self._scripts.values())
        self._called()
        self.transport.exchange(lambda run: load, len(self._scripts))


def _accepted(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise CacheUnavailable(f"Redis refused a command of the cache: {reply}") from reply
    return replies
