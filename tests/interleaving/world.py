"""A real Redis, a real database and real caches whose every call can be stepped."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import redis
from sqlalchemy import Engine, ForeignKey, event
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin, CachePolicy, RedisCache
from tests.interleaving.stepping import Actor, Op, Stepper
from tests.interleaving.transport import SteppedTransport
from tests.servers import Database, RedisServer

Row = tuple[int, int] | None
State = dict[int, Row]


class Base(DeclarativeBase):
    """The models of the explorer."""


class Item(CacheMixin, Base):
    """Written through: a commit publishes what it wrote."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    a: Mapped[int]
    b: Mapped[int]


class Plain(CacheMixin, Base):
    """Only ever emptied by a commit."""

    __tablename__ = "plain"
    __cache__ = CachePolicy(write="invalidate")
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    a: Mapped[int]
    b: Mapped[int]


class Aging(CacheMixin, Base):
    """Loaded anew by one reader when its time is over, while the others are served."""

    __tablename__ = "aging"
    __cache__ = CachePolicy(stale_ttl=1800, jitter=0)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    a: Mapped[int]
    b: Mapped[int]


class Filed(CacheMixin, Base):
    """In a box each: queries and collections know it by that."""

    __tablename__ = "filed"
    __cache__ = CachePolicy(stale_ttl=1800, jitter=0)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    a: Mapped[int] = mapped_column(ForeignKey("box.id"))
    b: Mapped[int]


class Box(CacheMixin, Base):
    """What rows are filed in, boxes 0 to 2; a box itself never changes."""

    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    items: Mapped[list[Filed]] = relationship(order_by="Filed.id")


class Tied(CacheMixin, Base):
    """To a filed row each, which is joined to it; who writes both gives them the same number."""

    __tablename__ = "tied"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    filed_id: Mapped[int] = mapped_column(ForeignKey("filed.id"))
    c: Mapped[int]
    filed: Mapped[Filed] = relationship(lazy="joined")


Model = type[Item] | type[Plain] | type[Aging] | type[Filed]
"""A class of rows with a number `a` and a number `b`."""


