"""Fixtures: an SQLite file, an engine on it, a cache, and a factory for the models of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import RedisCache
from tests.fix_caches import CacheMaker


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine on an empty SQLite file."""
    engine = create_engine(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tables(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """`engine`, where the tables of the test file's own `Base` are."""
    request.module.Base.metadata.create_all(engine)
    return engine


@pytest.fixture
def cache(make_cache: CacheMaker) -> RedisCache:
    """A cache that holds nothing."""
    return make_cache()


@pytest.fixture
def factory(tables: Engine, cache: RedisCache) -> sessionmaker[Session]:
    """A factory that `cache` serves, on the tables of the test file's own `Base`."""
    factory: sessionmaker[Session] = cache.enable(sessionmaker(tables))
    return factory
