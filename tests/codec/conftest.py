"""Fixtures of the codec's tests: open connections to each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.codec.links import DRIVERS, Link, async_link, sync_link
from tests.fix_servers import INVENTORY
from tests.servers import ServerPool


@pytest.fixture(scope="session")
def link(request: pytest.FixtureRequest, server_pool: ServerPool) -> Iterator[Link]:
    """An open connection by the driver that the test names; nothing is ever committed."""
    name: str = request.param
    server, scheme = DRIVERS[name]
    problem = request.config.stash[INVENTORY].problem(server)
    if problem:
        pytest.skip(f"{server}: {problem}")
    database = server_pool.database(server).acquire()  # type: ignore[arg-type]
    url = f"{scheme}://{database.url.partition('://')[2]}"
    yield from (async_link if name == "asyncpg" else sync_link)(name, url)
    database.release()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a link, and names no driver, with each of them."""
    given = [marker.args[0] for marker in metafunc.definition.iter_markers("parametrize")]
    if "link" in metafunc.fixturenames and not any("link" in names for names in given):
        metafunc.parametrize("link", DRIVERS, indirect=True)
