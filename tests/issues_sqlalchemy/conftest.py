"""Fixtures: an SQLite file, an engine on it, and what its own models need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine on an empty SQLite file."""
    engine = create_engine(sqlite_url)
    yield engine
    engine.dispose()
