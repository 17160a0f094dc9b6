"""Which columns are unique by themselves."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint

from sqlalchemy_rediscache.query.unique import UniqueColumns


@pytest.fixture
def table() -> Table:
    """A table with all ways to be unique, alone and together."""
    return Table(
        "thing",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("word", Integer, unique=True),
        Column("constrained", Integer),
        Column("indexed", Integer),
        Column("left", Integer, ForeignKey("thing.id")),
        Column("right", Integer, index=True),
        UniqueConstraint("constrained"),
        UniqueConstraint("left", "right"),
        Index("one", "indexed", unique=True),
    )


def test_each_way_to_be_unique_is_known(table: Table) -> None:
    """The column's own word, a constraint and an index; not what is unique together, nor a key."""
    unique = UniqueColumns()
    assert [c.name for c in table.c if unique.alone(c)] == ["word", "constrained", "indexed"]


def test_what_is_added_later_is_known(table: Table) -> None:
    """The answer for a table is kept, but not past an index that is added to it."""
    unique = UniqueColumns()
    assert not unique.alone(table.c.right)
    Index("two", table.c.right, unique=True)
    assert unique.alone(table.c.right)


def test_a_table_is_not_kept() -> None:
    """A table that nobody uses any more goes, with what is known of it."""
    unique = UniqueColumns()
    other = Table(
        "other", MetaData(), Column("id", Integer), Column("x", Integer), UniqueConstraint("x")
    )
    assert unique.alone(other.c.x)
    kept = weakref.ref(other)
    del other
    gc.collect()
    assert kept() is None


def test_a_column_without_a_table_is_not_unique(table: Table) -> None:
    """Nothing is known of the columns of a subquery."""
    assert not UniqueColumns().alone(table.select().subquery().c.constrained)  # type: ignore[arg-type]
