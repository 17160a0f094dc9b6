"""Tenants, schemas and shards never share an entry."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import sessionmaker

from tests.fix_caches import CacheMaker
from tests.integration.models import Base, User
from tests.integration.stage import Stage
from tests.integration.test_writes import city
from tests.servers import Database


def test_a_namespace_for_each_tenant(database: Database, make_cache: CacheMaker) -> None:
    """The callable's answer is part of the keys; a write of one tenant is only that one's."""
    cache = make_cache(namespace=lambda session: session.info["tenant"])
    stage = Stage(database, cache)
    stage.populate()

    def read(tenant: str) -> int:
        with stage.counting() as count, stage.Session(info={"tenant": tenant}) as session:
            session.get_one(User, 1)
        return count.selects

    assert [read("one"), read("two"), read("one"), read("two")] == [1, 1, 0, 0]


@pytest.mark.databases("postgresql")
def test_a_schema_for_each_tenant(database: Database, make_cache: CacheMaker) -> None:
    """schema_translate_map, on the engine or for a session's connection, is part of the keys."""
    cache = make_cache()
    stage = Stage(database, cache)
    factories = {}
    for tenant in ("one", "two"):
        stage.behind(f"CREATE SCHEMA {tenant}")
        engine = stage.engine.execution_options(schema_translate_map={None: tenant})
        Base.metadata.create_all(engine)
        factories[tenant] = cache.enable(sessionmaker(engine))
        with factories[tenant].begin() as session:
            session.add(User(id=1, name=tenant))
    for _ in range(2):
        for tenant, factory in factories.items():
            with factory() as session:
                assert session.get_one(User, 1).name == tenant
    with factories["one"].begin() as session:
        session.get_one(User, 1).name = "changed"
    with factories["two"]() as session:
        assert session.get_one(User, 1).name == "two"
    with factories["one"]() as session:
        assert session.get_one(User, 1).name == "changed"
    with stage.Session() as session:
        session.connection(execution_options={"schema_translate_map": {None: "two"}})
        assert session.get_one(User, 1).name == "two"
        session.get_one(User, 1).name = "by map"
        session.commit()
    with factories["two"]() as session:
        assert session.get_one(User, 1).name == "by map"


@pytest.mark.databases("postgresql")
def test_a_schema_for_one_statement(database: Database, make_cache: CacheMaker) -> None:
    """A map given with one get() is not answered from another schema's rows."""
    stage = Stage(database, make_cache())
    stage.populate()
    stage.behind("CREATE SCHEMA other")
    with stage.outside.begin() as connection:
        connection.execute(text("CREATE TABLE other.users AS SELECT * FROM users"))
        connection.execute(text("UPDATE other.users SET city = 'other'"))
    stage.warm(User, 1)
    with stage.Session() as session:
        options = {"schema_translate_map": {None: "other"}}
        assert session.get_one(User, 1, execution_options=options).city == "other"
    assert city(stage, 1) == "x"


def test_two_databases(two_databases: tuple[Database, Database], make_cache: CacheMaker) -> None:
    """Equal keys of two databases are two rows."""
    cache = make_cache()
    one, other = (Stage(database, cache) for database in two_databases)
    one.populate()
    other.populate()
    other.behind("UPDATE users SET city = 'other'")
    for _ in range(2):
        assert (city(one, 1), city(other, 1)) == ("x", "other")


def test_horizontal_shards(
    two_databases: tuple[Database, Database], make_cache: CacheMaker
) -> None:
    """A sharded session gets each shard's row, with its identity token; writes are seen."""
    cache = make_cache()
    stages = {"a": Stage(two_databases[0], cache), "b": Stage(two_databases[1], cache)}
    for stage in stages.values():
        stage.populate()
    stages["b"].behind("UPDATE users SET city = 'b'")

    def choose(mapper: Any, instance: Any, clause: Any = None) -> str:
        token = inspect(instance).identity_token if instance is not None else None
        return str(token or "a")

    factory = cache.enable(
        sessionmaker(
            class_=ShardedSession,
            shards={name: stage.engine for name, stage in stages.items()},
            shard_chooser=choose,
            identity_chooser=lambda mapper, key, **kw: ["b", "a"],
            execute_chooser=lambda context: ["a", "b"],
        )
    )
    for _ in range(3):
        for name, expected in (("a", "x"), ("b", "b")):
            with factory() as session:
                user = session.get(User, 1, identity_token=name)
                assert (user.city, inspect(user).identity_token) == (expected, name)
    shard = "b"
    with factory.begin() as session:
        session.get(User, 1, identity_token=shard).city = "changed"
    for name, expected in (("a", "x"), ("b", "changed")):
        with factory() as session:
            assert session.get(User, 1, identity_token=name).city == expected
        assert city(stages[name], 1) == expected
