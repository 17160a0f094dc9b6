"""Entries of cached queries in Redis: names, tenants, what is in them, damage, and round trips."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, func, select, union_all
from sqlalchemy.orm import Session, aliased, defer, sessionmaker

from sqlalchemy_rediscache import from_cache, refresh_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import (
    Animal,
    Author,
    Base,
    Book,
    Car,
    Cat,
    Diary,
    Member,
    Tag,
    Vehicle,
    populated,
)
from tests.integration.shown import Run, again, check, fresh, hits, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

pytestmark = pytest.mark.by_turns

CACHED = from_cache(ttl=60)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache())


def _read(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(CACHED)).all()


PROGRAM = """
import sys
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import aliased, sessionmaker
from sqlalchemy_rediscache import RedisCache, from_cache
from tests.integration.library import Author, Book, Tag

cache = RedisCache(sys.argv[1], prefix="t", connect_timeout=5, read_timeout=5)
factory = cache.enable(sessionmaker(create_engine(sys.argv[2])))
books = select(Book).where(Book.author_id.in_([1, 2, 3])).order_by(Book.id)
other = aliased(Author)
many = select(Book.author_id, func.count().label("n")).group_by(Book.author_id).cte()
for _ in range(3):
    with factory() as session:
        session.scalars(books.options(from_cache(ttl=60))).all()
        session.execute(
            select(other.name, many.c.n).join(many, many.c.author_id == other.id)
            .where(other.country.in_(("fr", "de"))).options(from_cache(ttl=60))
        ).all()
        session.scalars(select(Tag).where(Tag.name == "red")).one()
        session.get(Author, 1).books
    with factory() as session:
        session.get(Author, 1)
        session.get(Book, 1)
        session.get(Book, 1).tags
stats = cache.stats()
print(stats.query_hits, stats.query_misses, stats.query_fills)
cache.close()
"""


def test_processes_share_entries(stage: Stage, redis_url: str) -> None:
    """What one process keeps another one is served, whatever its hash seed."""

    def run(seed: str) -> list[int]:
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM, redis_url, stage.database.url],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return [int(one) for one in found.stdout.split()]

    first = run("1")
    assert first[2] == 5
    for seed in ("2", "77"):
        assert run(seed) == [15, 0, 0]


def test_a_namespace_for_each_tenant(database: Database, make_cache: CacheMaker) -> None:
    """A tenant is never served another's entry, of a query or a collection."""
    cache = make_cache(namespace=lambda session: session.info["tenant"])
    stage = populated(database, cache)
    runs: list[Run] = [
        _read(select(Book).where(Book.author_id == 1)),
        lambda session: session.get_one(Author, 1).books,
        lambda session: session.scalars(select(Author).where(Author.email == "ann@x")).one(),
    ]

    def selects(run: Run, tenant: str) -> int:
        with stage.counting() as count, stage.Session(info={"tenant": tenant}) as session:
            run(session)
        return count.selects

    for number, run in enumerate(runs, start=1):
        for tenant in ("one", "two", "one", "two"):
            assert [selects(run, tenant) for _ in range(3)][2] == 0
        assert stage.cache.stats().query_fills == 2 * number


@pytest.mark.databases("postgresql")
def test_a_schema_for_each_tenant(database: Database, make_cache: CacheMaker) -> None:
    """schema_translate_map, of an engine or one statement, is part of what a query is."""
    cache = make_cache()
    stage = Stage(database, cache, Base.metadata)
    factories: dict[str, sessionmaker[Session]] = {}
    for tenant in ("one", "two"):
        stage.behind(f"CREATE SCHEMA {tenant}")
        engine: Engine = stage.engine.execution_options(schema_translate_map={None: tenant})
        Base.metadata.create_all(engine)
        factories[tenant] = cache.enable(sessionmaker(engine))
        with factories[tenant].begin() as session:
            session.add(Author(id=1, name=tenant, email="e", books=[Book(id=1, title=tenant)]))
    runs: list[Run] = [
        lambda session: session.scalars(select(Book.title).options(CACHED)).all(),
        lambda session: [book.title for book in session.get_one(Author, 1).books],
        lambda session: [session.scalars(select(Author).where(Author.email == "e")).one().name],
    ]
    for run in runs:
        for _ in range(4):
            for tenant, factory in factories.items():
                with factory() as session:
                    assert run(session) == [tenant]
    statement = select(Book.title).options(CACHED)
    for tenant in ("two", "one", "two"):
        options = {"schema_translate_map": {None: tenant}}
        with stage.Session() as session:
            assert session.scalars(statement, execution_options=options).all() == [tenant]
    with factories["one"].begin() as session:
        session.get_one(Book, 1).title = "changed"
    for tenant, expected in (("one", "changed"), ("two", "two")):
        with factories[tenant]() as session:
            assert runs[0](session) == runs[1](session) == [expected]


