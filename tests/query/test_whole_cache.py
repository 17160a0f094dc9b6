"""Random queries from the cache, random writes of every kind: no result is ever an old one.

Two caches stand for two processes. After each transaction every remembered query is read from the
cache and compared with what the database gives.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, selectinload, sessionmaker

from sqlalchemy_rediscache import RedisCache, from_cache, skip_cache
from sqlalchemy_rediscache.query import Refusal, dependencies
from tests.fix_caches import CacheMaker
from tests.query.random_models import MODELS, TABLES, Author, Base, Book, random_rows
from tests.query.random_sql import RandomSelects
from tests.query.random_writes import RandomWrites, rows_now
from tests.servers import Database

pytestmark = pytest.mark.judged

TABLE_OF: dict[Any, Table] = dict(zip(MODELS, TABLES, strict=True))

REMEMBERED = 16
"""Queries that are remembered at a time."""

NOBODY = "nobody"
"""What the collection of nobody gives."""

Result = Counter[str]


def _plain(value: Any, deep: bool = True) -> Any:
    """A value as something to compare: of an object its class, columns and loaded collections."""
    state = inspect(value, raiseerr=False)
    if state is None or not hasattr(state, "session"):
        return (type(value).__name__, value)
    found = {}
    for name, one in state.dict.items():
        if name == "_sa_instance_state":
            continue
        if name in state.mapper.column_attrs:
            found[name] = one
        elif deep and isinstance(one, list):
            found[name] = sorted(repr(_plain(item, False)) for item in one)
        elif deep:
            found[name] = _plain(one, False)
    return (type(value).__name__, sorted(found.items()))


@dataclass
class Query:
    """A remembered query.

    Attributes:
        number: Its number, for the report.
        statement: What is executed, or a collection: its owner's key, less than 0 of many-to-many.
        tables: The tables that it reads.
        last: What the database gave last.
    """

    number: int
    statement: Any
    tables: frozenset[Table]
    last: Result
    cached: bool = True

    def read(self, session: Session, *options: Any) -> Result:
        """Run it in a session."""
        if isinstance(self.statement, int):
            found = self._collection(session, options)
            return Counter(
                [NOBODY] if found is None else (repr(_plain(one, False)) for one in found)
            )
        eager = bool(getattr(self.statement, "_with_options", ()))
        result = session.execute(self.statement.options(*options))
        rows = result.unique().all() if eager else result.all()
        return Counter(repr([_plain(one) for one in row]) for row in rows)

    def _collection(self, session: Session, options: Any) -> Any:
        if self.statement > 0:
            author = session.get(Author, self.statement, options=options)
            return None if author is None else author.books
        book = session.get(Book, -self.statement, options=options)
        return None if book is None else book.reviewers

    def truth(self, factory: Callable[[], Session]) -> Result:
        """What the database gives."""
        with factory() as session:
            return self.read(session)


class Whole:
    """A database, two caches, and what is remembered.

    Args:
        database: Where the rows are.
        make_cache: Makes the caches.
        seed: Of everything random.
    """

    def __init__(self, database: Database, make_cache: CacheMaker, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.engines = [self._engine(database) for _ in range(3)]
        Base.metadata.create_all(self.engines[0])
        if database.name == "postgresql":
            self._drop_foreign_keys(self.engines[0])
        with self.engines[0].begin() as connection:
            random_rows(self.rng).replace_all(connection)
        self.plain = sessionmaker(self.engines[0])
        self.caches: list[RedisCache] = []
        self.factories: list[sessionmaker[Session]] = []
        for engine in self.engines[1:]:
            cache = make_cache(read_timeout=5, connect_timeout=5)
            for model in MODELS:
                cache.register(model)
            self.caches.append(cache)
            self.factories.append(cache.enable(sessionmaker(engine)))
        self.selects = RandomSelects(self.rng)
        self.writes = RandomWrites(self.rng)
        self.queries: list[Query] = []
        self.counts: Counter[str] = Counter()

    def _engine(self, database: Database) -> Engine:
        return database.engine(enable_from_linting=False)

    def _drop_foreign_keys(self, engine: Engine) -> None:
        """The random rows refer to what is not there."""
        with engine.begin() as connection:
            for table in TABLES:
                for key in inspect(connection).get_foreign_keys(table.name):
                    connection.execute(
                        text(f"ALTER TABLE {table.name} DROP CONSTRAINT {key['name']}")
                    )

    def hits(self) -> int:
        """Queries that both caches answered so far."""
        return sum(cache.stats().query_hits for cache in self.caches)

    # -- queries ------------------------------------------------------------------------------

    def _statement(self) -> Any:
        chance = self.rng.random()
        if chance < 0.1:
            return self.rng.choice((1, -1)) * self.rng.randint(1, 5)
        if chance < 0.2:
            return select(Author).where(Author.code == self.rng.randint(1, 5))
        if chance < 0.3:
            statement = select(Author).where(Author.rank == self.rng.randint(1, 5))
            return statement.options(selectinload(Author.books))
        if chance < 0.36:
            books = select(Book).where(Book.genre == self.rng.randint(1, 5))
            return books.options(selectinload(Book.reviewers))
        return self.selects.statement()

    def remember(self) -> None:
        """Think of a query that the database takes, and have the cache hold it."""
        while True:
            statement = self._statement()
            tables = frozenset({TABLE_OF[Book]})
            if isinstance(statement, int):
                if statement < 0:
                    tables = frozenset(TABLES)
            else:
                found = dependencies(statement, lambda column: True)
                assert not isinstance(found, Refusal), statement
                tables = frozenset(one.table for one in found)
                if statement._with_options:
                    tables |= frozenset(TABLES)
            query = Query(self.counts["queries"], statement, tables, Counter())
            try:
                query.last = query.truth(self.plain)
            except DBAPIError:
                self.counts["refused by the database"] += 1
                continue
            break
        self.counts["queries"] += 1
        for _ in range(3):
            before = self.hits()
            self.compare(query)
            query.cached = self.hits() > before
        self.counts["cached queries"] += query.cached
        self.queries = [*self.queries[1 - REMEMBERED :], query]

    def _options(self, query: Query) -> tuple[Any, ...]:
        # a collection, or a lookup by a unique column, needs no option
        return () if isinstance(query.statement, int) else (from_cache(ttl=600),)

    def compare(self, query: Query) -> None:
        """Read a query from a cache."""
        with self.rng.choice(self.factories)() as session:
            found = query.read(session, *self._options(query))
        assert found == query.last, (
            f"seed {self.seed}, {self.writes.label}, query {query.number}, statement:\n"
            f"{query.statement}\n{query.last - found} is missing, {found - query.last} is old"
        )

    # -- a round ------------------------------------------------------------------------------

    def round(self) -> None:
        """A transaction, and then every remembered query."""
        self.writes.begin()
        if self.rng.random() < 0.35 or len(self.queries) < REMEMBERED:
            self.remember()
        with self.rng.choice(self.factories)() as session:
            try:
                committed = self._transaction(session)
            except DBAPIError:  # what SQLite compares, PostgreSQL may refuse to
                self.counts["refused by the database"] += 1
                session.rollback()
                committed = False
        for query in self.queries:
            now = query.truth(self.plain)
            changed = now != query.last
            query.last = now
            before = self.hits()
            self.compare(query)
            hit = self.hits() > before
            self._count(query, changed, hit, committed)

    def _transaction(self, session: Session) -> bool:
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            if self.rng.random() < 0.3:
                self._own_view(session)
            self.writes.write(session, rows_now(session))
            session.flush()
        if self.rng.random() < 0.5:
            self._own_view(session)
        if self.rng.random() < 0.1:
            self.writes.label += " rolled back"
            session.rollback()
            return False
        session.commit()
        return True

    def _own_view(self, session: Session) -> None:
        """What the transaction itself reads is what the database says to it."""
        query = self.rng.choice(self.queries)
        session.expunge_all()
        found = query.read(session, *self._options(query))
        session.expunge_all()
        expected = query.read(session, skip_cache())
        session.expunge_all()
        assert found == expected, f"seed {self.seed}, {self.writes.label}, {query.statement}"

    def _count(self, query: Query, changed: bool, hit: bool, committed: bool) -> None:
        counts = self.counts
        counts["reads"] += 1
        counts["hits"] += hit
        if changed:
            counts["changed"] += 1
            assert committed
        elif query.cached and committed and NOBODY not in query.last:
            counts["unchanged"] += 1
            counts["survived"] += hit
            read = bool(query.tables & self.writes.tables)
            counts["by table"] += not read
            if self.writes.by_unit and read:
                counts["unit"] += 1
                counts["unit survived"] += hit

    def line(self, rounds: int) -> str:
        """The figures, for the report."""
        counts = self.counts
        unchanged = counts["unchanged"]
        return (
            f"{rounds} transactions, {counts['queries']} queries"
            f" ({counts['cached queries'] / counts['queries']:.0%} of them cached),"
            f" {counts['reads']} reads, {counts['hits']} hits, {counts['changed']} changed results,"
            f" 0 stale; of {unchanged} entries that a write did not change"
            f" {counts['survived'] / unchanged:.1%} survived, {counts['by table'] / unchanged:.1%}"
            f" would have by tables alone; of {counts['unit']} whose tables the unit of work wrote"
            f" {counts['unit survived'] / counts['unit']:.1%} survived, none would have by tables"
        )


@pytest.fixture
def make_whole(database: Database, make_cache: CacheMaker) -> Callable[[int], Whole]:
    """Make the whole thing of a seed."""
    return lambda seed: Whole(database, make_cache, seed)


def _run(whole: Whole, rounds: int, record: Any) -> Counter[str]:
    for _ in range(rounds):
        whole.round()
    record("precision", whole.line(rounds))
    print(whole.line(rounds))  # noqa: T201
    return whole.counts


def test_no_result_is_old(
    make_whole: Callable[[int], Whole], record_property: Any, database: Database
) -> None:
    """After each of hundreds of transactions, every query from the cache is what the database has.

    And the cache does serve them: entries that a write did not change survive it more often than
    if each write of a table dropped all that reads it.
    """
    counts = _run(make_whole(1), 200 if database.name == "sqlite" else 100, record_property)
    assert counts["hits"] > 0.3 * counts["reads"]
    assert counts["changed"] > 50
    assert counts["cached queries"] > 0.8 * counts["queries"]
    assert counts["survived"] > counts["by table"]
    assert counts["unit survived"] > 0.3 * counts["unit"]


@pytest.mark.long
def test_no_result_is_old_in_long(
    make_whole: Callable[[int], Whole], record_property: Any, database: Database
) -> None:
    """The same with ten thousand transactions, on PostgreSQL two thousand."""
    _run(make_whole(2), 10_000 if database.name == "sqlite" else 2_000, record_property)
