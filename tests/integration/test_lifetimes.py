"""What a cache remembers goes with the engine that it was about, though the classes stay."""

from __future__ import annotations

import gc
import weakref

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import RedisCache
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
