"""The contestants of the benchmark: the same session code with and without a cache."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.interfaces import ORMOption

from sqlalchemy_rediscache import RedisCache, from_cache
from sqlalchemy_rediscache.cli.bench.cached_model import CachedProduct
from sqlalchemy_rediscache.cli.bench.dogpile_recipe import (
    DogpileRecipe,
    FromRegion,
    RelatedFromRegion,
)
from sqlalchemy_rediscache.cli.bench.floor import Floor
from sqlalchemy_rediscache.cli.bench.model import PlainProduct
from sqlalchemy_rediscache.cli.bench.servers import Servers

NO_CACHE = "no cache"
DOGPILE = "dogpile"
REDISCACHE = "rediscache"
NOT_ENABLED = "not enabled"
ENABLED = "enabled"
UNASKED = "nobody asked"
PREFIX = "rediscache-bench"

HOT_ROWS = 200
FLUSH_ROWS = 1_000
SPARE_ROWS = 200
LEAST_ROWS = HOT_ROWS + FLUSH_ROWS + SPARE_ROWS + 400


@dataclass(frozen=True)
class Contestant:
    """One way to read and write products.

    Args:
        name: its name in the report.
        factory: makes its sessions.
        product: its mapped class.
        options: what a statement needs so that this contestant caches it.
        lazy_options: the same, for a statement whose lazy loads are to be cached.
        query_options: the same, for a query that is no lookup by key.
    """

    name: str
    factory: sessionmaker[Session]
    product: Any
    options: Sequence[ORMOption] = ()
    lazy_options: Sequence[ORMOption] = ()
    query_options: Sequence[ORMOption] = ()


@dataclass(frozen=True)
class World:
    """Everything that a case needs: contestants, rows, servers.

    Rows are used by one kind of case each: the first `HOT_ROWS` are read again and again, the next
    `FLUSH_ROWS` are updated together, and the rest is read once, for misses; of these the last
    `SPARE_ROWS` are for what is counted and not timed.

    `unasked` is `rediscache` with a cache of its own, of which no query has asked for a tag.

    `not_enabled` and `enabled` both map products without the mixin, over one and the same database
    connection: they show what an enabled factory costs models that have no part in the cache.
    """

    no_cache: Contestant
    dogpile: Contestant
    rediscache: Contestant
    not_enabled: Contestant
    enabled: Contestant
    unasked: Contestant
    floor: Floor
    recipe: DogpileRecipe
    cache: RedisCache
    engine: Engine
    products: int
    suppliers: int

    @property
    def all(self) -> tuple[Contestant, Contestant, Contestant]:
        """No cache, dogpile and rediscache."""
        return self.no_cache, self.dogpile, self.rediscache

    @property
    def hot(self) -> range:
        """The products that are read again and again."""
        return range(1, HOT_ROWS + 1)

    @property
    def flushed(self) -> range:
        """The products that are updated in one flush."""
        return range(HOT_ROWS + 1, HOT_ROWS + FLUSH_ROWS + 1)

    @property
    def fresh(self) -> range:
        """The products that each contestant reads once."""
        return range(HOT_ROWS + FLUSH_ROWS + 1, self.products + 1 - SPARE_ROWS)

    @property
    def spare(self) -> range:
        """Products that nothing else reads."""
        return range(self.products + 1 - SPARE_ROWS, self.products + 1)

    def hot_cycle(self) -> Iterator[int]:
        """Yield the hot products for ever, in an order that is the same for every contestant."""
        return itertools.cycle(random.Random(7).sample(self.hot, HOT_ROWS))

    def hot_starts(self) -> Iterator[int]:
        """Yield the first of 100 hot products in a row for ever, the same for every contestant."""
        return itertools.cycle(random.Random(9).sample(range(1, HOT_ROWS - 98), 20))

    def hot_hundreds(self) -> Iterator[list[int]]:
        """Yield lists of 100 hot products for ever, the same for every contestant."""
        chance = random.Random(8)
        return itertools.cycle([chance.sample(self.hot, 100) for _ in range(20)])


@contextmanager
def assembled(servers: Servers, engine: Engine, products: int, suppliers: int) -> Iterator[World]:
    """Yield the contestants, connected; their connections and Redis keys go at the end.

    Args:
        servers: where Redis and the database are.
        engine: the engine of the contestants without the cache: what an enabled factory adds to
            its own engine must not slow them down.
        products: products in the database.
        suppliers: suppliers in the database.

    Raises:
        CacheError: Redis can't be used as configured.
    """
    with ExitStack() as stack:
        floor = stack.enter_context(closing(Floor(servers.redis_url, f"{PREFIX}-floor")))
        recipe = stack.enter_context(closing(DogpileRecipe(servers.redis_url, f"{PREFIX}-dogpile")))
        cache = stack.enter_context(closing(RedisCache(servers.redis_url, prefix=PREFIX)))
        cached_engine = create_engine(servers.database_url)
        stack.callback(cached_engine.dispose)
        floor.store(range(1, HOT_ROWS + 1), suppliers)
        stack.callback(floor.delete, f"{PREFIX}*")
        hooked = sessionmaker(engine)
        recipe.listen(hooked)
        enabled = sessionmaker(cached_engine)
        cache.enable(enabled)
        unasked = sessionmaker(create_engine(servers.database_url))
        stack.callback(unasked.kw["bind"].dispose)
        other = RedisCache(servers.redis_url, prefix=f"{PREFIX}-unasked")
        stack.enter_context(closing(other)).enable(unasked)
        not_enabled, plain_enabled = _twins(servers.database_url, cache, stack)
        yield World(
            no_cache=Contestant(NO_CACHE, sessionmaker(engine), PlainProduct),
            dogpile=Contestant(
                DOGPILE,
                hooked,
                PlainProduct,
                options=[FromRegion()],
                query_options=[FromRegion()],
                lazy_options=[RelatedFromRegion(PlainProduct.supplier)],
            ),
            rediscache=Contestant(REDISCACHE, enabled, CachedProduct, query_options=[from_cache()]),
            not_enabled=Contestant(NOT_ENABLED, not_enabled, PlainProduct),
            enabled=Contestant(ENABLED, plain_enabled, PlainProduct),
            unasked=Contestant(UNASKED, unasked, CachedProduct),
            floor=floor,
            recipe=recipe,
            cache=cache,
            engine=engine,
            products=products,
            suppliers=suppliers,
        )


def _twins(
    url: str, cache: RedisCache, stack: ExitStack
) -> tuple[sessionmaker[Session], sessionmaker[Session]]:
    """Make two factories, the second enabled, whose engines share one database connection.

    Two connections to PostgreSQL have two server processes, and one of these may be some 5 % slower
    than the other for as long as both live: more than what is to be seen here.
    """
    source = create_engine(url)
    stack.callback(source.dispose)
    shared = stack.enter_context(closing(source.raw_connection())).driver_connection

    def factory() -> sessionmaker[Session]:
        twin = create_engine(url, creator=lambda: shared, pool_size=1, max_overflow=0)
        # Its pool must not close what belongs to the source.
        stack.callback(twin.dispose, close=False)
        return sessionmaker(twin)

    not_enabled, enabled = factory(), factory()
    cache.enable(enabled)
    return not_enabled, enabled
