"""Triggers that may change a row on its way in are seen in each database's catalog."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from sqlalchemy_rediscache import CachePolicy
from sqlalchemy_rediscache.keys import Keys
from sqlalchemy_rediscache.models import Models, tables_of
from sqlalchemy_rediscache.session.engines import EngineInfo, Pool, Rules
from sqlalchemy_rediscache.session.triggers import none_on
from tests.private.models import Base, Child, Dog, Parent
from tests.servers import Database

pytestmark = pytest.mark.every_database

MAKE = {
    "sqlite": ["CREATE TRIGGER shout AFTER INSERT ON {0} BEGIN SELECT 1; END"],
    "postgresql": [
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER shout BEFORE INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION shout()",
    ],
    "mariadb": ["CREATE TRIGGER shout BEFORE INSERT ON {0} FOR EACH ROW SET @x = 1"],
}


def is_as_sent(engine: Engine, model: Any) -> bool:
    """Are rows stored as they are sent, asked anew?"""
    info = EngineInfo(engine, Keys("t"), Models(CachePolicy()), 1 << 20, "a", Pool())
    with engine.connect() as connection:
        return none_on(connection, info, tables_of(inspect(model)))


def test_a_trigger_is_seen(database: Database) -> None:
    """A table with a trigger is told from those without, foreign keys are no triggers."""
    engine = database.engine()
    Base.metadata.create_all(engine)
    assert is_as_sent(engine, Parent)
    assert is_as_sent(engine, Child)
    with engine.begin() as connection:
        for statement in MAKE[database.name]:
            connection.execute(text(statement.format("child")))
    assert is_as_sent(engine, Parent)
    assert not is_as_sent(engine, Child)
    with engine.begin() as connection:
        on = " ON child" if database.name == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER shout{on}"))
        if database.name == "postgresql":
            connection.execute(text("DROP FUNCTION shout"))
    assert is_as_sent(engine, Child)


def test_a_trigger_of_a_base_table(database: Database) -> None:
    """A subclass's row is in its base's table too."""
    engine = database.engine()
    Base.metadata.create_all(engine)
    assert is_as_sent(engine, Dog)
    with engine.begin() as connection:
        for statement in MAKE[database.name]:
            connection.execute(text(statement.format("animal")))
    try:
        assert not is_as_sent(engine, Dog)
    finally:
        with engine.begin() as connection:
            on = " ON animal" if database.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER shout{on}"))
            if database.name == "postgresql":
                connection.execute(text("DROP FUNCTION shout"))


def test_answers_are_remembered(database: Database) -> None:
    """The catalog is asked once for a table; forgetting has it asked again."""
    engine = database.engine()
    Base.metadata.create_all(engine)
    info = EngineInfo(engine, Keys("t"), Models(CachePolicy()), 1 << 20, "a", Pool())
    with engine.connect() as connection:
        assert none_on(connection, info, tables_of(inspect(Parent)))
        (key,) = info.triggers
        info.triggers[key] = (info.triggers[key][0], Rules(as_sent=False))
        assert not none_on(connection, info, tables_of(inspect(Parent)))
        info.triggers.clear()
        assert none_on(connection, info, tables_of(inspect(Parent)))


def test_a_table_that_is_not_there(database: Database) -> None:
    """What PostgreSQL can't tell is not taken for an answer; elsewhere no table, no trigger."""
    engine = database.engine()
    assert is_as_sent(engine, Parent) is (database.name != "postgresql")
