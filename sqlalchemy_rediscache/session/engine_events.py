"""What an engine tells: SQL that no session event shows, and the moment right before COMMIT."""

from __future__ import annotations

import re
import weakref
from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.orm import Session

from .. import private
from ..region import Region
from ..write_path import WriteSet
from .access import Services
from .engines import EngineInfo, View
from .plans import Plans
from .unit import Unit

_READS = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*\(*\s*"
    r"(SELECT|VALUES|TABLE|SHOW|EXPLAIN|DESCRIBE|DESC|PRAGMA|BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|"
    r"RELEASE|SET|ANALYZE|VACUUM|LISTEN|NOTIFY|UNLISTEN|LOCK|FETCH|DECLARE|CLOSE|USE|CHECKPOINT)\b",
    re.IGNORECASE | re.DOTALL,
)
_ISOLATION = re.compile(r"\bISOLATION\b|\bTRANSACTION_READ_ONLY\b|\bread_uncommitted\b", re.IGNORECASE)
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
        self._units: weakref.WeakKeyDictionary[Connection, Unit] = weakref.WeakKeyDictionary()
        self._sessions: weakref.WeakKeyDictionary[Connection, weakref.ref[Session]] = (
            weakref.WeakKeyDictionary()
        )
        self._watched: weakref.WeakSet[Engine] = weakref.WeakSet()
        self._key = object()

    def follow(self, session: Session, connection: Connection, unit: Unit) -> None:
        """A session's transaction began on a connection."""
        earlier = self._units.get(connection)
        joined = not isinstance(session.get_bind(), Engine) if session.bind is not None else False
        if joined:
            # Somebody else's transaction: what it wrote before is unknown, what is written in it is
            # committed by its owner, or never.
            unit.closed = True
        if earlier is not None and earlier is not unit and earlier.writes:
            unit.closed = True
            _merge(unit.writes, earlier.writes)
        self._units[connection] = unit
        self._sessions[connection] = weakref.ref(session)
        self.watch(connection.engine)

    def watch(self, engine: Engine) -> None:
        """Listen to an engine; once is enough."""
        if engine in self._watched:
            return
        self._watched.add(engine)
        for name, listener in self._listeners():
            event.listen(engine, name, listener)

    def unwatch(self) -> None:
        """Stop listening to all engines."""
        for engine in list(self._watched):
            for name, listener in self._listeners():
                if event.contains(engine, name, listener):
                    event.remove(engine, name, listener)
        self._watched.clear()

    def _listeners(self) -> list[tuple[str, Any]]:
        return [
            ("before_cursor_execute", self.on_execute),
            ("commit", self.on_commit),
            ("commit_twophase", self.on_commit_twophase),
            ("rollback", self.on_rollback),
            ("rollback_twophase", self.on_rollback_twophase),
            ("begin", self.on_begin),
            ("handle_error", self.on_error),
            ("reset", self.on_reset),
        ]

    # -- what is written ----------------------------------------------------------------------

    def on_execute(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        """A statement is about to be sent."""
        compiled = getattr(context, "compiled", None)
        if compiled is not None and not private.is_text(compiled):
            if not (context.isinsert or context.isupdate or context.isdelete or context.isddl):
                if not private.has_writing_cte(compiled):
                    return
            elif private.sent_by_flush(context, self._unit_flushing(connection)):
                unit = self._units.get(connection)
                if unit is not None:
                    unit.wrote = True
                return
        elif not self._text_writes(connection, statement):
            return
        self._note(connection, context, compiled)

    def _unit_flushing(self, connection: Connection) -> bool:
        unit = self._units.get(connection)
        return unit is not None and unit.flushing

    def _text_writes(self, connection: Connection, statement: str) -> bool:
        found = _READS.match(statement)
        if found is None:
            return True
        if _ISOLATION.search(statement):
            unit = self._units.get(connection)
            if unit is not None:
                unit.closed = True  # what the transaction sees is no longer known
        first = found.group(1).upper()
        return first in ("SELECT", "EXPLAIN", "DECLARE") and bool(_WRITES_INSIDE.search(statement))

    def _note(self, connection: Connection, context: Any, compiled: Any) -> None:
        info = self._services.engine(connection.engine)
        unit = self._units.get(connection)
        if unit is None:
            unit = self._units[connection] = Unit(is_async=info.is_async, view=View.CLOSED)
            unit.connections.append(connection)
        unit.wrote = True
        session_ref = self._sessions.get(connection)
        session = session_ref() if session_ref is not None else None
        options = context.execution_options if context is not None else {}
        schema_map = options.get("schema_translate_map")
        fresh = WriteSet()
        for region in self._written(info, context, compiled):
            namespace = self._services.namespace(session)
            fresh.region(info.place(region, namespace, schema_map))
            if session is None and self._services.namespaced:
                fresh.regions.update(info.places_of(region))
        _merge(unit.writes, fresh)
        if fresh and info.view_in(connection) is View.CLOSED and _autocommits(connection):
            # No COMMIT will come: the statement is its own transaction.
            self._services.writes.lock(self._services.scripts(info.is_async), unit.writes)

    def _written(self, info: EngineInfo, context: Any, compiled: Any) -> tuple[Region, ...]:
        if compiled is None or private.is_text(compiled) or context.isddl:
            info.triggers.clear()  # it may have made one
        tables = private.written_tables(compiled) if compiled is not None else None
        if tables is None or not all(isinstance(table, Table) for table in tables):
            return self._plans.all(info)
        found: dict[str, Region] = {}
        for table in tables:
            for region in self._plans.with_reached(
                table, info, deletes=not context.isinsert, updates=not context.isinsert
            ):
                found[region.name] = region
        return tuple(found.values())

    # -- how it ends --------------------------------------------------------------------------

    def on_commit(self, connection: Connection) -> None:
        """The database's COMMIT comes next: take the locks."""
        unit = self._units.get(connection)
        if unit is None:
            return
        unit.committing = True
        if unit.writes and not unit.writes.token:
            self._services.writes.lock(self._services.scripts(unit.is_async), unit.writes)
            if not self._in_session(connection):
                connection.info[self._key] = weakref.ref(connection), unit

    def on_commit_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        """The second phase of a two-phase commit comes next."""
        self.on_commit(connection)

    def on_rollback(self, connection: Connection) -> None:
        """ROLLBACK comes next; of a connection that no session uses, that ends its writes."""
        unit = self._units.get(connection)
        if unit is None:
            return
        if connection.invalidated and unit.committing:
            unit.doubtful = True
        if not self._in_session(connection):
            self._end_bare(connection, unit, committed=False)

    def on_rollback_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        """A prepared transaction is rolled back."""
        self.on_rollback(connection)

    def on_begin(self, connection: Connection) -> None:
        """A transaction begins: the one before it on this connection has been committed."""
        unit = self._units.get(connection)
        if unit is not None and not self._in_session(connection):
            self._end_bare(connection, unit, committed=True)

    def on_reset(self, dbapi_connection: Any, record: Any, reset_state: Any) -> None:
        """A connection goes back to its pool: what was committed on it is over."""
        _, unit = record.info.pop(self._key, (None, None))
        if unit is not None and unit.writes.token and not unit.doubtful:
            scripts = self._services.scripts(unit.is_async)
            self._services.writes.release(scripts, unit.writes, committed=True)

    def on_error(self, context: ExceptionContext) -> None:
        """The database refused something; a connection lost in COMMIT leaves its outcome open."""
        connection = context.connection
        unit = None if connection is None else self._units.get(connection)
        if unit is not None and unit.committing and context.is_disconnect:
            unit.doubtful = True

    def _in_session(self, connection: Connection) -> bool:
        session_ref = self._sessions.get(connection)
        return session_ref is not None and session_ref() is not None

    def _end_bare(self, connection: Connection, unit: Unit, *, committed: bool) -> None:
        del self._units[connection]
        if unit.writes.token and not unit.doubtful:
            scripts = self._services.scripts(unit.is_async)
            self._services.writes.release(scripts, unit.writes, committed=committed)

    def hand_over(self, unit: Unit) -> bool:
        """A session is done with a transaction that others go on with: keep its writes with the
        connection until the database's own COMMIT. False when there is no such transaction."""
        open_ = [one for one in unit.connections if not one.closed and one.in_transaction()]
        if not open_:
            return False
        for connection in open_:
            self._units[connection] = unit
            self._sessions.pop(connection, None)
        return True

    def forget(self, unit: Unit) -> None:
        """A session's transaction is over: its connections are nobody's."""
        for connection in unit.connections:
            if self._units.get(connection) is unit:
                del self._units[connection]
            self._sessions.pop(connection, None)


def _merge(into: WriteSet, other: WriteSet) -> None:
    into.regions |= other.regions
    for place, rows in other.rows.items():
        for token in rows:
            into.row(place, token, None)


def _autocommits(connection: Connection) -> bool:
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = private.default_isolation(connection.dialect)
    return level == "AUTOCOMMIT"
