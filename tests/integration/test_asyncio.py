"""Asyncio sessions are served by the same code, inside SQLAlchemy's greenlet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from sqlalchemy import ForeignKey, event, func, insert, select
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, load_only, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, RedisCache, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.test_commit_outcomes import locks
from tests.servers import Database


class _Base(AsyncAttrs, DeclarativeBase):
    pass


class Shelf(CacheMixin, _Base):
    """Refers to its room, lazily, and to its building, eagerly."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    room_id: Mapped[int | None] = mapped_column(ForeignKey("room.id"))
    room: Mapped[Room | None] = relationship()
    house_id: Mapped[int | None] = mapped_column(ForeignKey("house.id"))
    house: Mapped[House | None] = relationship(lazy="selectin")


class Room(CacheMixin, _Base):
    """What shelves stand in."""

    __tablename__ = "room"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class House(CacheMixin, _Base):
    """With a collection that every load brings along."""

    __tablename__ = "house"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    shelves: Mapped[list[Shelf]] = relationship(lazy="selectin", viewonly=True)


class AsyncStage:
    """An asyncio engine with rows, and a factory that the cache serves."""

    def __init__(self, engine: AsyncEngine, cache: RedisCache) -> None:
        self.engine = engine
        self.cache = cache
        self.Session = cache.enable(async_sessionmaker(engine))
        self.statements: list[str] = []

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            self.statements.append(statement)


@asynccontextmanager
async def staged(database: Database, cache: RedisCache) -> AsyncIterator[AsyncStage]:
    """The stage, within one event loop."""
    _Base.metadata.create_all(plain := database.engine())
    with plain.begin() as connection:
        connection.execute(insert(House), [{"id": 1, "name": "h"}])
        connection.execute(insert(Room), [{"id": 1, "name": "r"}])
        connection.execute(
            insert(Shelf),
            [{"id": n, "name": f"s{n}", "room_id": 1, "house_id": 1} for n in (1, 2)],
        )
    stage = AsyncStage(database.async_engine(), cache)
    try:
        yield stage
    finally:
        await stage.engine.dispose()
        await cache.aclose()


# SQLAlchemy wraps it where a statement was begun on a connection that was there
NO_GREENLET = (MissingGreenlet, StatementError)
Act = Callable[[AsyncStage], Awaitable[None]]


@pytest.fixture
def act(database: Database, make_cache: CacheMaker) -> Callable[[Act], None]:
    """Run a coroutine on a stage."""

    def act(body: Act) -> None:
        async def main() -> None:
            # a busy machine may take longer than the default deadline for one of 100 answers
            cache = make_cache(read_timeout=5, connect_timeout=5)
            async with staged(database, cache) as stage:
                await body(stage)

        asyncio.run(main())

    return act


async def warm(stage: AsyncStage) -> None:
    """Have the cache hold all rows."""
    for model in (House, Room, Shelf):
        for key in (1, 2):
            async with stage.Session() as session:
                await session.get(model, key)
    stage.statements.clear()


def test_get_and_refresh(act: Callable[[Act], None]) -> None:
    """Hits by key, by SELECT, and after a commit, without SQL."""

    async def body(stage: AsyncStage) -> None:
        await warm(stage)
        async with stage.Session() as session:
            room = await session.get_one(Room, 1)
            assert room.name == "r"
            await session.commit()
            assert await room.awaitable_attrs.name == "r"
            assert (await session.scalars(select(Room).where(Room.id == 1))).one() is room
        assert stage.statements == []

    act(body)


@pytest.mark.parametrize(
    "statement",
    [
        select(Room).where(Room.id == 1),
        select(Room).where(Room.name == "r").options(from_cache()),
        select(Room).where(Room.id == 1).options(load_only(Room.name)),
        select(Room, func.lower(Room.name)).options(from_cache()),
    ],
    ids=["by key", "query", "options", "row"],
)
def test_a_result_outlives_its_session(act: Callable[[Act], None], statement: Any) -> None:
    """What was awaited can be read when the session is closed: it was all loaded then."""

    async def body(stage: AsyncStage) -> None:
        await warm(stage)
        for _ in range(3):
            async with stage.Session() as session:
                result = await session.execute(statement)
            assert [row[0].name for row in result.all()] == ["r"]
        assert len(stage.statements) <= 1

    act(body)


