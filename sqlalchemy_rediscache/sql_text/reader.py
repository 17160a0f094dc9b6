"""`TextReader`: from a text to what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from .effects import UNKNOWN, Answer, Effect
from .words import is_doubtful, reads_for_sure

_GRAMMARS: Mapping[str, str] = {
    "mariadb": "mysql",
    "mysql": "mysql",
    "postgresql": "postgresql",
    "sqlite": "sqlite",
}
LONGEST = 50_000
"""Characters; the parser takes some 0.1 s for them."""
_LONG = 4_000


class TextReader:
    """Tells what SQL text writes; never raises, and takes for unknown what it is not sure of.

    A text that reads is told by its words. For anything else the extra ``sql`` (sqlglot) is needed:
    without it, and for other databases than PostgreSQL, MySQL, MariaDB and SQLite, the answer is
    `UNKNOWN`. It does not know which tables a view, trigger, rule or function writes; functions
    called by SELECT are taken for such that write nothing, unless they execute SQL given as text.

    Args:
        remembered: For how many texts the answer is kept.
    """

    def __init__(self, remembered: int = 512) -> None:
        self._short = lru_cache(remembered)(_written)
        # Few of them: a text is kept with its answer.
        self._long = lru_cache(max(1, remembered // 32))(_written)

    def written(self, statement: str, dialect_name: str) -> Answer:
        """What a text writes.

        Args:
            statement: As it is given to a cursor, with the placeholders of any driver.
            dialect_name: SQLAlchemy's name of the dialect.
        """
        if len(statement) > LONGEST:
            return _by_words(statement, _GRAMMARS.get(dialect_name))
        known = self._short if len(statement) <= _LONG else self._long
        return known(statement, dialect_name)

    def reads_for_sure(self, statement: str, dialect_name: str) -> bool:
        """Do the words of a text alone say that it writes nothing? Not remembered, since cheap.

        Args:
            statement: As for `written`.
            dialect_name: As for `written`.
        """
        return _by_words(statement, _GRAMMARS.get(dialect_name)) is Effect.READS

    def remembered(self) -> int:
        """For how many texts the answer is kept now."""
        return self._short.cache_info().currsize + self._long.cache_info().currsize


def _written(statement: str, dialect_name: str) -> Answer:
    grammar = _GRAMMARS.get(dialect_name)
    answer = _by_words(statement, grammar)
    if answer is not UNKNOWN or grammar is None:
        return answer
    if is_doubtful(statement, backslashes=grammar == "mysql"):
        return UNKNOWN
    try:
        # sqlglot takes 0.1 s to import and may be absent.
        from .statements import read  # noqa: PLC0415

        return read(statement, grammar)
    except Exception:  # noqa: BLE001 (of a parser, for texts that it was not made for)
        return UNKNOWN


def _by_words(statement: str, grammar: str | None) -> Effect:
    sure = reads_for_sure(statement, one_statement_only=grammar is not None)
    return Effect.READS if sure else UNKNOWN
