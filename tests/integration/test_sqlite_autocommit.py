"""SQLite's driver with `autocommit` (Python 3.12): True begins nothing, False has always begun."""

from __future__ import annotations

import sys

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import sessionmaker

from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.integration.test_sqlite_transactions import agreed, hit
from tests.servers import Database

pytestmark = [
    pytest.mark.databases("sqlite"),
    pytest.mark.skipif(sys.version_info < (3, 12), reason="the driver has no `autocommit`"),
]


class Autocommit:
    """A stage, and a factory whose driver has `autocommit` set."""

    def __init__(self, database: Database, make_cache: CacheMaker, *, autocommit: bool) -> None:
        self.stage = Stage(database, make_cache())
        self.stage.populate()
        self.engine = database.engine(connect_args={"autocommit": autocommit})
        self.Session = self.stage.cache.enable(sessionmaker(self.engine))
        self.stage.warm(User, 1, 2)
        self.stage.warm(User, 1, 2)
        assert hit(self.stage)


def test_a_transaction_is_always_open(database: Database, make_cache: CacheMaker) -> None:
    """A RELEASE commits nothing, nor does anything else but COMMIT."""
    one = Autocommit(database, make_cache, autocommit=False)
    stage = one.stage
    with one.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "undone"
        session.execute(text("CREATE TABLE other (id INTEGER)"))
        session.execute(text("WITH x AS (SELECT 1) UPDATE users SET city = 'undone'"))
        assert agreed(stage) == "x"
        session.rollback()
        assert agreed(stage) == "x"
        with session.begin_nested():
            session.get_one(User, 1).city = "new"
        assert agreed(stage) == "x"
        session.commit()
    assert agreed(stage) == "new"
    with one.Session() as session, session.begin():
        session.get_one(User, 1).city = "newer"
    with stage.counting() as count:
        assert agreed(stage) == "newer"
    assert count.statements == [], "it was published"


def test_commit_as_text_where_one_is_always_open(
    database: Database, make_cache: CacheMaker
) -> None:
    """After it none is, and each statement commits itself."""
    one = Autocommit(database, make_cache, autocommit=False)
    stage = one.stage
    with one.engine.connect() as connection:
        connection.execute(update(User).values(city="new"))
        assert agreed(stage) == "x"
        connection.execute(text("COMMIT"))
        assert agreed(stage) == "new"
        connection.execute(update(User).values(city="at once"))
        assert agreed(stage) == "at once"
        connection.execute(text("SAVEPOINT a"))
        connection.execute(update(User).values(city="released"))
        assert agreed(stage) == "at once"
        connection.execute(text("RELEASE a"))
        assert agreed(stage) == "released"
        connection.execute(text("BEGIN"))  # without one the driver's own ROLLBACK fails
        connection.rollback()
    assert agreed(stage) == "released"
    assert audit(stage.cache, stage.engine) == []


def test_each_statement_commits(database: Database, make_cache: CacheMaker) -> None:
    """Unless text begins a transaction, which SQLAlchemy's COMMIT and ROLLBACK don't end."""
    one = Autocommit(database, make_cache, autocommit=True)
    stage = one.stage
    with one.Session() as session:
        session.get_one(User, 1).city = "flushed"
        session.flush()
        assert agreed(stage) == "flushed"
        session.execute(update(User).values(city="core"))
        assert agreed(stage) == "core"
        session.rollback()
        assert agreed(stage) == "core"
        with session.begin_nested():
            session.get_one(User, 1).city = "inner"
        assert agreed(stage) == "inner"
        session.execute(text("BEGIN"))
        session.get_one(User, 1).city = "text"
        session.flush()
        session.execute(update(User).where(User.id == 2).values(city="text"))
        assert (agreed(stage, 1), agreed(stage, 2)) == ("inner", "core")
        session.execute(text("COMMIT"))
        assert (agreed(stage, 1), agreed(stage, 2)) == ("text", "text")
    assert audit(stage.cache, stage.engine) == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("closes", [False, True])
def test_an_end_that_ends_nothing(
    database: Database, make_cache: CacheMaker, end: str, closes: bool
) -> None:
    """The driver's `commit()` and `rollback()` do nothing there: text alone ends it."""
    one = Autocommit(database, make_cache, autocommit=True)
    stage = one.stage
    connection = one.engine.connect()
    with one.Session(bind=connection) as session:
        session.execute(text("BEGIN"))
        session.execute(update(User).where(User.id == 1).values(city="core"))
        session.get_one(User, 2).city = "flushed"
        session.flush()
        getattr(session, end)()
    getattr(connection, end)()
    assert (agreed(stage, 1), agreed(stage, 2)) == ("x", "x")
    if closes:
        connection.close()
        connection = one.engine.connect()
    connection.execute(text("COMMIT"))
    assert (agreed(stage, 1), agreed(stage, 2)) == ("core", "flushed")
    connection.close()
