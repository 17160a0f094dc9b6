"""Tags: which columns have them, and what a row's are."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from sqlalchemy_rediscache import CachePolicy
from sqlalchemy_rediscache.tags import TagSet


def _table() -> Table:
    meta = MetaData()
    Table("author", meta, Column("id", Integer, primary_key=True))
    return Table(
        "book", meta,
        Column("id", Integer, primary_key=True),
        Column("author_id", Integer, ForeignKey("author.id")),
        Column("code", String(20), unique=True),
        Column("genre", Integer),
        Column("shelf", Uuid),
        Column("bought", Date),
        Column("price", Numeric(10, 2)),
        Column("twice", Integer, Computed("genre * 2")),
        Column("plain", Integer),
        Index("by_genre", "genre", "bought"),
        Index("by_twice", "twice"),
        UniqueConstraint("shelf", "price"),
    )  # fmt: skip


def _set(dialect: Any = None, policy: CachePolicy | None = None, left_out: str = "") -> TagSet:
    return TagSet(
        _table(),
        policy or CachePolicy(),
        dialect or postgresql.dialect(),  # type: ignore[no-untyped-call]
        lambda column: column.name == left_out,
    )


def _names(tags: TagSet) -> list[str]:
    return [column.name for column in tags.columns]


def test_columns_that_have_tags() -> None:
    """Keys, foreign keys, unique constraints and indexes; not fractions, not what is computed."""
    assert _names(_set()) == ["id", "author_id", "code", "genre", "shelf", "bought"]


def test_columns_that_a_policy_names() -> None:
    """`query_tags` replaces them; what has no exact text still has no tags."""
    assert _names(_set(policy=CachePolicy(query_tags=("plain", "price")))) == ["plain"]


def test_texts_that_the_database_compares_in_its_own_way() -> None:
    """On MySQL, texts that differ may be equal to the database: they have no tags."""
    assert "code" not in _names(_set(mysql.dialect()))
    assert "code" in _names(_set(sqlite.dialect()))


def test_columns_that_rows_in_redis_lack() -> None:
    """A column that is left out of the row has no tags."""
    assert "code" not in _names(_set(left_out="code"))


def test_sets_have_names() -> None:
    """Equal sets have one name, other sets have others."""
    assert _set().name == _set().name
    assert _set().name != _set(left_out="code").name


@pytest.mark.parametrize(
    ("name", "value", "tag"),
    [
        ("author_id", 5, b"1=5"),
        ("author_id", None, b"1!"),
        ("author_id", "5", None),
        ("author_id", True, None),
        ("code", "a b", b"2=a%20b"),
        ("shelf", UUID(int=1), b"4=" + b"0" * 31 + b"1"),
        ("bought", date(2020, 1, 2), b"5=2020-01-02"),
    ],
)
def test_the_tag_of_a_value(name: str, value: Any, tag: bytes | None) -> None:
    """A tag is a word; a value of another type than the column's has none."""
    tags = _set()
    column = next(one for one in tags.columns if one.name == name)
    assert tags.tag(column, value) == tag


def test_the_words_of_a_row() -> None:
    """A row's hash has the tags of all columns but the key's; none where one is not known."""
    tags = _set()
    words = tags.row_words(range(len(tags.kept)))
    assert words([5, "x", None, UUID(int=0), None]) == b"1=5 2=x 3! 4=" + b"0" * 32 + b" 5!"
    assert words([5.0, "x", None, UUID(int=0), None]) == b""
    key = [column for column in tags.columns if column.primary_key]
    assert tags.key_words(key, (7,)) == [b"0=7"]
    assert tags.key_words(key, ("7",)) is None
