"""The two databases, and the pairs of sessions that work on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, event, insert
from sqlalchemy.orm import sessionmaker

from sqlalchemy_rediscache import RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.differential.models import Base, book_label
from tests.differential.side import Side
from tests.differential.values import COLUMNS, MODELS, Model, key_of, key_values
from tests.servers import Database


class Pair:
    """A session with the cache and one without, doing the same.

    Attributes:
        handles: What the two got at the same place of the same answer.
        writes: How often it may have written something since the last commit.
    """

    def __init__(self, cached: sessionmaker[Any], plain: sessionmaker[Any]) -> None:
        self.cached = Side(cached)
        self.plain = Side(plain)
        self.handles: list[tuple[Any, Any]] = []
        self.writes = 0

    @property
    def wrote(self) -> bool:
        """May it have written something that is not committed?"""
        return self.writes > 0

    def do(self, operation: Callable[[Side, int], Any]) -> None:
        """Have both do an operation, and compare everything.

        Args:
            operation: Given the side and its place in each of `handles`.
        """
        one, found = self.cached.run(lambda side: operation(side, 0))
        other, expected = self.plain.run(lambda side: operation(side, 1))
        _equal("outcome", one[0], other[0])
        _equal("warnings", one[1], other[1])
        _equal("events", one[2], other[2])
        seen, right = self.cached.seen(), self.plain.seen()
        for part in right:
            _equal(part, seen[part], right[part])
        known = {id(handle[0]) for handle in self.handles}
        self.handles += [
            both for both in zip(found, expected, strict=True) if id(both[0]) not in known
        ]

    def close(self) -> None:
        """End both sessions."""
        self.cached.session.close()
        self.plain.session.close()


def _equal(what: str, cached: Any, plain: Any) -> None:
    if isinstance(plain, dict) and isinstance(cached, dict) and cached != plain:
        lines = [
            f"  {key}:\n    cached {cached.get(key)!r}\n    plain  {plain.get(key)!r}"
            for key in sorted({*cached, *plain})
            if cached.get(key) != plain.get(key)
        ]
        raise AssertionError(f"{what} differ:\n" + "\n".join(lines))
    assert cached == plain, f"{what} differ:\n  cached {cached!r}\n  plain  {plain!r}"


class Twins:
    """Two databases with the same rows, one read through a cache.

    Args:
        cache: The cache; emptied by `reset`.
        database: One of the databases; the other is its twin.

    Attributes:
        warming: The hits that `warm` met.
    """

    def __init__(self, cache: RedisCache, database: Database) -> None:
        self.cache = cache
        self._engines = [_engine(database), _engine(database.twin())]
        self.cached = cache.enable(sessionmaker(self._engines[0]))
        self.plain = sessionmaker(self._engines[1])
        self.quiet = sessionmaker(self._engines[0])
        self.warming = 0
        for engine in self._engines:
            Base.metadata.create_all(engine)

    def reset(self, rows: int) -> None:
        """Fill both databases with the same rows, and empty the cache."""
        for engine in self._engines:
            with engine.begin() as connection:
                for table in reversed(Base.metadata.sorted_tables):
                    connection.execute(table.delete())
                for model in _ORDER:
                    _seed(connection, model, rows)
                for book, label in ((1, 1), (2, 1), (2, 2))[:rows]:
                    connection.execute(insert(book_label).values(book_id=book, label_id=label))
        self.cache.clear()

    def warm(self, some: Sequence[Model] = MODELS) -> None:
        """Have the cache hold every row of some classes."""
        before = self.cache.stats().hits
        for model in some:
            with self.cached() as session:  # a snapshot fills what it read before it began
                for number in range(4):
                    session.get(model, key_of(model, number))
        self.warming += self.cache.stats().hits - before

    def judge(self) -> None:
        """The cache holds what its database holds, and the databases hold the same.

        Raises:
            AssertionError: They differ.
        """
        _equal("the cache", audit(self.cache, self._engines[0]), [])
        for table in Base.metadata.sorted_tables:
            rows = []
            for engine in self._engines:
                with engine.connect() as connection:
                    rows.append(sorted(map(repr, connection.execute(table.select()))))
            assert rows[0] == rows[1], table.name


_ORDER = sorted(MODELS, key=lambda model: Base.metadata.sorted_tables.index(model.__table__))  # type: ignore[arg-type]


def _seed(connection: Any, model: Model, rows: int) -> None:
    mapper: Any = model.__mapper__
    identity = mapper.polymorphic_identity
    if mapper.polymorphic_on is not None:
        first = {"vehicle": 0, "car": 1, "truck": 2, "animal": 0, "cat": 1, "dog": 2}[identity]
        numbers = [first] if rows > first else []
    else:
        numbers = list(range(rows))
    for number in numbers:
        values = key_values(model, number)
        for name, known in COLUMNS[model].items():
            if name != "at":
                values[name] = known[(number + 1) % len(known)]
        if model.__name__ == "Document":
            values["version"] = 1
        if identity is not None:
            values["kind"] = identity
        for table in mapper.tables:
            mapped = {name: mapper.columns[name] for name in values}
            own = {
                column.name: values[name]
                for name, column in mapped.items()
                if column.table is table or name == "id"
            }
            connection.execute(insert(table).values(own))


def _engine(database: Database) -> Engine:
    engine = database.engine()
    if database.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connected(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")

    return engine