def test_two_databases(two_databases: tuple[Database, Database], make_cache: CacheMaker) -> None:
    """Equal queries of two databases are two entries."""
    cache = make_cache()
    one, other = (populated(database, cache) for database in two_databases)
    other.behind("UPDATE book SET title = 'other'")
    run = _read(select(Book.title).where(Book.author_id == 1))
    for stage in (one, other, one, other):
        warmed(stage, run)
        fresh(stage, run)


def _fields(client: redis.Redis) -> list[tuple[Any, Any, bytes]]:
    """All that is in Redis: key, field, value."""
    found: list[tuple[Any, Any, bytes]] = []
    for key in client.scan_iter():
        fields: dict[Any, Any] = client.hgetall(key)
        found += [(key, name, value) for name, value in fields.items()]
    return found


def _everything(client: redis.Redis) -> bytes:
    return b"|".join(part for one in _fields(client) for part in one)


SECRETS: list[Any] = [
    select(Member),
    select(Member.card),
    select(Member.name, Member.card),
    select(func.max(Member.card)),
    select((Member.card + "x").label("made")),
    select(func.upper(Member.card), Member.id),
    select(aliased(Member).card),
    select(select(Member.card).subquery().c.card),
    select(select(Member.card).cte().c.card),
    select(select(Member.card).scalar_subquery()),
    select(Member.id).where(Member.card == "9999777"),
    select(Member.id).where(Member.card.in_(["9999777", "1"])),
    select(Member).options(defer(Member.name)),
    select(Member).from_statement(select(Member)),
    union_all(select(Author.name), select(Member.card)),
    select(union_all(select(Author.name), select(Member.card)).subquery()),
    select(Author.name).from_statement(union_all(select(Author.name), select(Member.card))),
    select(select((Member.card + "x").label("made")).subquery().c.made),
]


@pytest.mark.parametrize("number", range(len(SECRETS)))
def test_a_withheld_column_never_reaches_redis(
    stage: Stage, redis_client: redis.Redis, number: int
) -> None:
    """A column with info={"cache": False} is in no entry, whatever a query makes of it."""
    run = _read(SECRETS[number])
    check(stage, run)
    for _ in range(2):
        outcome(stage, _read(SECRETS[number].options(refresh_cache())))
    with stage.Session.begin() as session:
        session.get_one(Member, 1).name = "changed"
    check(stage, run)
    check(stage, lambda session: session.get_one(Member, 1).card)
    assert b"9999777" not in _everything(redis_client)


def test_what_other_programs_write_is_not_cached(stage: Stage) -> None:
    """A query that reads a table of no cached model asks the database each time."""
    for statement in (
        select(Diary),
        select(Author).join(Diary, Diary.author_id == Author.id),
        select(Author).where(Author.id.in_(select(Diary.author_id))),
        select(Author.name, Diary.text).outerjoin(Diary, Diary.author_id == Author.id),
    ):
        assert check(stage, _read(statement)).selects == 1


DAMAGE: list[bytes] = [
    b"", b"\x00", b"\xc1", b"\x90", b"\x94\x90\x90\x90\xc0", b"x" * 1000, b"\xdd\xff\xff\xff\xff",
    b"\x94\x90\x91\x91\xc4\x01a\x90\xcb" + b"\0" * 8,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DAMAGE)))
def test_a_damaged_entry_is_a_miss(stage: Stage, redis_client: redis.Redis, number: int) -> None:
    """Whatever bytes are in the place of an entry, the result is that of the database."""
    runs: list[Run] = [
        _read(select(Book).where(Book.author_id == 1).order_by(Book.id)),
        _read(select(Book.id, Book.title, Book.price).order_by(Book.id)),
        lambda session: session.get_one(Author, 1).books,
        lambda session: session.get_one(Book, 1).tags,
        _read(select(Author, Book).join(Author.books).order_by(Book.id)),
    ]
    for run in runs:
        for _ in range(3):
            outcome(stage, run)
    damaged = 0
    for key, name, value in _fields(redis_client):
        if any(byte < 32 or byte > 126 for byte in value):  # packed: no stamp, no time
            redis_client.hset(key, name, DAMAGE[number])
            damaged += 1
    assert damaged > 5
    fresh(stage, *runs)
    for run in runs:
        assert check(stage, run).statements == []


