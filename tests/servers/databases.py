"""What every database of the tests offers, whichever server it is on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

DatabaseName = Literal["sqlite", "postgresql", "mariadb"]


class Database:
    """An empty database, one test's alone.

    Attributes:
        name: "sqlite", "postgresql" or "mariadb".
        version: The server's version.
        url: The SQLAlchemy URL for the synchronous driver.
        async_url: The SQLAlchemy URL for the asyncio driver.
    """

    def __init__(
        self,
        server: DatabaseServer,
        url: str,
        async_url: str,
        clean: Callable[[], None],
    ) -> None:
        self.name: DatabaseName = server.name
        self.version = server.version
        self.url = url
        self.async_url = async_url
        self._server = server
        self._clean = clean
        self._engines: list[Engine] = []
        self._twins: list[Database] = []
        self._released = False

    def engine(self, **options: Any) -> Engine:
        """Make an engine on this database, disposed of after the test.

        Args:
            options: Passed to `sqlalchemy.create_engine`.
        """
        engine = create_engine(self.url, **options)
        self._engines.append(engine)
        return engine

    def async_engine(self, **options: Any) -> AsyncEngine:
        """Make an asyncio engine on this database.

        A test must ``await engine.dispose()`` in the event loop that used it: its connections
        belong to that loop, and nothing can close them once it is gone.

        Args:
            options: Passed to `sqlalchemy.ext.asyncio.create_async_engine`.
        """
        return create_async_engine(self.async_url, **options)

    def twin(self) -> Database:
        """Another empty database on the same server, cleaned with this one."""
        twin = self._server.acquire()
        self._twins.append(twin)
        return twin

    def release(self) -> None:
        """Dispose of the engines, then remove everything that the test left behind.

        A second call does nothing.
        """
        if self._released:
            return
        self._released = True
        for twin in self._twins:
            twin.release()
        for engine in self._engines:
            engine.dispose()
        self._clean()


class DatabaseServer(ABC):
    """A server that hands out empty databases."""

    name: DatabaseName
    version: str

    @abstractmethod
    def acquire(self) -> Database:
        """Hand out an empty database; its `release` cleans it and gives it back."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server and remove its files."""
