"""How packed commands reach the server and replies come back: blocking, and in an event loop.

Both have `exchange` and `post`, and are the only two places where Redis is called. Everything above
is written once, in blocking style: SQLAlchemy runs a session of an asyncio application in a
greenlet, where the asyncio transport can wait through the `await_` it is given.

What nobody waits for (a fill, a release) is posted: sent at once, its answer read by whoever uses
the connection next. Its sender is spared the time in which the server wakes up, works, and wakes it
up again: on an ordinary virtual machine 50 us and more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from ..errors import CacheUnavailable, ConfigurationError, ServerRefused
from .address import Address
from .deadline import Deadline
from .link import Answered, AsyncLink, Link
from .server import ServerIdentity

Frame = Callable[[bytes], bytes]
"""From the run id of the server to the bytes of a pipeline."""

_LOST = (RedisError, OSError)

_MOST_CONNECTIONS = 32
"""Connections of one event loop: it can't use more at once, and a storm of new ones is slow."""


_MOST_OWED = 16
"""Answers that one connection may leave unread."""


class Transport(Protocol):
    """What the scripts need of a transport."""

    cancellable: bool
    """A call may be cancelled before its answer is read: what it took has to be given back."""

    def exchange(self, frame: Frame, replies: int, undo: Frame | None = None) -> list[Any]:
        """Send a pipeline, return its replies (errors among them as `ResponseError` objects).

        Args:
            frame: Makes the bytes to send, given the run id of the server.
            replies: How many replies to read.
            undo: Makes a one-reply command that gives back what the call may have taken, sent
                when the waiting task is cancelled before the replies are known.

        Raises:
            CacheUnavailable: No server answered in time; what was sent may or may not have run.
        """

    def post(self, frame: Frame, replies: int, answered: Answered) -> None:
        """Send a pipeline; `answered` is told its replies, now or at a later call.

        Args:
            frame: As in `exchange`.
            replies: How many replies will come.
            answered: Called once; it may call the transport again.

        Raises:
            CacheUnavailable: It could not be sent.
        """

    def settle(self) -> None:
        """Read the answers that posted calls still owe, where that can be done here."""

    def pause(self, seconds: float) -> None:
        """Let other readers run for a moment."""

    def close(self) -> None:
        """Close every idle connection."""


