"""What single words tell of a statement, without a parser."""

from __future__ import annotations

import re

QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
"""They write by the words of `WRITES_IN_QUERY` alone."""
CARRIERS = frozenset(
    {
        "ABORT", "BEGIN", "COMMIT", "DECLARE", "END", "ROLLBACK", "SET", "START",
    }
)  # fmt: skip
"""They write nothing themselves; some databases let another statement follow inside."""
EXPLAINS = frozenset({"ANALYZE", "DESC", "DESCRIBE", "EXPLAIN"})
"""They may execute the statement that follows."""
READERS = frozenset(
    {
        "CHECKPOINT", "CLOSE", "DEALLOCATE", "FETCH", "LISTEN", "LOCK", "MOVE", "NOTIFY", "PRAGMA",
        "RELEASE", "RESET", "SAVEPOINT", "SHOW", "UNLISTEN", "UNLOCK", "USE", "VACUUM",
    }
)  # fmt: skip
"""They write no rows, whatever follows."""

WRITES_IN_QUERY = frozenset({"DELETE", "INSERT", "INTO", "MERGE", "REPLACE", "UPDATE"})
WRITES = WRITES_IN_QUERY | {
    "ALTER", "CALL", "COPY", "CREATE", "DO", "DROP", "EXEC", "EXECUTE", "IMPORT", "LOAD", "PREPARE",
    "PREPARED", "REFRESH", "RENAME", "TRUNCATE",
}  # fmt: skip

_COMMENT = r"(?>/\*(?:(?!/\*|\*/).)*+\*/|--[^\r\n]*+\r?\n)"
# Comments in comments and odd line ends mean different things to different databases: left to the
# tokenizer, which knows the dialect.
_FIRST = re.compile(rf"(?:\s|{_COMMENT}|\()*+([A-Za-z]+)\b", re.DOTALL)


def _any_of(words: frozenset[str]) -> re.Pattern[str]:
    # A digit before it is no part of the word everywhere: `SELECT 1INTO t`.
    return re.compile(
        rf"(?<![A-Za-z_])(?:{'|'.join(sorted(words))})(?![A-Za-z0-9_])", re.IGNORECASE
    )


_IN_QUERY = _any_of(WRITES_IN_QUERY - {"REPLACE"})
_IN_WITH = _any_of(WRITES_IN_QUERY)
_ANYWHERE = _any_of(WRITES)
_LOCKING = re.compile(r"\bFOR[ \t]+(?:NO[ \t]+KEY[ \t]+)?UPDATE\b", re.IGNORECASE)
_EXECUTED_COMMENT = re.compile(r"/\*M?!")
_DOUBTFUL = re.compile(
    # a comment that MySQL executes; one of Jinja's, which only sqlglot knows; spaces that not every
    # database takes for such
    r"/\*M?!|\{#|\x00|[^\S \t\n\r\f\v]"
)
_ESCAPED_QUOTE = re.compile(r"""\\['"]""")


def reads_for_sure(statement: str, *, one_statement_only: bool) -> bool:
    """No word in the text, not even in strings and comments, could write.

    Args:
        statement: The text.
        one_statement_only: Does a second statement need a semicolon before it, as in PostgreSQL,
            MySQL and SQLite?
    """
    found = _FIRST.match(statement)
    if found is None or ";" in statement.rstrip().rstrip(";"):
        return False
    if _EXECUTED_COMMENT.search(statement):
        return False
    first = found.group(1).upper()
    if not one_statement_only:
        known = first in QUERIES | CARRIERS | EXPLAINS | READERS
        return known and not _ANYWHERE.search(_LOCKING.sub("", statement))
    if first == "WITH":
        return not _IN_WITH.search(statement)
    if first in QUERIES:
        return not _IN_QUERY.search(_LOCKING.sub("", statement))
    if first in CARRIERS | EXPLAINS:
        return (first != "START" or starts_transaction(statement[found.start(1) :])) and (
            not _ANYWHERE.search(statement)
        )
    return first in READERS


def starts_transaction(statement: str) -> bool:
    """Is it ``START TRANSACTION``? MySQL starts other things too."""
    return re.match(r"START\s+TRANSACTION\b", statement, re.IGNORECASE) is not None


def is_doubtful(statement: str, *, backslashes: bool) -> bool:
    """Databases or their settings disagree where strings and comments of this text end.

    Args:
        statement: The text.
        backslashes: A setting of the database says whether a backslash escapes a quote (MySQL).
    """
    if _DOUBTFUL.search(statement):
        return True
    return backslashes and _ESCAPED_QUOTE.search(statement) is not None
