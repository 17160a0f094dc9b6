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


@pytest.mark.parametrize("what", ["engine", "connection"])
def test_it_says_whether_it_may_be_too_late(engine: Engine, what: str) -> None:
    """It is within a listener of COMMIT, where that is the first word of the connection."""
    said: list[bool] = []

    def theirs(connection: Connection) -> None:
        said.append(private.before_commit(connection, print))

    with engine.connect() as connection:
        assert private.before_commit(connection, print)
        event.listen(connection, "rollback", print)
    with engine.connect() as connection:
        event.listen(engine if what == "engine" else connection, "commit", theirs)
        connection.execute(text("SELECT 1"))
        connection.commit()
        connection.execute(text("SELECT 1"))
        connection.commit()
    assert said == [False, True]


def test_around_commits(engine: Engine) -> None:
    """Right before COMMIT and right after it, of whichever connection, after all listeners."""
    heard: list[Any] = []

    def around(connection: Any) -> Any:
        heard.append(connection.info["name"])
        return None if connection.info["name"] == "other" else heard.append

    private.around_commits(engine.dialect, around)
    private.around_commits(engine.dialect, around)
    event.listen(engine, "commit", lambda _: heard.append("theirs"))
    with engine.connect() as connection, engine.connect() as other:
        connection.info["name"], other.info["name"] = "one", "other"
        write(connection)
        connection.commit()
        other.execute(text("SELECT 1"))
        other.commit()
        connection.execute(text("SELECT 1"))
        connection.rollback()
    assert heard == ["theirs", "one", True, "theirs", "other"]
    private.not_around_commits(engine.dialect, around)
    with engine.begin():
        pass
    assert heard[5:] == ["theirs"]


def test_around_commits_that_fail(engine: Engine) -> None:
    """What it raises keeps COMMIT back; a COMMIT that fails is told to those who were called."""
    heard: list[Any] = []
    engine.dialect.do_commit = heard.append  # type: ignore[assignment, method-assign]

    def refuse(connection: Any) -> Any:
        raise LookupError

    private.around_commits(engine.dialect, lambda _: heard.append)
    private.around_commits(engine.dialect, refuse)
    with engine.connect() as connection:
        write(connection)
        with pytest.raises(LookupError):
            connection.commit()
        connection.rollback()
    assert heard == [False]
    private.not_around_commits(engine.dialect, refuse)
    with engine.begin():
        pass
    assert len(heard) == 3, "what stood in for it before is called"
    assert heard[2] is True


def test_around_two_phases(engine: Engine) -> None:
    """It is told of the connection of the pool's there, too."""
    sent: list[Any] = []
    for name in ("do_begin_twophase", "do_prepare_twophase", "do_commit_twophase"):
        setattr(engine.dialect, name, lambda *_, **__: None)
    private.around_commits(engine.dialect, sent.append)
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        transaction.prepare()
        transaction.commit()
        assert sent == [connection.connection]


def test_a_dialect_that_is_heard_is_not_kept(tmp_path: Path) -> None:
    """It goes with its engine, without the garbage collector's help."""
    engines = [create_engine(f"sqlite:///{tmp_path / 'rows.db'}") for _ in range(2)]
    private.around_commits(engines[0].dialect, print)
    gone = []
    for engine in engines:
        engine.dispose()
        gone.append(weakref.ref(engine.dialect))
    gc.collect()
    gc.disable()
    try:
        del engine
        engines.clear()
        assert (gone[0]() is None) == (gone[1]() is None)
    finally:
        gc.enable()
