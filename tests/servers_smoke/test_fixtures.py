"""The fixtures themselves: servers that answer, databases that are empty, a judge that judges."""

from __future__ import annotations

import asyncio
import logging

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import text

from tests.fix_judge import WarningRecorder, judge_keys
from tests.fix_servers import PrivateRedis
from tests.servers import Database, Inventory, RedisServer, ServerPool

AT_ONCE = Retry(NoBackoff(), 0)


@pytest.mark.every_redis
def test_redis_is_empty_and_answers(redis_client: redis.Redis, redis_url: str) -> None:
    """A test finds no key of the tests before it."""
    assert redis_client.dbsize() == 0
    redis_client.set("left", "behind")
    assert redis_url.startswith("unix://")


def test_redis_is_empty_again(redis_client: redis.Redis) -> None:
    """The key of the test above is gone."""
    assert redis_client.dbsize() == 0


@pytest.mark.every_redis
def test_redis_knows_hash_fields_and_scripts(
    redis_server: RedisServer, redis_client: redis.Redis
) -> None:
    """Lua scripts run, and the server's version is known."""
    assert redis_client.eval("return 1", 0) == 1
    assert redis_server.version.split(".")[0] >= "6"


@pytest.mark.every_redis
def test_private_redis_restarts_and_freezes(private_redis: PrivateRedis) -> None:
    """A private server can be killed, started again, frozen, and asks for its password."""
    server = private_redis({"requirepass": "s3cret"}, tcp=True)
    assert server.tcp_url is not None
    with redis.Redis.from_url(server.tcp_url) as client:
        first = client.info("server")["run_id"]
    server.process.kill()
    assert not server.process.running
    server.process.start()
    with server.client() as client:
        assert client.info("server")["run_id"] != first
    server.process.pause()
    with (
        redis.Redis.from_url(server.url, socket_timeout=0.05, retry=AT_ONCE) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    server.process.resume()
    with (
        redis.Redis(unix_socket_path=str(server.socket_path), retry=AT_ONCE) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


@pytest.mark.every_database
@pytest.mark.parametrize("turn", [1, 2])
def test_database_is_empty(database: Database, turn: int) -> None:
    """Tables of an earlier test are gone, even where a connection was left in a transaction."""
    engine = database.engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leftover (id INTEGER PRIMARY KEY)"))
        connection.execute(text(f"INSERT INTO leftover VALUES ({turn})"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT id FROM leftover")) == turn


@pytest.mark.every_database
def test_twins_are_apart(two_databases: tuple[Database, Database]) -> None:
    """A table of one database is not in its twin."""
    one, other = two_databases
    for database in (one, other):
        with database.engine().begin() as connection:
            connection.execute(text("CREATE TABLE mine (id INTEGER PRIMARY KEY)"))


@pytest.mark.every_database
def test_async_driver_reaches_the_same_database(database: Database) -> None:
    """What the synchronous engine wrote, the asyncio engine reads."""
    with database.engine().begin() as connection:
        connection.execute(text("CREATE TABLE shared (id INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO shared VALUES (7)"))

    async def read() -> object:
        engine = database.async_engine()
        async with engine.connect() as connection:
            value = await connection.scalar(text("SELECT id FROM shared"))
        await engine.dispose()
        return value

    assert asyncio.run(read()) == 7


@pytest.mark.databases("postgresql", "mariadb")
def test_prepared_transactions_are_rolled_back(database: Database, server_pool: ServerPool) -> None:
    """A two-phase transaction left prepared does not keep its table from being dropped."""
    engine = database.engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE pending (id INTEGER PRIMARY KEY)"))
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(text("INSERT INTO pending VALUES (1)"))
        transaction.prepare()
        connection.detach()
    database.release()
    again = server_pool.database(database.name).acquire()
    with again.engine().begin() as connection:
        connection.execute(text("CREATE TABLE pending (id INTEGER PRIMARY KEY)"))
    again.release()


def test_judge_sees_a_key_without_expiry(redis_client: redis.Redis) -> None:
    """A key that never expires is reported unless its name was declared."""
    redis_client.set("t:1", "a", ex=100)
    redis_client.set("t:2", "b")
    assert list(judge_keys(redis_client)) == ["the key t:2 never expires"]
    assert list(judge_keys(redis_client, ["t:*"])) == []


@pytest.mark.judged
@pytest.mark.warnings_allowed
@pytest.mark.permanent_keys("kept:*")
def test_judge_accepts_what_is_declared(redis_client: redis.Redis) -> None:
    """Declared keys and warnings pass."""
    redis_client.set("kept:1", "a")
    logging.getLogger("sqlalchemy_rediscache.somewhere").warning("expected")


def test_recorder_keeps_warnings_only() -> None:
    """Messages below WARNING are nobody's concern."""
    recorder = WarningRecorder()
    logger = logging.Logger("apart")  # noqa: LOG001 - outside the tree of loggers
    logger.addHandler(recorder)
    logger.info("fine")
    logger.error("not %s", "fine")
    assert recorder.messages == ["ERROR apart: not fine"]


def test_selection_names_known_servers_only() -> None:
    """The variable that restricts the servers is checked, not ignored."""
    inventory = Inventory({"REDISCACHE_TEST_SERVERS": "sqlite"})
    assert inventory.problem("sqlite") == ""
    assert inventory.problem("valkey") != ""
    with pytest.raises(ValueError, match="oracle"):
        Inventory({"REDISCACHE_TEST_SERVERS": "oracle"})
