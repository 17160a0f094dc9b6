"""What a cache remembers goes with the engine that it was about, though the classes stay."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import PickleType, create_engine
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
