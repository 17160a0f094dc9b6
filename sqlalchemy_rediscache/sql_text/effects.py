"""The answers: it writes these tables, it writes nothing, it may write anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

Name = tuple[str | None, str]
"""A table's schema, if the text names one, and its name."""


class Kind(Enum):
    """What is done to the tables."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    DDL = "ddl"


class Effect(Enum):
    """Of a text of which no tables can be told."""

    READS = "reads"
    """It writes nothing."""
    UNKNOWN = "unknown"
    """It may write anything."""


READS: Final[Literal[Effect.READS]] = Effect.READS
UNKNOWN: Final[Literal[Effect.UNKNOWN]] = Effect.UNKNOWN


@dataclass(frozen=True, slots=True)
class Written:
    """What a text writes, of all its statements together.

    Args:
        tables: Each table that the text names as written. Unquoted names are in lower case; quoted
            ones too, but for PostgreSQL, where the case of these counts. Empty for DDL that changes
            no rows, such as an index.
        kinds: What is done to any of them. Rows of other tables that the database changes by
            foreign keys follow from `UPDATE` and `DELETE`; ``DROP TABLE`` counts as `DELETE` too.
    """

    tables: frozenset[Name]
    kinds: frozenset[Kind]

    def touches(self, schema: str | None, name: str) -> bool:
        """May rows of this table be among the written ones?

        A schema that one side leaves out may be any, as ``search_path`` is not known here. Names
        that differ by case alone are taken for the same.

        Args:
            schema: Of the table, None if it is the connection's default.
            name: Of the table.
        """
        lowered = name.lower()
        return any(
            lowered == one.lower()
            and (schema is None or other is None or schema.lower() == other.lower())
            for other, one in self.tables
        )


Answer = Written | Effect


def together(answers: Iterable[Answer]) -> Answer:
    """What several statements write."""
    tables: set[Name] = set()
    kinds: set[Kind] = set()
    for answer in answers:
        if answer is UNKNOWN:
            return UNKNOWN
        if isinstance(answer, Written):
            tables |= answer.tables
            kinds |= answer.kinds
    return Written(frozenset(tables), frozenset(kinds)) if tables or kinds else READS