class World:
    """What all orders of a scenario are run in.

    Args:
        database: Where the rows are.
        redis_url: Where the cache is.
        model: The class of the rows.
        processes: One cache for each actor, as in so many processes; else one for all.
        snapshots: Transactions see one moment: REPEATABLE READ, or SQLite with a real BEGIN.
        options: For `RedisCache`.
    """

    def __init__(
        self,
        database: Database,
        redis_url: str,
        *,
        model: Model = Item,
        processes: int = 1,
        snapshots: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.database = database
        self.verbose = False
        self.epoch = 0
        self.states: list[State] = []
        self.keys: tuple[int, ...] = ()
        self._next_key = 1
        self.stepper = Stepper(lambda: len(self.states) - 1, _hang_up)
        self.redis = redis.Redis.from_url(redis_url)
        # One for each process: a cache takes what it sees on its engine, and did not do, for SQL
        # of its own process that no session of it sent.
        self.engines = [self._engine(snapshots=snapshots) for _ in range(processes)]
        self._truth = self._raw_connection()
        Base.metadata.drop_all(self.engines[0])
        Base.metadata.create_all(self.engines[0])
        self._send("INSERT INTO box (id) VALUES (0), (1), (2)")
        chosen = {"read_timeout": 5.0, "lease_wait": 1e-9, **(options or {})}
        self.caches = [RedisCache(redis_url, prefix="t", **chosen) for _ in range(processes)]
        self.script_names: dict[bytes, str] = {}
        self.script_texts: dict[str, str] = {}
        self._swaps: dict[bytes, bytes] = {}
        self._swapped_names: set[str] = set()
        self.server: RedisServer | None = None
        """The server, where `restart_redis` is to restart it and not only to act as if."""
        self._latest = list(map(self._enabled, self.caches, self.engines))
        self._snapshot = self._latest
        if database.name == "postgresql":
            isolated = [engine.execution_options(isolation_level="REPEATABLE READ")
                        for engine in self.engines]  # fmt: skip
            self._snapshot = list(map(self._enabled, self.caches, isolated))
        for cache in self.caches:
            calls = cache._services.store.blocking.calls
            calls.transport = SteppedTransport(calls.transport, self, cache)
        self._learn_scripts()

    def _learn_scripts(self) -> None:
        """Note which script is which, and have the server know them."""
        scripts = self.caches[0]._services.store.blocking.calls._scripts
        for name, script in scripts.items():
            self.script_names[script.sha] = name
            self.script_texts[name] = script.text.decode()
            self.redis.script_load(script.text)

    def swap_script(self, name: str, text: str) -> None:
        """Have the server run another text in the place of a script."""
        self.script_texts[name] = text
        self._swapped_names.add(name)
        (sha,) = (one for one, known in self.script_names.items() if known == name)
        self._swaps[sha] = _sha(self.redis.script_load(text))

    def swapped(self, command: bytes) -> bytes:
        """A command that calls the scripts that are to be run."""
        for sha, other in self._swaps.items():
            command = command.replace(sha, other)
        return command

    def run(self, run: bytes) -> bytes:
        """The run id of the server: another one after each restart."""
        return b"%b.%d" % (run, self.epoch) if self.epoch else run

    def _enabled(self, cache: RedisCache, engine: Engine) -> sessionmaker[Session]:
        factory = sessionmaker(engine)
        cache.enable(factory)
        return factory

    def _engine(self, *, snapshots: bool) -> Engine:
        sqlite = self.database.name == "sqlite"
        arguments: dict[str, Any] = (
            {"timeout": 1.0} if sqlite else {"options": "-c lock_timeout=1s"}
        )
        engine = self.database.engine(connect_args=arguments, pool_size=10)
        if sqlite:
            event.listen(engine, "connect", _prepare_sqlite(snapshots))
        if sqlite and snapshots:
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        for name in ("do_execute", "do_executemany"):
            event.listen(engine, name, self._before_statement)
        event.listen(engine, "do_execute_no_params", self._before_plain_statement)
        dialect: Any = engine.dialect
        dialect.do_commit = self._ending(dialect.do_commit, "commit", "COMMIT")
        dialect.do_rollback = self._ending(dialect.do_rollback, "rollback", "ROLLBACK")
        if sqlite:
            dialect.do_execute = self._releasing(dialect.do_execute)
        return engine

    def _before_statement(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        self._before_plain_statement(cursor, statement, context)

    def _before_plain_statement(self, cursor: Any, statement: str, context: Any) -> None:
        verb = statement.split(None, 1)[0]
        if verb in ("INSERT", "UPDATE", "DELETE"):
            if self.stepper.current is not None:
                self.stepper.current.connection = cursor.connection
            self.stepper.park(Op("dml", verb))
        elif verb == "SELECT":
            self.stepper.park(Op("select", verb))

    def _ending(self, original: Callable[[Any], None], kind: str, label: str) -> Any:
        def end(connection: Any) -> None:
            actor = self.stepper.current
            if actor is not None and (kind == "commit" or (actor.holding and not actor.dead)):
                self.stepper.park(Op(kind, label))
            wrote = actor is not None and actor.holding
            original(connection)
            if wrote:
                self.stepper.done_writing()
                if kind == "commit":
                    self.states.append(self.truth())

        return end

    def _releasing(self, original: Callable[..., None]) -> Any:
        """SQLite's RELEASE is a COMMIT where its savepoint began the transaction."""

        def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
            release = statement.startswith("RELEASE")
            if release:  # none of the roles releases an inner savepoint
                self.stepper.park(Op("commit", "RELEASE"))
            original(cursor, statement, parameters, context)
            if release and not cursor.connection.in_transaction:
                self.stepper.done_writing()
                self.states.append(self.truth())

        return execute

    # -- one order ----------------------------------------------------------------------------

    def reset(self, rows: int, *, absent: int = 0) -> None:
        """Forget everything and make new rows (0, 0); for the first ones only find keys."""
        self.stepper.actors = []
        self.redis.flushall()
        self.epoch = 0
        server: Any = self.redis.info("server")
        run = server["run_id"].encode()[:16]
        for cache in self.caches:
            services: Any = cache._services
            services.store._generations.clear()
            services.stamps.clear()
            services.queries.memory.clear()
            services.store.server._hold_until = 0.0
            services.store.server._run = run
            services.store.blocking.transport._epoch = 0
            cache._debts._owed.clear()
        self.keys = tuple(range(self._next_key, self._next_key + rows))
        self._next_key += rows
        if self.model is Filed:  # a box has the rows of this order only
            self._send("DELETE FROM tied")
            self._send("DELETE FROM filed")
        if absent < rows:
            listed = ", ".join(f"({key}, 0, 0)" for key in self.keys[absent:])
            self._send(f"INSERT INTO {self.model.__tablename__} (id, a, b) VALUES {listed}")
        self.states = [self.truth()]

    def settle(self, *, warm: bool) -> None:
        """After the preparations: all processes know the generation; the rows may be cold."""
        known: dict[bytes, bytes] = {}
        for cache in self.caches:
            known |= cache._services.store._generations
        for cache in self.caches:
            cache._services.store._generations.update(known)
        if not warm:
            for key in self._keys():
                if not key.endswith(b":guard"):
                    self.redis.delete(key)

    def truth(self) -> State:
        """What is committed, from the database."""
        cursor = self._truth.cursor()
        listed = ", ".join(map(str, self.keys))
        cursor.execute(f"SELECT id, a, b FROM {self.model.__tablename__} WHERE id IN ({listed})")
        found = {key: (a, b) for key, a, b in cursor.fetchall()}
        cursor.close()
        return {key: found.get(key) for key in self.keys}

    def tie(self) -> None:
        """Have the first row tied to another, before anybody has asked for that."""
        key = self.keys[0]
        known = f"SELECT 1 FROM tied WHERE id = {key}"
        self._send(f"INSERT INTO tied SELECT id, id, b FROM filed WHERE id = {key} "
                   f"AND NOT EXISTS ({known})")  # fmt: skip

    def write(self, statement: str) -> None:
        """Write past the caches."""
        self._send(statement)
        self.states.append(self.truth())

    def _send(self, statement: str) -> None:
        cursor = self._truth.cursor()
        cursor.execute(statement)
        cursor.close()

    def session(self, process: int, *, snapshot: bool = False) -> Session:
        """A new session of a process's cache."""
        factories = self._snapshot if snapshot else self._latest
        return factories[process % len(factories)]()

    # -- what happens by itself ---------------------------------------------------------------

    def restart_redis(self) -> None:
        """What a restart without persistence does, as every process sees it."""
        if self.server is not None:
            self.server.process.kill()
            self.server.process.start()
            self.redis.connection_pool.disconnect()
            for name in self._swapped_names:
                self.redis.script_load(self.script_texts[name])
            return
        self.redis.flushall()
        self.epoch += 1

    def expire_leases(self) -> None:
        """Let the time of every lease pass."""
        for key in self._keys():
            fields: dict[Any, Any] = self.redis.hgetall(key)
            if b"lease" in fields and len(fields) == 1:
                self.redis.delete(key)
            elif b"lease" in fields:
                self.redis.hset(key, "lease", fields[b"lease"].rpartition(b"|")[0] + b"|1")

    def age_rows(self) -> None:
        """Let the time of every row that is there be over, but for what `stale_ttl` gives it."""
        for key in self._rows_there():
            self.redis.pexpire(key, 1_000_000)

    def has_young_rows(self) -> bool:
        """Is there a row whose time is not over?"""
        return any(self.redis.pttl(key) > 1_000_000 for key in self._rows_there())

    def _rows_there(self) -> list[bytes]:
        found = []
        for key in self._keys():
            fields: dict[Any, Any] = self.redis.hgetall(key)
            if any(name.startswith(b"row:") for name in fields):
                found.append(key)
        return found

    def has_leases(self) -> bool:
        """Is a lease out?"""
        return any(self.redis.hexists(key, "lease") for key in self._keys())

    def expire_locks(self, actors: list[Actor]) -> None:
        """Let the locks of those who died be due."""
        names = {kind + token for one in actors if one.dead for token in one.tokens
                 for kind in (b"w:", b"W:")}  # fmt: skip
        for key in self._keys():
            for name in names.intersection(self.redis.hkeys(key)):
                self.redis.hset(key, name, "1")

    def _keys(self) -> list[bytes]:
        return list(self.redis.scan_iter("t:*", count=1000))

    # -- end ----------------------------------------------------------------------------------

    def _raw_connection(self) -> Any:
        return self.database.engine(isolation_level="AUTOCOMMIT").raw_connection()

    def close(self) -> None:
        """Close what was opened; the database fixture disposes of the engines."""
        for cache in self.caches:
            cache.close()
        self._truth.close()
        self.redis.close()


def _hang_up(connection: Any) -> None:
    """What the server does when the client of a transaction is gone."""
    if not getattr(connection, "closed", False):
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed
            connection.rollback()


def _prepare_sqlite(snapshots: bool) -> Callable[[Any, Any], None]:
    def prepare(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        mode = "WAL" if snapshots else "TRUNCATE"
        connection.execute(f"PRAGMA journal_mode = {mode}")
        if snapshots:
            connection.isolation_level = None  # so that BEGIN is ours to send

    return prepare


def _sha(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else str(answer).encode()
