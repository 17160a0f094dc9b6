"""What is known to go wrong: each test fails as soon as its gap is closed, and moves then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

from sqlalchemy_rediscache import RedisCache
from sqlalchemy_rediscache.errors import CacheUnavailable
from tests.interleaving.conftest import Explore
from tests.interleaving.orders import Given
from tests.interleaving.scenarios import ASSIGNS, REDIS_FAILS
from tests.interleaving.world import Base, Item
from tests.servers import Database


@pytest.mark.databases("sqlite")
def test_assigning_the_value_it_has(explore: Explore) -> None:
    """A writer that assigns the value its old object has publishes nothing that it did not write.

    SQLAlchemy sends no such column; the other writer's value is in the database.
    """
    explore(ASSIGNS, Given([1, 1, 1, 1, 0, 0, 0, 0, 2]))


@pytest.mark.databases("sqlite")
def test_commit_that_redis_was_not_told_of(explore: Explore) -> None:
    """Between a COMMIT whose lock failed and its invalidation, a process trusts no entry."""
    explore(REDIS_FAILS, Given([0, (0, "unsent"), (0, "unsent"), 0, 1]))


def test_commit_that_a_strict_cache_refused(
    database: Database, make_cache: Callable[..., RedisCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a strict cache refused to commit is rolled back, not committed by the next session."""
    engine = database.engine(pool_size=1, max_overflow=0)
    Base.metadata.create_all(engine)
    cache = make_cache(consistency="strict")
    factory = cache.enable(sessionmaker(engine))
    with factory() as session:
        session.add(Item(id=1, a=0, b=0))
        session.commit()

    def fail(*_: Any) -> None:
        raise CacheUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(cache._services.store.blocking.transport, "exchange", fail)
        with factory() as session:
            session.get_one(Item, 1).a = 5
            with pytest.raises(CacheUnavailable):
                session.commit()
    with factory() as session:
        session.add(Item(id=2, a=0, b=0))
        session.commit()
        assert session.execute(select(Item.a).where(Item.b == 0).order_by(Item.id)).all() == [
            (0,),
            (0,),
        ]
