"""`rediscache bench`: that it runs, what it writes, and that what it counts is true."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
from sqlalchemy import inspect as inspect_engine
from typer.testing import CliRunner, Result

from sqlalchemy_rediscache.cli.bench import bench, counting, operations
from sqlalchemy_rediscache.cli.bench.check import check_answers
from sqlalchemy_rediscache.cli.bench.contestants import (
    LEAST_ROWS,
    NO_CACHE,
    PREFIX,
    REDISCACHE,
    World,
    assembled,
)
from sqlalchemy_rediscache.cli.bench.dataset import create_tables, drop_tables, fill_tables
from sqlalchemy_rediscache.cli.bench.run import case_names
from sqlalchemy_rediscache.cli.bench.servers import Servers
from sqlalchemy_rediscache.cli.bench.targets import Ratio, Verdict
from tests.bench.counting_proxy import CountingProxy
from tests.servers import Database, RedisServer

pytestmark = [
    pytest.mark.databases("postgresql"),
    # dogpile.cache uses a command of redis-py that the latter has deprecated.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

SUPPLIERS = 20


def run_command(*arguments: str) -> Result:
    """Run `rediscache bench` with `arguments`."""
    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def given(redis_url: str, database: Database) -> tuple[str, ...]:
    """The options that make the command use the servers of the tests."""
    return ("--url", redis_url, "--database-url", database.url)


@pytest.fixture
def proxy(redis_server: RedisServer, tmp_path: Path) -> Iterator[CountingProxy]:
    """A counting proxy on ``tmp_path / "proxy.sock"`` before the shared server."""
    redis_server.flush()
    with CountingProxy(tmp_path / "proxy.sock", Path(redis_server.socket_path)) as proxy:
        yield proxy


@pytest.fixture
def world(proxy: CountingProxy, database: Database, tmp_path: Path) -> Iterator[World]:
    """The contestants, their Redis behind the counting proxy."""
    engine = database.engine()
    create_tables(engine)
    for _ in fill_tables(engine, LEAST_ROWS, SUPPLIERS):
        pass
    servers = Servers(f"unix://{tmp_path / 'proxy.sock'}", database.url, False, False)
    with assembled(servers, engine, LEAST_ROWS, SUPPLIERS) as world:
        yield world
    drop_tables(engine)


def test_quick_run_writes_every_case(given: tuple[str, ...], tmp_path: Path) -> None:
    """A quick run ends with 0 and its JSON has every case with rounds, ratios and targets."""
    path = tmp_path / "bench.json"

    result = run_command("--quick", "--json", str(path), *given)

    assert result.exit_code == 0, result.output
    written = json.loads(path.read_text())
    assert written["schema"] == 1
    assert [*written["cases"], "round_trips", "bytes"] == case_names()
    for name, case in written["cases"].items():
        assert_case_is_whole(case, alone=name == "key_building")
    assert written["targets"] >= written["targets_reached"] >= 0
    assert set(written["bytes"]) == {"rediscache", "dogpile", "pickle", "hash", "packed"}
    assert all(size["value"] > 0 for size in written["bytes"].values())


def assert_case_is_whole(case: dict[str, Any], *, alone: bool) -> None:
    """Check the shape of one timed case of the JSON; `alone`, nothing is compared in it."""
    assert (len(case["contestants"]) == 1) == alone
    for contestant in case["contestants"].values():
        assert contestant["us"] > 0
        assert contestant["loops"] >= 1
        assert contestant["us"] >= min(contestant["rounds_us"])
    assert bool(case["times_as_long"]) != alone
    for target in case["targets"]:
        assert set(target) == {"target", "value", "reached", "floor"}


def test_a_target_stands_beside_what_the_floor_reaches() -> None:
    """What no cache on Redis can go beyond is a ratio of the same run."""
    times = {NO_CACHE: 300.0, REDISCACHE: 100.0, "session + GET": 75.0}
    target = Ratio("faster", REDISCACHE, NO_CACHE, 10, "session + GET")
    assert target.judge(times) == Verdict("at least 10x as fast as no cache", 3.0, False, 4.0)


def test_quick_run_states_where_it_ran(given: tuple[str, ...], tmp_path: Path) -> None:
    """The JSON names versions, server, processors and load, but no URL, host or folder."""
    path = tmp_path / "bench.json"

    run_command("--quick", "--only", "get_hit", "--json", str(path), *given)

    text = path.read_text()
    facts = json.loads(text)["facts"]
    assert facts["packages"]["sqlalchemy"]
    assert facts["packages"]["redis"]
    assert facts["server"].split()[0] in ("valkey", "redis")
    assert facts["database"] == "postgresql"
    assert facts["cpus"] >= 1
    assert all(secret not in text for secret in (*given[1::2], "/tmp", ".sock"))  # noqa: S108


def test_commits_keep_to_two_round_trips(given: tuple[str, ...], tmp_path: Path) -> None:
    """By the JSON, a commit needs at most 2 round trips, a hit 1 and no SQL statement."""
    path = tmp_path / "bench.json"

    run_command("--quick", "--only", "round_trips", "--json", str(path), *given)

    calls = json.loads(path.read_text())["calls"]
    assert calls["update_one_commit"]["round_trips"] in (1, 2)
    assert calls["flush_1000"]["round_trips"] in (1, 2)
    for hit in ("get_hit", "in_100"):
        assert (calls[hit]["round_trips"], calls[hit]["sql_statements"]) == (1, 0)
    assert calls["miss"]["sql_statements"] == 1


def test_nothing_is_left_behind(
    given: tuple[str, ...], database: Database, redis_client: redis.Redis
) -> None:
    """After a run, its tables and its keys are gone, and what others keep there is not."""
    redis_client.set("someone:else", "1", ex=60)

    result = run_command("--quick", "--only", "bytes", *given)

    assert result.exit_code == 0, result.output
    assert inspect_engine(database.engine()).get_table_names() == []
    assert list(redis_client.scan_iter(f"{PREFIX}*")) == []
    assert redis_client.exists("someone:else")


def test_unknown_case_is_refused() -> None:
    """`--only` with an unknown name ends with 2 and lists the cases."""
    result = run_command("--only", "nonsense")

    assert result.exit_code == 2
    assert "no case nonsense" in result.stderr
    assert "get_hit" in result.stderr


def test_unreachable_redis_is_reported(database: Database, tmp_path: Path) -> None:
    """A Redis that is not there ends the command with 2 and one line, not a traceback."""
    missing = f"unix://{tmp_path / 'missing.sock'}"

    result = run_command("--quick", "--url", missing, "--database-url", database.url)

    assert result.exit_code == 2
    assert "rediscache bench:" in result.stderr
    assert "Traceback" not in result.output


def test_contestants_give_the_database_s_answer(world: World) -> None:
    """All contestants load equal values of equal types, from the cache as well."""
    check_answers(world)


def test_counted_round_trips_are_those_on_the_wire(world: World, proxy: CountingProxy) -> None:
    """What `stats().round_trips` counts for commits is what passes on the socket."""

    def claimed() -> int:
        return world.cache.stats().round_trips

    def seen() -> int:
        world.cache.stats()  # reads the answers that are on their way
        return proxy.round_trips

    numbers = itertools.cycle(world.hot)
    for clocked in (seen, claimed):
        commit = operations.commit_one(world.rediscache, numbers, clocked)
        flush = operations.flush_many(world.rediscache, world.flushed, clocked)
        commit()
        flush()
        assert commit() == 2
        assert flush() == 2


def test_dogpile_contestant_caches(world: World) -> None:
    """The recipe answers get, IN and a lazy load without SQL once they are cached."""
    who = world.dogpile
    reads = (
        operations.get_one(who, itertools.repeat(1)),
        operations.select_in(who, itertools.repeat([1, 2, 3])),
    )
    lazy = operations.lazy_supplier(who, itertools.repeat(1))
    for operation in (*reads, lazy):
        operation()

    with counting.counted_statements(who) as sent:
        for operation in reads:
            operation()
        assert sent() == 0
        lazy()
        assert sent() == 1  # the product, which the lazy case does not cache
