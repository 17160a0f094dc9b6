"""One connection of redis-py, and what was learned of the server when it connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .server import ServerIdentity, run_id
from .wire import pack

_INFO = (pack((b"INFO", b"server")),)

Answered = Callable[[list[Any] | None], None]
"""Told the replies to what was posted, or None when they were lost with the connection."""


class Link:
    """A blocking connection. The run id belongs to the connection: it is read on every connect.

    Attributes:
        owed: Answers that are still to be read, before any other: how many, and who is told.
    """

    __slots__ = ("_server", "connection", "owed", "run")

    def __init__(self, connection: Any, server: ServerIdentity) -> None:
        self.connection = connection
        self._server = server
        self.run = b""
        self.owed: list[tuple[int, Answered]] = []

    def connect(self) -> None:
        """Connect and learn who answers."""
        self.connection.connect()
        self.connection.send_packed_command(_INFO, check_health=False)
        self.run = run_id(self.connection.read_response(disable_decoding=True))
        self._server.saw(self.run)

    def close(self) -> None:
        """Disconnect; the link is not used again."""
        self.connection.disconnect()


class AsyncLink:
    """An asyncio connection of one event loop."""

    __slots__ = ("_server", "connection", "run")

    def __init__(self, connection: Any, server: ServerIdentity) -> None:
        self.connection = connection
        self._server = server
        self.run = b""

    async def connect(self) -> None:
        """Connect and learn who answers."""
        await self.connection.connect()
        await self.connection.send_packed_command(_INFO[0], check_health=False)
        self.run = run_id(await self.connection.read_response(disable_decoding=True))
        self._server.saw(self.run)

    async def close(self) -> None:
        """Disconnect; the link is not used again."""
        await self.connection.disconnect(nowait=True)
