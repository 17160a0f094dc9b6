"""The moment before COMMIT is heard on one connection, after every listener of the application."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from sqlalchemy_rediscache import private


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of its own: tests listen to it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    yield engine
    engine.dispose()


def write(connection: Connection) -> None:
    """Begin a transaction and write in it."""
    connection.execute(text("INSERT INTO t VALUES (1)"))


def test_every_commit_is_heard_before_it_is_sent(engine: Engine) -> None:
    """A listener is called once for each COMMIT, in the transaction; no ROLLBACK calls it."""
    heard: list[int] = []

    def listener(connection: Connection) -> None:
        assert connection.in_transaction()
        with engine.connect() as other:
            heard.append(other.scalar(text("SELECT count(*) FROM t")) or 0)

    with engine.connect() as connection:
        private.before_commit(connection, listener)
        private.before_commit(connection, listener)
        for _ in range(2):
            write(connection)
            connection.commit()
        write(connection)
        connection.rollback()
    assert heard == [0, 1]
    with engine.connect() as connection:
        write(connection)
        connection.commit()
    assert len(heard) == 2, "another connection is not listened to"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["engine", "connection"])
def test_it_comes_after_the_applications_listeners(engine: Engine, when: str, what: str) -> None:
    """What listeners of ``commit`` write, wherever and whenever they were added, comes earlier."""
    heard: list[str] = []

    def ours(connection: Connection) -> None:
        heard.append("ours")

    def theirs(connection: Connection) -> None:
        heard.append("theirs")

    with engine.connect() as connection:
        target: Any = engine if what == "engine" else connection
        if when == "before":
            event.listen(target, "commit", theirs)
            private.before_commit(connection, ours)
        else:
            private.before_commit(connection, ours)
            event.listen(target, "commit", theirs)
        for _ in range(2):
            write(connection)
            connection.commit()
    assert heard == ["theirs", "ours"] * 2


def test_what_it_raises_keeps_the_commit_back(engine: Engine) -> None:
    """An error comes out of ``commit()``, before anything was sent."""

    def refuse(connection: Connection) -> None:
        connection.dialect.do_rollback(connection.connection)
        raise LookupError

    with engine.connect() as connection:
        private.before_commit(connection, refuse)
        write(connection)
        with pytest.raises(LookupError):
            connection.commit()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 0


def test_a_connection_that_is_heard_is_not_kept(engine: Engine) -> None:
    """It goes when nobody has it any more, without the garbage collector's help."""
    connection = engine.connect()
    private.before_commit(connection, print)
    connection.close()
    kept = weakref.ref(connection)
    gc.disable()
    try:
        del connection
        assert kept() is None
    finally:
        gc.enable()


def test_two_phases(engine: Engine) -> None:
    """The second phase of a two-phase commit is a COMMIT."""
    sent: list[Any] = []
    engine.dialect.do_begin_twophase = lambda *_: None  # type: ignore[method-assign]
    engine.dialect.do_prepare_twophase = lambda *_: None  # type: ignore[method-assign]
    engine.dialect.do_commit_twophase = lambda *_, **__: sent.append("commit")  # type: ignore[method-assign]
    for listened in (False, True):
        if listened:
            event.listen(engine, "commit_twophase", lambda *_: sent.append("theirs"))
        with engine.connect() as connection:
            private.before_commit(connection, lambda _: sent.append("ours"))
            transaction = connection.begin_twophase()
            write(connection)
            transaction.prepare()
            transaction.commit()
    assert sent == ["ours", "commit", "theirs", "ours", "commit"]
