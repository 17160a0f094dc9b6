"""What an application takes out of the cache itself: rows, regions, named tags, everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Mapper

from ..errors import CacheUnavailable, ConfigurationError
from ..keys import Place
from ..models import mapper_of
from ..options import named_tags
from ..region import Region, as_key
from .access import Services


class Invalidations:
    """Invalidates on behalf of the application, for one cache.

    Args:
        services: The parts of the cache.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def of_model(self, model: type, identity: Any, *, is_async: bool) -> None:
        """See `RedisCache.invalidate`."""
        services = self._services
        mapper = mapper_of(model)
        if mapper is None or services.models.policy(mapper) is None:
            raise ConfigurationError(f"{model!r} is not a cached model: nothing to invalidate")
        wanted = []
        if not services.engines():
            raise ConfigurationError(
                "this cache has met no engine yet, so it can't tell which database is meant: "
                "enable() the session factory first"
            )
        for region, place in self._places(mapper, is_async=is_async):
            names: Sequence[bytes] = ()
            if identity is not None:
                token = region.identity.key(as_key(mapper, identity))
                if token is None:
                    raise ConfigurationError(
                        f"{identity!r} is not of the type of {model.__name__}'s primary key"
                    )
                names = (token,)
            wanted.append((place, names))
        self._send(wanted, is_async=is_async)

    def of_tags(self, names: Sequence[str], *, is_async: bool) -> None:
        """See `RedisCache.invalidate_tags`."""
        services = self._services
        tags = named_tags(names, "invalidate_tags")
        place = services.named_tags
        try:
            services.debts.pay(services.scripts(is_async))
            services.query_scripts(is_async).untag(place.guard, place.prefix, tags)
        except CacheUnavailable:
            services.counters.add("errors")
            services.debts.owe(place, None)
            raise

    def of_everything(self, *, is_async: bool) -> None:
        """See `RedisCache.clear`."""
        services = self._services
        try:
            count = services.scripts(is_async).clear(services.keys.everything().encode())
            services.counters.add("regions_invalidated", count)
        except CacheUnavailable:
            for mapper in services.models.cached():
                for _, place in self._places(mapper, is_async=None):
                    services.debts.owe(place, None)
            raise

    def _places(
        self, mapper: Mapper[Any], *, is_async: bool | None
    ) -> Iterator[tuple[Region, Place]]:
        """Where a class's rows are, in every scope that is known; None asks no server."""
        services = self._services
        for _, engine in services.engines():
            region = engine.region(mapper)
            if region is None:
                continue
            engine.place(region, None, engine.schema_map)
            places = dict.fromkeys(engine.places_of(region))
            if services.namespaced and is_async is not None:
                # tenants that other processes serve: their guards tell of them
                pattern = services.keys.guards(region.name).encode()
                for guard in services.scripts(is_async).scan(pattern):
                    places[services.keys.place_of(guard)] = None
            for place in places:
                yield region, place

    def _send(self, wanted: list[tuple[Place, Sequence[bytes]]], *, is_async: bool) -> None:
        if not wanted:
            return
        services = self._services
        scripts = services.scripts(is_async)
        try:
            services.debts.pay(scripts)
            scripts.invalidate([(place.guard, place.prefix, names) for place, names in wanted])
        except CacheUnavailable:
            services.counters.add("errors")
            for place, names in wanted:
                services.debts.owe(place, names or None)
            raise
        rows = sum(len(names) for _, names in wanted)
        services.counters.add("invalidated", rows)
        services.counters.add("regions_invalidated", sum(1 for _, names in wanted if not names))
