"""Random SELECTs and writes: what is not said to matter does not change the result."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Engine, Select, create_engine
from sqlalchemy.pool import StaticPool

from sqlalchemy_rediscache import private
from sqlalchemy_rediscache.query import Dependency, Refusal, Tagged, dependencies
from sqlalchemy_rediscache.query.sources import base_table
from tests.query.random_models import TABLES, Base, Write, random_rows, random_write
from tests.query.random_sql import RandomSelects

WRITES = 8
"""Writes that each SELECT is tried with."""


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A connection to an empty database in memory."""
    engine: Engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


Shown = Mapping[Any, frozenset[int]]
"""For each table where its columns are in the result that are not of its primary key."""


def shown_of(statement: Any) -> Shown:
    """What a result shows of the tables: an entry does without these values."""
    found: dict[Any, set[int]] = {table: set() for table in TABLES}
    compiled = statement.compile()
    # the columns of a union are named by those of its first SELECT
    columns = private.result_columns(compiled) if isinstance(statement, Select) else ()
    for place, column in enumerate(columns):
        table = base_table(getattr(column, "table", None))
        if table in found and isinstance(column, Column) and column.key != "id":
            found[table].add(place)
    return {table: frozenset(places) for table, places in found.items()}


def by_members(found: tuple[Dependency, ...], shown: Shown, write: Write) -> bool:
    """Does it depend on which rows a table has, and not on what is in them?"""
    return any(
        one.table is write.table and one.ways is None and one.beside_key == len(shown[one.table])
        for one in found
    )


def touched(found: tuple[Dependency, ...], shown: Shown, write: Write) -> bool:
    """Does a write touch what a result depends on?"""
    for dependency in found:
        if dependency.table is not write.table:
            continue
        if write.old and write.new and by_members(found, shown, write):
            continue  # no key was changed
        ways = dependency.ways
        if ways is None or any(_described(row, ways) for row in (write.old, write.new) if row):
            return True
    return False


def _described(row: Mapping[str, Any], ways: tuple[Tagged, ...]) -> bool:
    return any(row[way.column.key] in _values(way) for way in ways)


def _values(way: Tagged) -> list[Any]:
    """The values that a caller makes tags of: of a parameter, not NULL."""
    values: list[Any] = []
    for parameter in way.values:
        if parameter is None:
            continue
        given: Any = parameter.effective_value
        values += given if parameter.expanding else [given]
    found = [value for value in values if value is not None]
    return [*found, None] if any(one is None for one in way.values) else found


def _without(rows: list[tuple[Any, ...]], places: frozenset[int]) -> Counter[tuple[Any, ...]]:
    return Counter(
        tuple(value for place, value in enumerate(row) if place not in places) for row in rows
    )


class Tally:
    """What became of the writes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def case(self, connection: Connection, seed: int) -> None:
        """Try one SELECT with some writes; a write that changes what was not touched fails."""
        rng = random.Random(seed)
        rows = random_rows(rng)
        rows.replace_all(connection)
        statement = RandomSelects(rng).statement()
        untaggable = {
            column for table in TABLES for column in table.c if rng.random() < rng.choice((0, 0.5))
        }
        found = dependencies(statement, lambda column: column not in untaggable)
        assert not isinstance(found, Refusal), (seed, found)
        self.counts["statements"] += 1
        shown = shown_of(statement)
        before = [tuple(row) for row in connection.execute(statement)]
        for _ in range(WRITES):
            write = random_write(rng, rows)
            left_out: frozenset[int] = frozenset()
            if by_members(found, shown, write):
                left_out = shown[write.table]
                self.counts["by members"] += 1
            write.apply(connection)
            after = [tuple(row) for row in connection.execute(statement)]
            same = _without(before, left_out) == _without(after, left_out)
            self._judge(found, shown, write, same, (seed, statement))
            write.undo(connection)
        connection.rollback()

    def _judge(
        self, found: tuple[Dependency, ...], shown: Shown, write: Write, same: bool, case: Any
    ) -> None:
        dropped = touched(found, shown, write)
        if not same:
            assert dropped, f"stale: seed {case[0]}, {write}, {found}\n{case[1]}"
            self.counts["changed"] += 1
            return
        self.counts["unchanged"] += 1
        self.counts["served"] += not dropped
        self.counts["served by table"] += all(one.table is not write.table for one in found)

    def line(self) -> str:
        """The figures, for the report."""
        counts = self.counts
        unchanged, served, tables = (
            counts[name] for name in ("unchanged", "served", "served by table")
        )
        return (
            f"{counts['statements']} statements, {unchanged + counts['changed']} writes"
            f" ({counts['by members']} where a table's members matter alone), 0 stale;"
            f" of {unchanged} writes that changed nothing, {served / unchanged:.1%} left the result"
            f" served, {tables / unchanged:.1%} by tables alone; of those to a table of the"
            f" statement {(served - tables) / (unchanged - tables):.1%}"
        )


def _run(connection: Connection, seeds: range, record: Any) -> Tally:
    tally = Tally()
    for seed in seeds:
        tally.case(connection, seed)
    record("precision", tally.line())
    print(tally.line())  # noqa: T201
    return tally


def test_what_does_not_matter_changes_nothing(connection: Connection, record_property: Any) -> None:
    """No write of a row that the dependencies don't describe changes the result."""
    tally = _run(connection, range(600), record_property)
    # a sound answer is "everything": this one has to be precise as well
    assert tally.counts["served"] > 1.3 * tally.counts["served by table"]
    assert tally.counts["changed"] > 100
    assert tally.counts["by members"] > 100


@pytest.mark.long
def test_it_is_so_for_many(connection: Connection, record_property: Any) -> None:
    """The same, with other statements, twenty thousand times."""
    _run(connection, range(1_000_000, 1_020_000), record_property)