@pytest.mark.parametrize("what", ["entities", "columns", "two entities"])
def test_one_round_trip(database: Database, make_cache: CacheMaker, what: str) -> None:
    """A warm query of 100 rows is one round trip to Redis and no statement to the database."""
    stage = populated(database, make_cache())
    with stage.Plain.begin() as session:
        session.add_all(
            Book(id=n, title=f"t{n}", author_id=4, price=Decimal(n)) for n in range(100, 200)
        )
    statement: Any = {
        "entities": select(Book).where(Book.author_id == 4).order_by(Book.id),
        "columns": select(Book.id, Book.title).where(Book.author_id == 4).order_by(Book.id),
        "two entities": select(Book, Author).join(Book.author).where(Book.author_id == 4)
        .order_by(Book.id),
    }[what]  # fmt: skip
    run = _read(statement)
    warmed(stage, run)
    before = hits(stage)
    found, count = again(stage, run)
    assert (count.statements, count.trips, hits(stage) - before) == ([], 1, 1)
    assert found == outcome(stage, run, plain=True)
    assert len(found[1]) == 100


@pytest.mark.parametrize("what", ["collection", "unique key", "aggregate", "no row"])
def test_one_round_trip_for_the_small_ones(stage: Stage, what: str) -> None:
    """A warm collection, lookup or aggregate is one round trip, too."""
    with stage.Session() as session:
        author = session.get_one(Author, 1)
        session.expunge(author)

    def books(session: Session) -> Any:
        session.add(author)
        return author.books

    ways: dict[str, Run] = {
        "collection": books,
        "unique key": lambda session: session.scalars(select(Tag).where(Tag.name == "red")).one(),
        "aggregate": _read(select(func.count()).where(Book.author_id == 1)),
        "no row": _read(select(Book).where(Book.author_id == 4)),
    }
    run = ways[what]
    for _ in range(3):
        with stage.Session() as session:
            run(session)
            session.expunge_all()
        author.__dict__.pop("books", None)
    with stage.counting() as count, stage.Session() as session:
        run(session)
        session.expunge_all()
    assert (count.statements, count.trips) == ([], 1)


def test_entities_live_once(stage: Stage, redis_client: redis.Redis) -> None:
    """Rows that a query brought serve get(), and a title is in Redis once."""
    outcome(stage, _read(select(Book).where(Book.author_id == 1)))
    outcome(stage, _read(select(Book).where(Book.author_id.in_([1, 2]))))
    _, count = again(stage, lambda session: session.get_one(Book, 3))
    assert count.statements == []
    assert _everything(redis_client).count(b"three") == 1


@pytest.mark.parametrize("root", [Vehicle, Animal], ids=["one table", "joined"])
def test_entities_of_a_hierarchy_live_once(
    stage: Stage, redis_client: redis.Redis, root: Any
) -> None:
    """What the root of a hierarchy loads is in the row cache, of all classes, and serves get()."""
    sub: Any = {Vehicle: Car, Animal: Cat}[root]
    for statement in (select(root).order_by(root.id), select(sub).order_by(sub.id)):
        assert check(stage, _read(statement)).statements == []
    _, count = again(stage, lambda session: session.get_one(root, 2))
    assert count.statements == []
    with stage.Plain() as session:
        name = session.get_one(root, 2).name
    values = [value for key, _, value in _fields(redis_client) if b"q:" in key]
    assert len(values) > 2
    assert not any(b"\xa1" + name.encode() in value for value in values)
    with stage.Session.begin() as session:
        session.get_one(root, 2).name = "changed"
    fresh(stage, _read(select(root).order_by(root.id)), _read(select(sub).order_by(sub.id)))
    with stage.Session.begin() as session:
        session.delete(session.get_one(root, 2))
    fresh(stage, _read(select(root).order_by(root.id)), _read(select(sub).order_by(sub.id)))


def test_a_write_through_row_serves_the_query_again(stage: Stage) -> None:
    """After a change of a row the query is loaded once and then served again."""
    run = _read(select(Book).where(Book.author_id == 1).order_by(Book.id))
    warmed(stage, run)
    with stage.Session.begin() as session:
        session.get_one(Book, 1).title = "changed"
    assert [again(stage, run)[1].selects for _ in range(3)][1:] == [0, 0]
    fresh(stage, run)
