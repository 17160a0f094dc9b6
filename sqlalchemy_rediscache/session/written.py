"""From a statement that is about to be sent to what it writes: tables, and what is done to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from .. import private
from ..sql_text import READS, UNKNOWN, Answer, Kind, Name, TextReader, Written

_READS = "_rediscache_only_reads"
_DML = "_rediscache_dml"

_ISOLATION = re.compile(
    r"\b(?:(?:\w+_)?ISOLATION|TRANSACTION_READ_ONLY|READ_UNCOMMITTED)\b", re.IGNORECASE
)
_ISOLATES_ALL = re.compile(
    r"\b(?:SET(?!\s+TRANSACTION\s)|SET_CONFIG|PRAGMA|ALTER)\b", re.IGNORECASE
)
_FIRST = r"(?:^|;|\*/)(?:\s|/\*.*?\*/|(?:--|\#)[^\n]*\n)*"
"""Where a statement may begin. After any comment: some have others in them."""
_BOUNDS = re.compile(
    rf"{_FIRST}(ANALYZE|BEGIN|COMMIT|END|LOCK|RESET|START|UNLOCK"
    r"|SET(?=.*\b(?:AUTOCOMMIT|IMPLICIT_TRANSACTIONS|PASSWORD|STATEMENT)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
"""What begins or ends a transaction anywhere, and changes no rows."""
_COMMITS = re.compile(rf"{_FIRST}(COMMIT|END)\b", re.IGNORECASE | re.DOTALL)
_UNDOES = re.compile(rf"{_FIRST}(ABORT|ROLLBACK)\b", re.IGNORECASE | re.DOTALL)
_SAVEPOINT = re.compile(rf"{_FIRST}(RELEASE|SAVEPOINT)\b", re.IGNORECASE | re.DOTALL)
_COMMITS_BY_ITSELF = frozenset({"mysql", "mariadb", "oracle"})
"""Databases that commit before and after DDL."""
_COMMITS_WHEN_TOLD = frozenset({"postgresql", "sqlite"})
"""Databases that commit at `_COMMITS` alone. MySQL does at BEGIN, and at others of `_BOUNDS`."""


@dataclass(frozen=True)
class Effects:
    """What a statement writes.

    Args:
        tables: The tables, as far as SQLAlchemy's objects name them.
        names: The tables, as far as text names them.
        kinds: What is done to any of them.
        everything: It may write any table.
    """

    tables: frozenset[Table] = frozenset()
    names: frozenset[Name] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    everything: bool = False

    @property
    def by_text(self) -> bool:
        """Was it told from text, which is sent as it is: no schema map changes its names?"""
        return self.everything or bool(self.names)

    @property
    def may_be_ddl(self) -> bool:
        """May it change what the catalog says?"""
        return self.everything or Kind.DDL in self.kinds


EVERYTHING = Effects(everything=True)
_KINDS: Mapping[tuple[bool, bool], frozenset[Kind]] = {
    (False, False): frozenset({Kind.INSERT}),
    (True, False): frozenset({Kind.UPDATE}),
    (False, True): frozenset({Kind.DELETE}),
    (True, True): frozenset({Kind.UPDATE, Kind.DELETE}),
}
"""Of statements by whether they update and delete rows."""


class WrittenBy:
    """Tells what statements write, from SQLAlchemy's objects where they do, else from the text.

    Args:
        reader: Reads text.
    """

    def __init__(self, reader: TextReader) -> None:
        self._reader = reader

    def only_reads(self, compiled: Any) -> bool:
        """Does a compiled statement write nothing? It remembers: asked for every statement."""
        known: bool | None = compiled.__dict__.get(_READS)
        if known is None:
            known = compiled.__dict__[_READS] = self._only_reads(compiled)
        return known

    def _only_reads(self, compiled: Any) -> bool:
        if private.is_ddl(compiled) or private.is_dml(compiled):
            return False
        text, dialect = compiled.string or "", compiled.dialect.name
        query = private.is_query(compiled)
        if not query and (changes_view(text) or _controls(text, dialect)):
            return False
        if self._reader.reads_for_sure(text, dialect):
            return True
        answer = self._reader.written(text, dialect)
        if answer is UNKNOWN and query:
            # A name or a constant looks like a word that writes, if it is no piece of text.
            return not private.has_text(compiled)
        return answer is READS

    def effects(self, compiled: Any, statement: str, dialect_name: str) -> Effects | None:
        """What a statement writes that is not known to read only; None if it writes nothing.

        Args:
            compiled: The compiled statement, None for text that was given to the driver.
            statement: As it is sent.
            dialect_name: SQLAlchemy's name of the dialect.
        """
        if compiled is not None:
            found = self._told_by_objects(compiled)
            if found is not None:
                return found
        return _of_answer(self._reader.written(statement, dialect_name))

    @staticmethod
    def _told_by_objects(compiled: Any) -> Effects | None:
        if _DML in compiled.__dict__:
            known: Effects | None = compiled.__dict__[_DML]
            return known
        dml = private.dml(compiled)
        found = None
        if dml is not None:
            found = Effects(tables=dml.tables, kinds=_KINDS[dml.updates, dml.deletes])
        compiled.__dict__[_DML] = found
        return found


def _of_answer(answer: Answer) -> Effects | None:
    if isinstance(answer, Written):
        return Effects(names=answer.tables, kinds=answer.kinds)
    return EVERYTHING if answer is UNKNOWN else None


def changes_view(statement: str) -> bool:
    """May a text change what its transaction sees of others?"""
    return _ISOLATION.search(statement) is not None


def changes_views(statement: str) -> bool:
    """May a text that `changes_view` change it for later transactions of its connection, too?"""
    return _ISOLATES_ALL.search(statement) is not None


def _controls(statement: str, dialect_name: str) -> bool:
    if dialect_name == "sqlite" and _SAVEPOINT.search(statement):
        return True  # see `driver_transactions`
    return bounds_transaction(statement) or undoes(statement)


def undoes(statement: str) -> bool:
    """May a text undo some of what its transaction wrote?"""
    return _UNDOES.search(statement) is not None


def bounds_transaction(statement: str) -> bool:
    """May a text begin or commit a transaction, without a word of SQLAlchemy's?"""
    return _BOUNDS.search(statement) is not None


def may_commit(statement: str, dialect_name: str) -> bool:
    """May a text of which `bounds_transaction` says so commit what was written before it?"""
    return dialect_name not in _COMMITS_WHEN_TOLD or _COMMITS.search(statement) is not None


def ends_transaction(effects: Effects, dialect_name: str) -> bool:
    """Does the database commit before and after a statement of this kind?"""
    return effects.may_be_ddl and dialect_name in _COMMITS_BY_ITSELF
