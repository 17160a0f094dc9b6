"""Models whose rows are loaded anew after a time, and a stage on which they age."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from sqlalchemy import ForeignKey, String, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, CachePolicy
from tests.integration.stage import Stage

TTL, STALE = 100, 1000


class Base(DeclarativeBase):
    """The base of these models."""


class Ware(CacheMixin, Base):
    """Served for a while after its time, until it is loaded anew."""

    __tablename__ = "ware"
    __cache__ = CachePolicy(ttl=TTL, stale_ttl=STALE, jitter=0)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    kind: Mapped[int | None] = mapped_column(index=True)
    notes: Mapped[str | None] = mapped_column(String(20), deferred=True)


class Plain(CacheMixin, Base):
    """As rows are by default; its ware is loaded lazily."""

    __tablename__ = "plain"
    __cache__ = CachePolicy(ttl=TTL, jitter=0, negative_ttl=0)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    ware_id: Mapped[int | None] = mapped_column(ForeignKey("ware.id"))
    ware: Mapped[Ware | None] = relationship()


class Forgotten(CacheMixin, Base):
    """That it does not exist is not remembered."""

    __tablename__ = "forgotten"
    __cache__ = CachePolicy(ttl=TTL, stale_ttl=STALE, jitter=0, negative_ttl=0)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Aging:
    """A stage, and how its rows age.

    Args:
        stage: The stage.
        client: A client of its Redis.
    """

    def __init__(self, stage: Stage, client: redis.Redis) -> None:
        self.stage = stage
        self.client = client
        self.statements: list[str] = []
        self._pending: list[Callable[[], Any]] = []
        self._found: list[Any] = []

        @event.listens_for(stage.engine, "before_cursor_execute")
        def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement == "BEGIN":  # SQLite's
                return
            self.statements.append(statement)
            if self._pending:
                self._found.append(self._pending.pop()())

    def sql(self, does: Callable[[], Any]) -> tuple[Any, int]:
        """What something gives, and how many statements that took."""
        before = len(self.statements)
        return does(), len(self.statements) - before

    def name(self, key: int = 1, model: Any = Ware) -> str | None:
        """The name of a row as a new session reads it."""
        with self.stage.Session() as session:
            found = session.get(model, key)
            return None if found is None else found.name

    def served(self, *keys: int) -> list[str | None]:
        """The names of rows, which must come without SQL and without waiting."""
        waits = self.stage.cache.stats().waits
        before = len(self.statements)
        found = [self.name(key) for key in keys]
        assert len(self.statements) == before
        assert self.stage.cache.stats().waits == waits
        return found

    @contextmanager
    def meanwhile(self, does: Callable[[], Any]) -> Iterator[list[Any]]:
        """Do something while the next statement is on its way, once; what came of it."""
        found: list[Any] = []
        self._found = found
        self._pending.append(does)
        yield found
        assert not self._pending, "no statement was sent"

    def keys(self, model: Any = Ware) -> list[bytes]:
        """The keys of a model's rows."""
        found = self.client.scan_iter(match=f"*{{{model.__tablename__}@*")
        return [key for key in found if key.count(b":") > 3 and b"}:q:" not in key]

    def age(self, *, left: int = STALE - 10, model: Any = Ware, key: int | None = None) -> None:
        """Have rows, or one of them, so many seconds left: fewer than `STALE` are after its ttl."""
        for name in self.keys(model):
            if key is None or name.endswith(b":%d" % key):
                self.client.pexpire(name, left * 1000)

    def left(self, model: Any = Ware) -> list[float]:
        """Seconds that rows have left."""
        return [int(self.client.pttl(key)) / 1000 for key in self.keys(model)]

    def leases(self) -> int:
        """How many rows are lent."""
        return sum(bool(self.client.hexists(key.decode(), "lease")) for key in self.keys())