class BlockingTransport:
    """Blocking connections, kept in a last-in first-out list that every thread takes from."""

    cancellable = False

    def __init__(self, address: Address, server: ServerIdentity) -> None:
        self._address = address
        self._server = server
        self._idle: deque[Link] = deque()

    def forget(self) -> None:
        """Let go of every connection unclosed: a forked child must not speak on its parent's."""
        self._idle = deque()

    def exchange(self, frame: Frame, replies: int, undo: Frame | None = None) -> list[Any]:
        """See `Transport.exchange`."""
        while True:
            try:
                link, fresh = self._idle.pop(), False
            except IndexError:
                link, fresh = self._connected(), True
            earlier = None
            try:
                connection = link.connection
                connection.send_packed_command((frame(link.run),), check_health=False)
                if link.owed:
                    earlier = self._read_owed(link)
                found = [self._reply(connection) for _ in range(replies)]
            except _LOST as error:
                self._drop(link)
                if fresh or isinstance(error, RedisTimeout | TimeoutError):
                    raise CacheUnavailable(f"Redis did not answer: {error!r}") from error
                continue  # the server had closed an idle connection: every script may run twice
            except BaseException:
                self._drop(link)
                raise
            if _demoted(found):
                link.close()  # a replica now: the next call connects to whoever is the primary
            else:
                self._idle.append(link)
            if earlier is not None:
                _tell(earlier)
            return found

    def post(self, frame: Frame, replies: int, answered: Answered) -> None:
        """See `Transport.post`."""
        while True:
            try:
                link, fresh = self._idle.pop(), False
            except IndexError:
                link, fresh = self._connected(), True
            try:
                link.connection.send_packed_command((frame(link.run),), check_health=False)
            except _LOST as error:
                self._drop(link)
                if fresh or isinstance(error, RedisTimeout | TimeoutError):
                    raise CacheUnavailable(f"Redis was not reached: {error!r}") from error
                continue
            except BaseException:
                self._drop(link)
                raise
            link.owed.append((replies, answered))
            if len(link.owed) > _MOST_OWED:
                self._settle(link)
            else:
                self._idle.append(link)
            return

    def settle(self) -> None:
        """See `Transport.settle`: of the connections that are idle now."""
        for _ in range(len(self._idle)):
            try:
                link = self._idle.popleft()
            except IndexError:
                return
            if link.owed:
                self._settle(link)
            else:
                self._idle.append(link)

    def _settle(self, link: Link) -> None:
        try:
            earlier = self._read_owed(link)
        except _LOST:
            self._drop(link)
            return
        except BaseException:
            self._drop(link)
            raise
        self._idle.append(link)
        _tell(earlier)

    def _read_owed(self, link: Link) -> list[tuple[Answered, list[Any]]]:
        found = [
            (answered, [self._reply(link.connection) for _ in range(replies)])
            for replies, answered in link.owed
        ]
        link.owed = []
        return found

    @staticmethod
    def _drop(link: Link) -> None:
        """Close a connection, and tell whoever waits for its answers that they won't come."""
        link.close()
        owed, link.owed = link.owed, []
        for _, answered in owed:
            answered(None)

    def _connected(self) -> Link:
        link = Link(_made(self._address.connection), self._server)
        try:
            link.connect()
        except (*_LOST, ServerRefused) as error:
            link.close()
            raise CacheUnavailable(f"Redis can't be reached: {error!r}") from error
        except BaseException:
            link.close()
            raise
        return link

    @staticmethod
    def _reply(connection: Any) -> Any:
        try:
            return connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close every idle connection."""
        self.settle()  # a socket that is closed with answers unread may take back what it sent
        while self._idle:
            self._idle.pop().close()


class AsyncioTransport:
    """Asyncio connections, a list for each event loop; called inside SQLAlchemy's greenlet.

    Args:
        address: Where the server is.
        server: What is known of it.
        await_: Waits for an awaitable from blocking code inside a greenlet (SQLAlchemy's own, given
            from outside since this package does not know SQLAlchemy).
    """

    cancellable = True

    def __init__(
        self, address: Address, server: ServerIdentity, await_: Callable[[Awaitable[Any]], Any]
    ) -> None:
        self._address = address
        self._server = server
        self._await = await_
        self._idle: weakref.WeakKeyDictionary[Any, deque[AsyncLink]] = weakref.WeakKeyDictionary()
        self._room: weakref.WeakKeyDictionary[Any, asyncio.Semaphore] = weakref.WeakKeyDictionary()
        self._undoing: set[asyncio.Task[None]] = set()

    def exchange(self, frame: Frame, replies: int, undo: Frame | None = None) -> list[Any]:
        """See `Transport.exchange`."""
        found: list[Any] = self._await(self._exchange(frame, replies, undo))
        return found

    async def _exchange(self, frame: Frame, replies: int, undo: Frame | None) -> list[Any]:
        loop = asyncio.get_running_loop()
        room = self._room.get(loop)
        if room is None:
            room = self._room[loop] = asyncio.Semaphore(_MOST_CONNECTIONS)
        async with room:
            idle = self._idle.setdefault(loop, deque())
            return await self._exchange_on(idle, frame, replies, undo)

    async def _exchange_on(
        self, idle: deque[AsyncLink], frame: Frame, replies: int, undo: Frame | None
    ) -> list[Any]:
        while True:
            fresh = not idle
            link = await self._connected() if fresh else idle.pop()
            try:
                connection = link.connection
                async with Deadline(self._address.deadlines.read):
                    await connection.send_packed_command(frame(link.run), check_health=False)
                    found = [await self._reply(connection) for _ in range(replies)]
            except _LOST as error:
                await link.close()
                if fresh or isinstance(error, RedisTimeout | TimeoutError):
                    raise CacheUnavailable(f"Redis did not answer: {error!r}") from error
                continue
            except BaseException:
                # Cancelled in mid-call. The connection has an answer coming that nobody will
                # read, and the server may have run the command: drop the one, undo the other
                # in a task of its own, since this one is being cancelled.
                await link.close()
                if undo is not None:
                    task = asyncio.ensure_future(self._undo(undo))
                    self._undoing.add(task)
                    task.add_done_callback(self._undoing.discard)
                raise
            if _demoted(found):
                await link.close()
            else:
                idle.append(link)
            return found

    async def _undo(self, undo: Frame) -> None:
        with contextlib.suppress(CacheUnavailable):  # what can't be given back expires
            await self._exchange(undo, 1, None)

    async def _connected(self) -> AsyncLink:
        link = AsyncLink(_made(self._address.async_connection), self._server)
        try:
            async with Deadline(self._address.deadlines.connect + self._address.deadlines.read):
                await link.connect()
        except (*_LOST, ServerRefused) as error:
            await link.close()
            raise CacheUnavailable(f"Redis can't be reached: {error!r}") from error
        except BaseException:
            await link.close()
            raise
        return link

    @staticmethod
    async def _reply(connection: Any) -> Any:
        try:
            return await connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    def post(self, frame: Frame, replies: int, answered: Answered) -> None:
        """See `Transport.post`; here the answer is waited for, while other tasks run."""
        answered(self.exchange(frame, replies))

    def settle(self) -> None:
        """Nothing is owed."""

    def pause(self, seconds: float) -> None:
        """Sleep, and let the event loop run."""
        self._await(asyncio.sleep(seconds))

    def close(self) -> None:
        """Let go of every idle connection."""
        # Connections of a running loop are closed by their sockets' finalizers; see `aclose`.
        self._idle.clear()

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop, after pending clean-up."""
        if self._undoing:
            await asyncio.gather(*self._undoing, return_exceptions=True)
        for link in self._idle.pop(asyncio.get_running_loop(), ()):
            await link.connection.disconnect()


def _tell(earlier: Iterable[tuple[Answered, list[Any]]]) -> None:
    for answered, replies in earlier:
        answered(replies)


def _demoted(replies: list[Any]) -> bool:
    return ReadOnlyError in map(type, replies)


def _made(connection: Callable[[], Any]) -> Any:
    """A new connection; a client of the wrong kind is no reason to fail a read."""
    try:
        return connection()
    except ConfigurationError as error:
        raise CacheUnavailable(str(error)) from error
