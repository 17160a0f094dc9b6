"""Fixtures of the integration tests."""

from __future__ import annotations

import pytest

from tests.fix_caches import CacheMaker
from tests.integration.stage import Stage
from tests.servers import Database


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """A database with a team and three users, and a cache that holds nothing yet."""
    stage = Stage(database, make_cache())
    stage.populate()
    return stage
