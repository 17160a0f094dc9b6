"""What a cache remembers goes with the engine that it was about, though the classes stay."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import Column, Integer, PickleType, Table, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin, RedisCache
from tests.integration.models import Base, User


def test_a_class_keeps_no_engine(redis_url: str, sqlite_url: str) -> None:
    """A class that outlives an engine does not keep what was known of the engine alive."""
    cache = RedisCache(redis_url, prefix="life")
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    factory: sessionmaker[Session] | None = cache.enable(sessionmaker(engine))
    assert factory is not None
    with factory() as session:
        assert session.get(User, 1) is None
    ((_, info),) = cache._services.engines()
    known = weakref.ref(info)
    cache.close()
    engine.dispose()
    del info, factory, engine, session, cache, _
    gc.collect()
    assert known() is None


@pytest.mark.warnings_allowed
def test_a_class_that_stays_out_keeps_no_session(redis_url: str, sqlite_url: str) -> None:
    """Why a class can't be cached is said once; who found out is not remembered."""

    class Apart(DeclarativeBase): ...

    class Priced(CacheMixin, Apart):
        __tablename__ = "priced"
        price: Mapped[tuple[int, ...]] = mapped_column(PickleType, primary_key=True)

    engine = create_engine(sqlite_url)
    Apart.metadata.create_all(engine)
    with RedisCache(redis_url, prefix="life") as cache:
        factory = cache.enable(sessionmaker(engine))
        with factory() as session:
            session.add(Priced(price=(5, 6)))
            session.commit()
        known = weakref.ref(session)
        del session
        gc.collect()
        assert cache.stats().fills == cache.stats().published == 0
        assert known() is None


def test_a_remembered_result_keeps_no_class(redis_url: str, sqlite_url: str) -> None:
    """What a cache remembers of queries leads to no class, once the engine is gone."""

    def asked(cache: RedisCache) -> weakref.ref[type]:
        class Passing(DeclarativeBase): ...

        class Guest(CacheMixin, Passing):
            __tablename__ = "guest"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(unique=True)

        engine = create_engine(sqlite_url)
        Passing.metadata.create_all(engine)
        factory = cache.enable(sessionmaker(engine))
        with factory() as session:
            session.add(Guest(id=1, name="ann"))
            session.commit()
        for _ in range(4):
            with factory() as session:
                assert session.scalars(select(Guest).where(Guest.name == "ann")).one().id == 1
            with factory() as session:
                assert session.get_one(Guest, 1).name == "ann"
        assert cache.stats().query_hits > 1
        cache.disable(factory)
        engine.dispose()
        Passing.registry.dispose()
        return weakref.ref(Guest)

    with RedisCache(redis_url, prefix="life") as cache:
        known = asked(cache)
        gc.collect()
        gc.collect()
        assert known() is None


def test_a_class_that_is_mapped_in_silence(redis_url: str, sqlite_url: str) -> None:
    """A write of a class is seen, though nobody told that the class was mapped meanwhile."""

    class Later(DeclarativeBase): ...

    table = Table("later", Later.metadata, Column("id", Integer, primary_key=True))
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    Later.metadata.create_all(engine)
    with RedisCache(redis_url, prefix="life") as cache:
        factory = cache.enable(sessionmaker(engine))
        with factory() as session:
            assert session.get(User, 1) is None
        with engine.begin() as connection:
            connection.execute(table.insert(), {"id": 1})
            connection.execute(table.delete())
        cache._mapped()  # as if all listeners of mappers had been cleared

        class Silent(CacheMixin, Later):
            __table__ = table

        for _ in range(2):
            with factory() as session:
                assert session.get(Silent, 1) is None
        assert cache.stats().negative_hits > 0
        with engine.begin() as connection:
            connection.execute(table.insert(), {"id": 1})
        with factory() as session:
            assert session.get(Silent, 1) is not None
