"""A deadline for a call in an event loop, which waits for the server and not for the loop."""

from __future__ import annotations

import asyncio
from types import TracebackType

_STEPS = 5


class Deadline:
    """Raises `TimeoutError` in the body of ``async with`` when the server takes too long.

    A timer alone would also count the time that other tasks keep the loop busy: with a hundred of
    them, answers that came at once are read late, and every call would fail. The time is counted in
    steps, and a loop that was busy for all of it takes just one.

    Args:
        seconds: How long the server may take.
    """

    def __init__(self, seconds: float) -> None:
        self._step = seconds / _STEPS
        self._left = _STEPS
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._step, self._tick)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _tick(self) -> None:
        self._left -= 1
        if self._left > 0:
            self._handle = self._loop.call_later(self._step, self._tick)
        else:
            self._timeout.reschedule(self._loop.time())
