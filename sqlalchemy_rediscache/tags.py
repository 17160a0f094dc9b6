"""`TagSet`: the columns of a table by whose values queries can be invalidated, and rows' tags.

A **tag** is a column with a value, ``author_id=5``. A query whose WHERE lets only such rows matter
depends on that tag alone; a write touches the tags that its row has and had. A tag is exact: equal
values have one text and different values have different texts, or the column is none of a tag set
(a collation that ignores case, a type whose equality is not that of its text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.engine import Dialect

from .codec import exact_text
from .policy import CachePolicy

MEMBERS = b"rows"
"""What is touched by every write but those UPDATEs that leave the primary key as it is. It stands
for which rows there are, without a word of what is in them."""

MADE = b"made"
"""What is touched by a new row whose key the database makes. It stands for the tags that such a key
may be: a query that has one of them has this one, too, see `TagSet.made`."""


class TagSet:
    """The tag columns of one region's root table.

    Args:
        table: The table.
        policy: `CachePolicy.query_tags` names the columns; by default it is every column of the
            primary key, of a foreign key, a unique constraint or an index.
        dialect: Whose values the tags are of.
        left_out: Tells columns that have no tags, since rows in Redis lack their values.

    Attributes:
        name: What tells this set of columns from others: two versions of an application that know
            different columns don't understand each other's tags.
        field: The field of a row's hash that has its tags.
        columns: The tag columns, each with its place in the set.
        kept: Those whose tags a row's hash has: not the key's, which its name tells.
        made: Those of the key whose values a database may make, see `MADE`. What refers to
            another row has its value from there.
    """

    def __init__(
        self,
        table: Table,
        policy: CachePolicy,
        dialect: Dialect,
        left_out: Callable[[Any], bool],
    ) -> None:
        texts = {
            column: text
            for column in _candidates(table, policy)
            if not left_out(column) and (text := exact_text(column, dialect)) is not None
        }
        self.columns: Mapping[Column[Any], int] = {
            column: place for place, column in enumerate(texts)
        }
        self._texts = tuple(texts.values())
        self.kept = tuple(column for column in self.columns if not column.primary_key)
        self.made = frozenset(
            column for column in self.columns if column.primary_key and not column.foreign_keys
        )
        names = "rows\x1f" + "\x1f".join(
            f"{column.name} {column.type!r}" for column in self.columns
        )
        self.name = hashlib.blake2b(names.encode(), digest_size=4).hexdigest().encode()
        self.field = b"tags:" + self.name

    def tag(self, column: Column[Any], value: Any) -> bytes | None:
        """The tag of a value, None where it has no exact text."""
        place = self.columns[column]
        if value is None:
            return b"%d!" % place
        text = self._texts[place](value)
        return None if text is None else b"%d=%b" % (place, text)

    def key_words(
        self, columns: Sequence[Column[Any]], identity: Sequence[Any]
    ) -> list[bytes] | None:
        """The tags of a primary key; None where one of its values has none."""
        found = []
        for column, value in zip(columns, identity, strict=True):
            if column in self.columns:
                tag = self.tag(column, value)
                if tag is None:
                    return None
                found.append(tag)
        return found

    def row_words(self, places: Sequence[int]) -> Callable[[Sequence[Any]], bytes]:
        """Makes the function that gives the kept tags of rows whose values are at `places`.

        It gives b"" for a row that has a value without a tag: whoever writes it can't tell which
        queries know it.
        """
        makers = [
            (place, b"%d!" % self.columns[column], b"%d=" % self.columns[column],
             self._texts[self.columns[column]])
            for column, place in zip(self.kept, places, strict=True)
        ]  # fmt: skip

        def words(values: Sequence[Any]) -> bytes:
            found = []
            for place, null, start, text_of in makers:
                value = values[place]
                if value is None:
                    found.append(null)
                    continue
                text = text_of(value)
                if text is None:
                    return b""
                found.append(start + text)
            return b" ".join(found)

        return words


def _candidates(table: Table, policy: CachePolicy) -> list[Column[Any]]:
    """In the table's order, so that the same model gives the same set in every process."""
    if policy.query_tags is not None:
        wanted = set(policy.query_tags)
        return [column for column in table.columns if column.key in wanted and _as_sent(column)]
    named = {column for index in table.indexes for column in index.columns}
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | ForeignKeyConstraint):
            named.update(constraint.columns)
    return [
        column
        for column in table.columns
        if (column.primary_key or column in named) and _as_sent(column)
    ]


def _as_sent(column: Column[Any]) -> bool:
    """Does the column get a value only from who writes the row, who knows it then?"""
    return column.computed is None and column.onupdate is None and column.server_onupdate is None
