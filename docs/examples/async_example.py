"""asyncio: the same cache, an async_sessionmaker, and 20 tasks that want one cold row."""

# ruff: noqa: T201 - a program that shows what it does
from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, RedisCache


class Base(AsyncAttrs, DeclarativeBase):
    """The application's declarative base."""


class Author(CacheMixin, Base):
    """An author."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Book(CacheMixin, Base):
    """A book of one author."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author] = relationship()


async def run(folder: Path) -> None:
    """Run the example on a database file in a folder."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'library.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    # The deadline is generous, for machines that are busy.
    cache = RedisCache("embedded://", prefix="library", read_timeout=2.0)
    Session = cache.enable(async_sessionmaker(engine))  # noqa: N806 - as in SQLAlchemy's manual
    try:
        async with Session.begin() as session:
            session.add(Author(id=1, name="Ada"))
            session.add(Book(id=1, title="Engines", author_id=1))

        async with Session() as session:
            book = await session.get_one(Book, 1)
            author = await book.awaitable_attrs.author  # a lazy many-to-one, from Redis
            print(book.title, "by", author.name, "- hits:", cache.stats().hits)

        await cache.ainvalidate(Book, 1)

        async def read() -> str:
            async with Session() as session:
                book = await session.get_one(Book, 1)
                return str(book.title)

        before = cache.stats().fills
        titles = await asyncio.gather(*(read() for _ in range(20)))
        print(len(titles), "readers, fills:", cache.stats().fills - before)
    finally:
        await cache.aclear()
        await cache.aclose()
        await engine.dispose()


def main() -> None:
    """Run the example."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
