"""What an engine tells: SQL that no session event shows, and the moment right before COMMIT."""

from __future__ import annotations

import re
import weakref
from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.engine import (
    Connection,
    Dialect,
    Engine,
    ExceptionContext,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .. import private
from ..write_path import WriteSet
from .access import Services
from .engines import EngineInfo
from .plans import Emptied, Plans
from .unit import Unit

_READS = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*\(*\s*"
    r"(SELECT|WITH|VALUES|TABLE|SHOW|EXPLAIN|DESCRIBE|DESC|PRAGMA|BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|"
    r"RELEASE|SET|ANALYZE|VACUUM|LISTEN|NOTIFY|UNLISTEN|LOCK|FETCH|DECLARE|CLOSE|USE|CHECKPOINT)\b",
    re.IGNORECASE | re.DOTALL,
)
_ISOLATION = re.compile(r"\b(ISOLATION|TRANSACTION_READ_ONLY|READ_UNCOMMITTED)\b", re.IGNORECASE)
_LOCKING = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b", re.IGNORECASE)
_DDL_COMMITS = frozenset({"mysql", "mariadb", "oracle"})
"""Databases that commit by themselves before and after DDL."""
_WRITES_INSIDE = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|INTO)\b", re.IGNORECASE)


class EngineEvents:
    """Listens to every engine that a session of the cache uses.

    Flushes tell which rows they wrote. All other SQL that writes is seen here, whoever sent it:
    ``bulk_save_objects``, statements on ``session.connection()``, event handlers in the middle of a
    flush, Core and text on a connection. What it wrote is known by table, so whole regions are
    emptied.
    """

    def __init__(self, services: Services, plans: Plans) -> None:
        self._services = services
        self._plans = plans
        self._watched: weakref.WeakSet[Dialect] = weakref.WeakSet()
        self._key = f"_rediscache_unit_{id(self):x}"
        self._key_at_once = f"_rediscache_at_once_{id(self):x}"

    def follow(self, session: Session, connection: Connection, unit: Unit) -> None:
        """A session's transaction began on a connection."""
        earlier = self.unit(connection)
        if earlier is not None and earlier is not unit and earlier.writes:
            unit.closed = True  # uncommitted rows of whoever had the connection before
            _merge(unit.writes, earlier.writes)
        unit.session = weakref.ref(session)
        connection.__dict__[self._key] = unit
        if isinstance(connection.engine.pool, StaticPool | SingletonThreadPool):
            self._services.engine(connection.engine).join(unit)
            private.before_commit(connection, self.on_commit)
        self.watch(connection.engine)

    def unit(self, connection: Connection) -> Unit | None:
        """The unit of the transaction that is open on a connection."""
        return connection.__dict__.get(self._key)

    def watch(self, engine: Any) -> None:
        """Listen to an engine; once is enough for all that share its dialect."""
        if not isinstance(engine, Engine) or engine.dialect in self._watched:
            return  # the former: an application's tests stand something in for it
        self._watched.add(engine.dialect)
        for name, listener in self._listeners():
            event.listen(engine.dialect, name, listener)

    def unwatch(self) -> None:
        """Stop listening to all engines."""
        # By the dialect and not by the engine it was met with, which may be gone before it: one
        # made by `execution_options()` shares the dialect of an engine that goes on.
        for dialect in list(self._watched):
            for name, listener in self._listeners():
                if event.contains(dialect, name, listener):
                    event.remove(dialect, name, listener)
        self._watched.clear()

    def _listeners(self) -> list[tuple[str, Any]]:
        # Events of the dialect, which cost a statement 0.5 us. One listener for an event of the
        # engine would make each of its connections join its listeners with the engine's, 30 us:
        # COMMIT is heard on a connection that has written, see `private.before_commit`.
        return [
            ("do_execute", self.on_execute),
            ("do_executemany", self.on_execute),
            ("do_execute_no_params", self.on_execute_no_params),
            ("handle_error", self.on_error),
        ]

    # -- what is written ----------------------------------------------------------------------

    def on_execute_no_params(self, cursor: Any, statement: str, context: Any) -> None:
        """A statement without parameters is about to be sent."""
        self.on_execute(cursor, statement, None, context)

    def on_execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        """A statement is about to be sent."""
        compiled = context.compiled
        if compiled is not None and private.only_reads(compiled):
            return
        connection: Connection = context.root_connection
        if compiled is not None and not private.is_text(compiled):
            if private.sent_by_flush(context, self._unit_flushing(connection)):
                unit = self.unit(connection)
                if unit is not None:
                    unit.wrote = True
                    private.before_commit(connection, self.on_commit)
                if not _autocommits(connection):
                    return
            if self._between(connection, context, compiled):
                return
        elif not self._text_writes(connection, statement):
            return
        self._note(connection, context, compiled)

    def _between(self, connection: Connection, context: Any, compiled: Any) -> bool:
        """Rows of a table between two classes, which a flush writes for no object of their own.

        Their values are the parameters, named by the columns. False for any other statement.
        """
        unit = self.unit(connection)
        table = getattr(compiled.statement, "table", None)
        if unit is None or not unit.flushing or not isinstance(table, Table):
            return False
        info = self._services.engine(connection.engine)
        space = self._plans.association(table, info)
        if space is None or _autocommits(connection):
            return False
        unit.wrote = True
        private.before_commit(connection, self.on_commit)
        session = unit.session() if unit.session is not None else None
        schema_map = context.execution_options.get("schema_translate_map")
        place = info.place(space, self._services.namespace(session), schema_map)
        tags = unit.writes.tag_writes(place)
        for parameters in context.compiled_parameters:
            tags.add(space.tagset.name, None if context.isupdate else space.words(parameters))
        return True

    def _unit_flushing(self, connection: Connection) -> bool:
        unit = self.unit(connection)
        return unit is not None and unit.flushing

    def _text_writes(self, connection: Connection, statement: str) -> bool:
        found = _READS.match(statement)
        if found is None:
            return True
        if _ISOLATION.search(statement):
            unit = self.unit(connection)
            if unit is not None:
                unit.closed = True  # what the transaction sees is no longer known
        first = found.group(1).upper()
        if first not in ("SELECT", "EXPLAIN", "DECLARE", "WITH"):
            return False
        return bool(_WRITES_INSIDE.search(_LOCKING.sub("", statement)))

    def _note(self, connection: Connection, context: Any, compiled: Any) -> None:
        info = self._services.engine(connection.engine)
        unit = self.unit(connection)
        if unit is None:
            unit = Unit()
            self._keep(connection, unit)
        private.before_commit(connection, self.on_commit)
        unit.is_async = info.is_async
        unit.wrote = True
        session = unit.session() if unit.session is not None else None
        options = context.execution_options if context is not None else {}
        schema_map = options.get("schema_translate_map")
        fresh = WriteSet()
        for region in self._written(info, context, compiled):
            namespace = self._services.namespace(session)
            fresh.region(info.place(region, namespace, schema_map))
            if session is None and self._services.namespaced:
                fresh.regions.update(info.places_of(region))
        if _autocommits(connection):
            self._at_once(connection, info, fresh)
            return
        _merge(unit.writes, fresh)
        if context is not None and context.isddl and info.dialect.name in _DDL_COMMITS:
            _merge(fresh, unit.writes)
            self._at_once(connection, info, fresh)

    def _written(self, info: EngineInfo, context: Any, compiled: Any) -> tuple[Emptied, ...]:
        if compiled is None or private.is_text(compiled) or context.isddl:
            info.triggers.clear()  # it may have made one
        tables = private.written_tables(compiled) if compiled is not None else None
        if tables is None or not all(isinstance(table, Table) for table in tables):
            return self._plans.all(info)
        found: dict[str, Emptied] = {}
        for table in tables:
            for region in self._plans.with_reached(
                table, info, deletes=not context.isinsert, updates=not context.isinsert
            ):
                found[region.name] = region
        return tuple(found.values())

    # No COMMIT comes after a statement that is its own transaction: it is locked right before it,
    # and released right after.

    def _at_once(self, connection: Connection, info: EngineInfo, writes: WriteSet) -> None:
        if not writes:
            return
        self._services.writes.lock(self._services.scripts(info.is_async), writes)
        connection.__dict__.setdefault(self._key_at_once, []).append(writes)
        if not event.contains(connection, "after_cursor_execute", self.after_execute):
            event.listen(connection, "after_cursor_execute", self.after_execute)

    def after_execute(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        """A statement was sent and answered."""
        self._release_at_once(connection)

    def _release_at_once(self, connection: Connection) -> None:
        locked = connection.__dict__.pop(self._key_at_once, ())
        for writes in locked:
            info = self._services.engine(connection.engine)
            scripts = self._services.scripts(info.is_async)
            self._services.writes.release(scripts, writes, committed=True)

    # -- how it ends --------------------------------------------------------------------------

    def on_commit(self, connection: Connection) -> None:
        """The database's COMMIT comes next: take the locks."""
        unit = self.unit(connection)
        if unit is None:
            return
        unit.committing = True
        for other in self._services.engine(connection.engine).beside(unit):
            # On one connection of the database, one session's COMMIT commits what all of them
            # wrote; what of it survives a ROLLBACK of another's, nobody can tell.
            _merge(unit.writes, other.writes)
            unit.writes.forget_values()
        if unit.mixed:
            unit.writes.forget_values()
        if unit.writes and not unit.writes.token:
            try:
                self._services.writes.lock(self._services.scripts(unit.is_async), unit.writes)
            except BaseException:
                # SQLAlchemy takes the transaction for ended once COMMIT was tried: left open, the
                # connection's next user would commit it.
                unit.committing = False
                _roll_back(connection)
                raise

    # A transaction that no session of ours has: it was begun with Core, or a session left it to
    # whoever began it. Nobody tells when its COMMIT is over: the first sign is the connection's
    # next transaction, or its way back to the pool.

    def _keep(self, connection: Connection, unit: Unit) -> None:
        earlier = self.unit(connection)
        if earlier is not None and earlier is not unit and earlier.writes:
            _merge(unit.writes, earlier.writes)
        unit.session = None
        if not any(known is connection for known in unit.connections):
            unit.connections.append(connection)
        connection.__dict__[self._key] = unit
        connection.info[self._key] = unit
        for name, listener in (("begin", self.on_begin), ("rollback", self.on_rollback)):
            if not event.contains(connection, name, listener):
                event.listen(connection, name, listener)
        if not event.contains(connection.engine, "reset", self.on_reset):
            event.listen(connection.engine, "reset", self.on_reset)

    def on_rollback(self, connection: Connection) -> None:
        """ROLLBACK comes next."""
        unit = self.unit(connection)
        if unit is not None and unit.session is None:
            if connection.invalidated and unit.committing:
                unit.doubtful = True
            self._end(connection, unit, committed=False)

    def on_begin(self, connection: Connection) -> None:
        """A transaction begins: the one before it on this connection has been committed."""
        unit = self.unit(connection)
        if unit is not None and unit.session is None:
            self._end(connection, unit, committed=True)

    def on_reset(self, dbapi_connection: Any, record: Any, reset_state: Any) -> None:
        """A connection goes back to its pool: what was committed on it is over."""
        unit = record.info.pop(self._key, None)
        if unit is not None and unit.session is None:
            for connection in unit.connections:
                connection.__dict__.pop(self._key, None)
            self._release(unit, committed=unit.committing)

    def _end(self, connection: Connection, unit: Unit, *, committed: bool) -> None:
        connection.__dict__.pop(self._key, None)
        if not connection.closed and not connection.invalidated:
            connection.info.pop(self._key, None)
        self._release(unit, committed=committed)

    def _release(self, unit: Unit, *, committed: bool) -> None:
        if (unit.writes.token or unit.writes.owed) and not unit.doubtful:
            scripts = self._services.scripts(unit.is_async)
            self._services.writes.release(scripts, unit.writes, committed=committed)
            unit.writes = WriteSet()

    def on_error(self, context: ExceptionContext) -> None:
        """The database refused something; a connection lost in COMMIT leaves its outcome open."""
        connection = context.connection
        if connection is not None and not context.is_disconnect:
            self._release_at_once(connection)
        unit = None if connection is None else self.unit(connection)
        if unit is None or connection is None or not unit.committing:
            return
        if context.is_disconnect:
            unit.doubtful = True
        elif unit.writes.token:
            _roll_back(connection)  # the database refused COMMIT: let no one else commit it

    def hand_over(self, unit: Unit) -> bool:
        """Keep a session's writes with a connection whose transaction others go on with.

        They are locked at the database's own COMMIT. False when no such transaction is open.
        """
        open_ = [one for one in unit.connections if not one.closed and one.in_transaction()]
        for connection in open_:
            self._keep(connection, unit)
        return bool(open_)

    def forget(self, unit: Unit) -> None:
        """A session's transaction is over: its connections are nobody's."""
        for connection in unit.connections:
            if connection.__dict__.get(self._key) is unit:
                del connection.__dict__[self._key]
        if unit.leave is not None:
            unit.leave(unit)


def _merge(into: WriteSet, other: WriteSet) -> None:
    into.regions |= other.regions
    for place, rows in other.rows.items():
        for token in rows:
            into.row(place, token, None)
        if place not in other.tags:
            into.tag_writes(place).loose = True
    for place, tags in other.tags.items():
        into.tag_writes(place).join(tags)


def _roll_back(connection: Connection) -> None:
    connection.dialect.do_rollback(connection.connection)


def _autocommits(connection: Connection) -> bool:
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = private.default_isolation(connection.dialect)
    return level == "AUTOCOMMIT"
