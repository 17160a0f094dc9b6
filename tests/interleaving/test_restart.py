"""A server that is killed and started again in the middle of writes and reads."""

from __future__ import annotations

import pytest

from tests.fix_servers import PrivateRedis
from tests.interleaving.explorer import Explorer, Wrong
from tests.interleaving.orders import DepthFirst, Given
from tests.interleaving.sabotage import no_quarantine
from tests.interleaving.scenarios import TROUBLES
from tests.interleaving.world import World
from tests.servers import Database

(RESTARTS,) = (one for one in TROUBLES if one.name == "Redis restarts")


def _world(database: Database, private_redis: PrivateRedis) -> World:
    server = private_redis()
    world = World(database, server.url, processes=len(RESTARTS.roles))
    world.server = server
    return world


@pytest.mark.databases("sqlite")
def test_restart_of_a_real_server(database: Database, private_redis: PrivateRedis) -> None:
    """No read is stale when the server is killed and started at one step or another."""
    world = _world(database, private_redis)
    try:
        assert Explorer(world, RESTARTS).run(DepthFirst(switches=1, limit=15)).orders == 15
    finally:
        world.close()


@pytest.mark.databases("sqlite")
def test_quarantine_is_needed(
    database: Database, private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the quarantine, a writer whose lock the server lost makes a read stale."""
    world = _world(database, private_redis)
    no_quarantine(world, monkeypatch)
    w, r1, r2, redis = range(4)
    # the writer's lock is lost; one reader loads before COMMIT and fills after it; the other reads
    order = Given([w, w, redis, r1, r1, r1, w, r1, r2, r2])
    try:
        with pytest.raises(Wrong):
            Explorer(world, RESTARTS).run(order)
    finally:
        world.close()
