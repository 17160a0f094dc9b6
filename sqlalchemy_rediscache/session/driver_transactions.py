"""Transactions that text or SQLite's driver begins and ends, without a word of SQLAlchemy's.

Text begins them where each statement is committed by itself otherwise (``AUTOCOMMIT``), and may end
any. The driver says what is open.

By default Python's driver for SQLite begins a transaction right before INSERT, UPDATE, DELETE and
REPLACE, and before nothing else. So, where no transaction is open:

- all else that writes (``WITH ... UPDATE``, DDL) is a transaction of its own;
- SAVEPOINT begins one, and the RELEASE of that savepoint is its COMMIT.

Engines with the BEGIN recipe of SQLAlchemy's documentation, or with ``autocommit=False``
(Python 3.12), have a transaction open by then: none of this concerns them.
"""

from __future__ import annotations

import re
from enum import Enum

from sqlalchemy.engine import Connection

from .. import private
from ..write_path import WriteSet
from .unit import Unit

_SPACE = r"(?:\s|/\*.*?\*/|--[^\n]*(?:\n|$))"
_NAME = r"""("(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^]]*\]|[^\s;"'`\[]+)"""
_SAVEPOINT = re.compile(
    rf"{_SPACE}*(?:(?P<begins>SAVEPOINT)|(?P<keeps>RELEASE)(?:{_SPACE}+SAVEPOINT)?"
    rf"|ROLLBACK(?:{_SPACE}+TRANSACTION)?{_SPACE}+TO(?:{_SPACE}+SAVEPOINT)?)"
    rf"{_SPACE}*(?P<name>{_NAME})",
    re.IGNORECASE | re.DOTALL,
)
_BEGUN_FOR = re.compile(r"[ \t\r\n]*(?:INSERT|UPDATE|DELETE|REPLACE)", re.IGNORECASE)
_A_WORD = re.compile(r"[ \t\r\n]*[A-Za-z]")


class Step(Enum):
    """What a statement about savepoints does to the transaction of the database."""

    COMMITS = "commits"
    """It releases the savepoint that the transaction began with."""
    UNDOES = "undoes"
    """It undoes all that was written since the transaction began, which stays open."""


class Standing(Enum):
    """What transaction a statement that writes is in."""

    ALONE = "alone"
    """One of its own."""
    WITHIN = "within"
    """One that SQLAlchemy ends."""
    BY_TEXT = "by text"
    """One that text began, and ends: of SQLAlchemy's COMMIT not every driver makes one."""
    UNKNOWN = "unknown"
    """Nobody can tell."""


class DriverTransactions:
    """Follows what the drivers of one cache's engines begin and end by themselves.

    The savepoints of a transaction that began with one are kept with the driver's connection, which
    several of SQLAlchemy's may use. They are there until that connection begins another
    transaction. Left over under savepoints of a later one they do no harm: they stay below these.
    """

    def __init__(self) -> None:
        self._key = f"_rediscache_savepoints_{id(self):x}"
        self._told = f"_rediscache_told_{id(self):x}"
        self._left = f"_rediscache_left_{id(self):x}"

    def standing(self, connection: Connection, statement: str) -> Standing:
        """What transaction is a statement in that writes?"""
        if connection.dialect.name != "sqlite":
            autocommits = private.driver_autocommits(connection)
            if autocommits is False:
                return Standing.WITHIN
            return self._standing_elsewhere(connection, autocommits)
        open_ = private.driver_in_transaction(connection)
        if open_:
            by_text = private.SQLITE_AUTOCOMMITS and private.driver_autocommits(connection)
            return Standing.BY_TEXT if by_text else Standing.WITHIN
        if open_ is False:
            connection.info.pop(self._key, None)
        begins: bool | None = None
        if _BEGUN_FOR.match(statement):
            begins = private.driver_begins(connection)
        elif _A_WORD.match(statement):  # before a comment, Python's versions differ
            begins = False
        if begins:
            return Standing.WITHIN
        return Standing.UNKNOWN if begins is None or open_ is None else Standing.ALONE

    def _standing_elsewhere(self, connection: Connection, autocommits: bool | None) -> Standing:
        """The same where SQLAlchemy's driver begins each transaction, or the text of the program.

        The driver was asked first: its own setting, or ``SET autocommit`` of MySQL's, need not be
        what SQLAlchemy takes for the isolation level.
        """
        told = self._told in connection.__dict__
        if autocommits is None:
            if told:
                return Standing.UNKNOWN
            if not _autocommits(connection):
                return Standing.WITHIN
        open_ = private.driver_in_transaction(connection)
        if open_ is None:
            return Standing.UNKNOWN if told else Standing.ALONE
        return Standing.BY_TEXT if open_ else Standing.ALONE

    def heard(self, connection: Connection) -> None:
        """Text may begin or end a transaction, of which SQLAlchemy knows nothing.

        Drivers that don't say what is open are not believed any more after it: what is written
        counts as committed at once, and as not committed yet.
        """
        connection.__dict__[self._told] = True
        if self._left in connection.info and private.driver_in_transaction(connection) is False:
            del connection.info[self._left]

    def by_text(self, connection: Connection) -> Unit | None:
        """What was written in a transaction that text began, until text ends it.

        Kept with the driver's connection: the end of SQLAlchemy's transaction, or the way back to
        the pool, is no end of that one with every driver.
        """
        left: Unit | None = connection.info.get(self._left)
        return left

    def keep_by_text(self, connection: Connection, writes: WriteSet) -> None:
        """Such a transaction wrote this."""
        connection.info.setdefault(self._left, Unit()).writes.join(writes)

    def step(self, connection: Connection, statement: str) -> Step | None:
        """What a statement does that is about to be sent; None for all that does not matter.

        Where the driver does not say whether a transaction is open, each RELEASE is taken for one
        that commits.
        """
        if connection.dialect.name != "sqlite":
            return None
        found = _SAVEPOINT.match(statement)
        if found is None:
            return None
        open_ = private.driver_in_transaction(connection)
        if open_ is None:
            return Step.COMMITS if found["keeps"] else None
        info, name = connection.info, _plain(found["name"])
        if not open_:
            info.pop(self._key, None)
            info.pop(self._left, None)
        names: list[str] | None = info.get(self._key)
        if not found["begins"]:
            return None if names is None else _ended(names, name, keeps=bool(found["keeps"]))
        if names is not None:
            names.append(name)
        elif not open_:
            info[self._key] = [name]
        return None


def _ended(names: list[str], name: str, *, keeps: bool) -> Step | None:
    """A savepoint is released or gone back to, with all that were begun after it."""
    place = max((place for place, one in enumerate(names) if one == name), default=-1)
    if place > 0:
        del names[place if keeps else place + 1 :]
        return None
    if keeps:  # it stays noted: the RELEASE may fail
        return Step.COMMITS
    if place == 0:
        del names[1:]
        return Step.UNDOES
    return None


def _plain(name: str) -> str:
    """A savepoint's name as SQLite compares it."""
    return name.strip("\"'`[]").lower()


def _autocommits(connection: Connection) -> bool:
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = private.default_isolation(connection.dialect)
    return level == "AUTOCOMMIT"
