"""Fixtures: stores on a server, and a region as two processes see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sqlalchemy_rediscache.store import Store
from tests.store.shelf import Shelf, make_store

StoreMaker = Callable[..., Store]


@pytest.fixture
def new_store() -> Iterator[StoreMaker]:
    """Make stores, closed after the test; called with a URL and settings that differ."""
    stores: list[Store] = []

    def new(url: object, **changes: float) -> Store:
        stores.append(make_store(url, **changes))
        return stores[-1]

    yield new
    for store in stores:
        store.close()


@pytest.fixture
def shelf(redis_url: str, new_store: StoreMaker) -> Shelf:
    """A region that nothing is known of."""
    return Shelf(new_store(redis_url).blocking)


@pytest.fixture
def other(redis_url: str, new_store: StoreMaker) -> Shelf:
    """The same region from another process."""
    return Shelf(new_store(redis_url).blocking)
