"""`Store`: one Redis server, reached by blocking and by asyncio sessions alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any

from redis.exceptions import AuthenticationError, RedisError

from ..errors import CacheUnavailable, ConfigurationError, ServerRefused
from .address import Address, Deadlines, redacted
from .calls import Calls
from .embedded import EmbeddedServer
from .queries import QueryScripts
from .scripts import Scripts
from .server import ServerIdentity, run_id
from .tokens import Tokens
from .transport import AsyncioTransport, BlockingTransport, Transport
from .wire import pack


@dataclass(frozen=True)
class StoreSettings:
    """What a store is told by the cache, times in seconds.

    Raises:
        ConfigurationError: A number is not above 0.
    """

    connect_timeout: float
    read_timeout: float
    lock_ttl: float
    lease_ttl: float
    lease_wait: float
    max_bytes: int

    def __post_init__(self) -> None:
        for field in fields(self):
            number = getattr(self, field.name)
            if not number > 0:
                raise ConfigurationError(f"{field.name}={number!r}: give a number above 0")


class Store:
    """The server and the scripts over both transports.

    Args:
        target: A URL, ``embedded://``, or a client of redis-py.
        settings: Deadlines and lifetimes.
        await_: Waits for an awaitable inside SQLAlchemy's greenlet.
        called: Called once for each round trip.
    """

    def __init__(
        self,
        target: object,
        settings: StoreSettings,
        await_: Callable[[Awaitable[Any]], Any],
        called: Callable[[], None],
    ) -> None:
        self._embedded: EmbeddedServer | None = None
        if target == "embedded://":
            self._embedded = EmbeddedServer()
            target = self._embedded.url
        self._settings = settings
        self._target = target
        self._address = Address(target, Deadlines(settings.connect_timeout, settings.read_timeout))
        self.server = ServerIdentity(settings.lock_ttl)
        self.tokens = Tokens()
        self._generations: dict[bytes, bytes] = {}
        self._called = called
        self._blocking = BlockingTransport(self._address, self.server)
        self.blocking = self._scripts(self._blocking)
        self.blocking_queries = QueryScripts(self.blocking)
        self._asyncio = AsyncioTransport(self._address, self.server, await_)
        self.asyncio = self._scripts(self._asyncio)
        self.asyncio_queries = QueryScripts(self.asyncio)

    def _scripts(self, transport: Transport) -> Scripts:
        return Scripts(
            Calls(
                transport,
                self.server,
                self.tokens,
                ("read", "fill", "lock", "release", "invalidate", "ask", "keep", "untag", "vouch"),
                lock_ttl=self._settings.lock_ttl,
                lease_ttl=self._settings.lease_ttl,
                max_bytes=self._settings.max_bytes,
                generations=self._generations,
                called=self._called,
            )
        )

    @property
    def url(self) -> object:
        """What the store was made with; for ``embedded://`` the URL of the server it started."""
        return self._target

    def require(self, kind: str) -> None:
        """Check that sessions of this kind can be served.

        Args:
            kind: ``"sync"`` or ``"async"``.

        Raises:
            ConfigurationError: The cache was given a client of the other kind.
        """
        if kind == "async":
            self._address.async_connection()
        else:
            self._address.connection()

    def check(self, timeout: float) -> None:
        """Connect once, and see that the server can be used; nothing for an asyncio client.

        Args:
            timeout: Seconds to wait.

        Raises:
            CacheUnavailable: Nobody answers there.
            ServerRefused: The server does not take our user, password, database, or is too old.
        """
        if self._address.async_only:
            return
        connection = Address(self._target, Deadlines(timeout, timeout)).connection()
        try:
            connection.connect()
            connection.send_packed_command((pack((b"INFO", b"server")),), check_health=False)
            self.server.saw(run_id(connection.read_response(disable_decoding=True)))
        except ServerRefused:
            self.close()
            raise
        except AuthenticationError as error:
            self.close()
            raise ServerRefused(
                f"the Redis server refused the login: {error}. Check user and password in the URL"
            ) from error
        except (RedisError, OSError) as error:
            self.close()
            refused = "auth" in str(error).lower() or "perm" in str(error).lower()
            if refused or "DB index" in str(error):
                raise ServerRefused(
                    f"the Redis server refused the connection: {error}. "
                    "Check user, password, database number and ACL"
                ) from error
            raise CacheUnavailable(
                f"no Redis server answers at {redacted(self._target)!r}: {error}. Start it, "
                "correct the URL, or pass check_server=False to start without"
            ) from error
        finally:
            connection.disconnect()

    def settle(self) -> None:
        """Read the answers that posted calls of blocking sessions still owe."""
        self._blocking.settle()

    def after_fork(self) -> None:
        """What a forked child has to do before it uses the store."""
        self.tokens.renew()
        self._blocking.forget()

    def close(self) -> None:
        """Close idle connections and stop an embedded server."""
        self.blocking.transport.close()
        self._asyncio.close()
        if self._embedded is not None:
            self._embedded.stop()

    async def aclose(self) -> None:
        """`close`, from within an event loop whose connections are closed properly."""
        await self._asyncio.aclose()
        self.close()