def test_write_and_read(act: Callable[[Act], None]) -> None:
    """Insert, update and delete are seen by the next session."""

    async def body(stage: AsyncStage) -> None:
        await warm(stage)
        async with stage.Session.begin() as session:
            (await session.get_one(Room, 1)).name = "new"
            session.add(Room(id=2, name="two"))
        async with stage.Session() as session:
            assert (await session.get_one(Room, 1)).name == "new"
            assert (await session.get_one(Room, 2)).name == "two"
        async with stage.Session.begin() as session:
            await session.delete(await session.get_one(Room, 2))
        async with stage.Session() as session:
            assert await session.get(Room, 2) is None

    act(body)


def test_eager_relationships_are_loaded_on_a_hit(act: Callable[[Act], None]) -> None:
    """lazy="selectin" is there without MissingGreenlet, as after a load from the database."""

    async def body(stage: AsyncStage) -> None:
        await warm(stage)
        async with stage.Session() as session:
            shelf = await session.get_one(Shelf, 1)
            assert shelf.house is not None
            assert shelf.house.name == "h"
        async with stage.Session() as session:
            house = await session.get_one(House, 1)
            assert sorted(one.name for one in house.shelves) == ["s1", "s2"]
            assert all(one.house is house for one in house.shelves)

    act(body)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore:Exception ignored in")
@pytest.mark.parametrize("warmed", [True, False])
def test_lazy_loads_need_the_greenlet(act: Callable[[Act], None], warmed: bool) -> None:
    """Outside of it they raise MissingGreenlet on a hit and a miss alike; awaitable_attrs work."""

    async def body(stage: AsyncStage) -> None:
        if warmed:
            await warm(stage)
        async with stage.Session() as session:
            shelf = await session.get_one(Shelf, 1)
            with pytest.raises(NO_GREENLET, match="greenlet_spawn"):
                _ = shelf.room
            room = await shelf.awaitable_attrs.room
            assert room.name == "r"
            await session.commit()
            with pytest.raises(NO_GREENLET, match="greenlet_spawn"):
                _ = room.name

    act(body)


def test_many_readers_of_a_cold_row(act: Callable[[Act], None]) -> None:
    """100 tasks, one SELECT."""

    async def body(stage: AsyncStage) -> None:
        async with stage.Session() as session:
            await session.get(Room, 2)
        stage.statements.clear()

        async def read() -> str:
            async with stage.Session() as session:
                return str((await session.get_one(Room, 1)).name)

        assert await asyncio.gather(*(read() for _ in range(100))) == ["r"] * 100
        assert len(stage.statements) == 1

    act(body)


def test_cancellation_leaves_nothing(act: Callable[[Act], None], redis_client: redis.Redis) -> None:
    """Tasks cancelled at any moment of a read or a write leave no lease, lock or broken link."""

    async def body(stage: AsyncStage) -> None:
        await warm(stage)

        async def work(number: int) -> None:
            async with stage.Session() as session:
                room = await session.get_one(Room, 1)
                if number % 2:
                    room.name = "r"
                    await session.get(Shelf, 1)
                    room.name = f"n{number}"
                    await session.commit()

        for turn in range(40):
            await stage.cache.ainvalidate(Room, 1)
            task = asyncio.ensure_future(work(turn))
            for _ in range(turn // 2):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with stage.Session() as session:
            name = (await session.get_one(Room, 1)).name
            raw = (await session.execute(select(Room.__table__.c.name))).scalar_one()
        assert name == raw
        async with stage.Session.begin() as session:
            (await session.get_one(Room, 1)).name = "last"
        async with stage.Session() as session:
            assert (await session.get_one(Room, 1)).name == "last"
        await stage.cache.aclose()  # what is still being given back is awaited
        assert [one for one in locks(redis_client) if one.endswith(b"lease")] == []

    act(body)


def test_asynchronous_invalidation(act: Callable[[Act], None]) -> None:
    """Ainvalidate and aclear are the asyncio forms of invalidate and clear."""

    async def body(stage: AsyncStage) -> None:
        ways: list[Callable[[], Awaitable[None]]] = [
            lambda: stage.cache.ainvalidate(Room, 1),
            stage.cache.aclear,
        ]
        for forget in ways:
            await warm(stage)
            await forget()
            async with stage.Session() as session:
                await session.get(Room, 1)
            assert len(stage.statements) == 1

    act(body)
