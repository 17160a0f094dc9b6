"""What an engine tells: SQL that no session event shows, and the moment right before COMMIT."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.engine import (
    Connection,
    Engine,
    ExceptionContext,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .. import private
from ..sql_text import Kind, TextReader
from ..write_path import WriteSet
from .access import Services
from .at_once import AtOnce
from .by_key import note_places, rows_by_key
from .driver_transactions import DriverTransactions, Standing, Step
from .hearing import Hearing
from .plans import Plans
from .reach import Reach
from .shared import SharedConnections
from .unit import Unit
from .written import (
    EVERYTHING,
    Effects,
    WrittenBy,
    bounds_transaction,
    changes_view,
    changes_views,
    ends_transaction,
    may_commit,
    undoes,
)


class EngineEvents:
    """Listens to every engine that a session of the cache uses.

    Flushes tell which rows they wrote. All other SQL that writes is seen here, whoever sent it:
    ``bulk_save_objects``, statements on ``session.connection()``, event handlers in the middle of a
    flush, Core and text on a connection. What it wrote is known by table, so whole regions are
    emptied.

    Args:
        services: The parts of the cache.
        plans: Tells the regions of tables.
    """

    def __init__(self, services: Services, plans: Plans) -> None:
        self._services = services
        self._plans = plans
        self._written = WrittenBy(TextReader())
        self._only_reads = self._written.only_reads
        self._reach = Reach(services.models, plans)
        self._at_once = AtOnce(services)
        self._shared = SharedConnections(services)
        self._drivers = DriverTransactions()
        # COMMIT is heard on a connection that has written, see `private.before_commit`.
        self.hearing = Hearing(
            [
                ("do_execute", self.on_execute),
                ("do_executemany", self.on_execute),
                ("do_execute_no_params", self.on_execute_no_params),
                ("handle_error", self.on_error),
            ],
            self.on_send,
        )
        self._last: Callable[[], Engine | None] = lambda: None
        """The engine of the last transaction, if it is heard and its connections are not shared."""
        self._key = f"_rediscache_unit_{id(self):x}"
        self._late = f"_rediscache_late_{id(self):x}"

    def follow(self, session: Session, connection: Connection, unit: Unit) -> None:
        """A session's transaction began on a connection."""
        earlier = self.unit(connection)
        if earlier is not None and earlier is not unit and earlier.writes:
            unit.closed = True  # uncommitted rows of whoever had the connection before
            unit.writes.join(earlier.writes)
        unit.session = weakref.ref(session)
        connection.__dict__[self._key] = unit
        engine = connection.engine
        if engine is self._last():  # as a rule: 0.1 us, not 2
            return
        self.hearing.use(engine)
        if isinstance(engine.pool, StaticPool | SingletonThreadPool):
            self._share(connection, unit)
        elif isinstance(engine, Engine):
            self._last = weakref.ref(engine)

    def _share(self, connection: Connection, unit: Unit) -> None:
        if self._shared.join(connection, unit):
            self.hearing.hear_commits(connection.dialect)

    def unit(self, connection: Connection) -> Unit | None:
        """The unit of the transaction that is open on a connection."""
        return connection.__dict__.get(self._key)

    def close(self) -> None:
        """Stop listening to all engines."""
        self._last = lambda: None
        self.hearing.close()

    # -- what is written ----------------------------------------------------------------------

    def on_execute_no_params(self, cursor: Any, statement: str, context: Any) -> None:
        """A statement without parameters is about to be sent."""
        self.on_execute(cursor, statement, None, context)

    def on_execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        """A statement is about to be sent."""
        compiled = context.compiled
        if compiled is not None and self._only_reads(compiled):
            return
        connection: Connection = context.root_connection
        commits, step = False, None
        if compiled is not None and private.is_dml(compiled):
            if self._told_by_flush(connection, statement, context, compiled):
                return
        elif compiled is None or not private.is_query(compiled):
            commits, step = self._control(connection, statement)
        effects = self._written.effects(compiled, statement, connection.dialect.name)
        if effects is not None:
            commits = commits or ends_transaction(effects, connection.dialect.name)
        unit = self.unit(connection)
        if (commits or step is Step.COMMITS) and unit is not None and unit.flushing:
            effects = EVERYTHING  # which rows the flush has written is noted when it is done
        if effects is not None:
            self._note(connection, statement, context, compiled, effects)
        if commits or step is not None:
            self._end_by_itself(connection, step, commits=commits)

    def _told_by_flush(
        self, connection: Connection, statement: str, context: Any, compiled: Any
    ) -> bool:
        """Does a flush tell what this statement writes?"""
        unit = self.unit(connection)
        flushing = unit is not None and unit.flushing
        within = self._drivers.standing(connection, statement) is Standing.WITHIN
        if unit is not None and private.sent_by_flush(context, flushing):
            unit.wrote = unit.sent = True
            self._hear_commit(connection, unit)
            if within:
                return True
            unit.torn = True
        return within and self._between(connection, context, compiled)

    def _control(self, connection: Connection, statement: str) -> tuple[bool, Step | None]:
        """May a text commit by itself? What does it do to a transaction that the driver began?

        The transaction's view may be another after it, and what was written undone.
        """
        unit = self.unit(connection)
        if changes_view(statement):
            info = self._services.engine(connection.engine)
            info.close_view(connection, unit, lasts=changes_views(statement))
        step = self._drivers.step(connection, statement)
        commits = False
        if bounds_transaction(statement):
            self._drivers.heard(connection)
            commits = may_commit(statement, connection.dialect.name)
        if unit is not None and unit.wrote and (commits or step or undoes(statement)):
            unit.torn = unit.flushing
            if step is None:
                unit.writes.forget_values()
        return commits, step

    def _hear_commit(self, connection: Connection, unit: Unit) -> None:
        """Its COMMIT matters, however late that is said."""
        if not private.before_commit(connection, self.on_commit) and unit.leave is None:
            # The application's listener for COMMIT may be writing, and COMMIT come next. (Where
            # connections are shared all are heard.)
            self.hearing.hear_commits(connection.dialect)
            connection.info[self._late] = weakref.ref(connection)

    def _end_by_itself(self, connection: Connection, step: Step | None, *, commits: bool) -> None:
        """A statement commits what the transaction wrote, and what it writes itself, or undoes."""
        unit = self.unit(connection)
        if commits and unit is not None:
            # Whether it does, not every driver says. A transaction that failed it rolls back.
            unit.writes.forget_values()
        if (commits and (unit is None or not unit.committing)) or step is Step.COMMITS:
            self._at_once.commit(connection, unit)
            if (left := self._drivers.by_text(connection)) is not None:
                self._at_once.take(connection, left)
        elif step is Step.UNDOES and unit is not None:
            self._at_once.undo(connection, unit)

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
        if space is None:
            return False
        unit.wrote = True
        self._hear_commit(connection, unit)
        session = unit.session() if unit.session is not None else None
        schema_map = context.execution_options.get("schema_translate_map")
        place = info.place(space, self._services.namespace(session), schema_map)
        tags = unit.writes.tag_writes(place)
        for parameters in context.compiled_parameters:
            tags.add(space.tagset.name, None if context.isupdate else space.words(parameters))
        return True

    def _note(
        self, connection: Connection, statement: str, context: Any, compiled: Any, effects: Effects
    ) -> None:
        info = self._services.engine(connection.engine)
        if effects.may_be_ddl:
            info.catalog_changed()  # it may have made a trigger
        keyed = None
        if compiled is not None and len(effects.tables) == 1 and not effects.by_text:
            keyed = rows_by_key(context, self._plans, info, connection)
        if keyed is not None:  # no key that others follow is set
            effects = replace(effects, kinds=effects.kinds - {Kind.UPDATE})
        regions = self._reach.regions(effects, info, connection)
        unit = self.unit(connection)
        if unit is None or (unit.committing and unit.writes.token):
            # The latter: its COMMIT has locked what it wrote, and this is written later, maybe in
            # a transaction whose begin nobody told (see `known_unit`).
            unit = Unit()
            self._keep(connection, unit)
        self._hear_commit(connection, unit)
        unit.is_async = info.is_async
        unit.wrote = True
        session = unit.session() if unit.session is not None else None
        schema_map = context.execution_options.get("schema_translate_map")
        fresh = WriteSet()
        for region in regions:
            places = self._services.written_places(
                info, region, session, schema_map, by_text=effects.by_text
            )
            note_places(fresh, places, region, keyed)
        self._place(connection, statement, unit, effects, fresh)

    def _place(
        self, connection: Connection, statement: str, unit: Unit, effects: Effects, fresh: WriteSet
    ) -> None:
        """Put what a statement writes where it is locked when it is committed."""
        standing = self._drivers.standing(connection, statement)
        if (
            standing is Standing.ALONE
            and effects.by_text
            and (effects.everything or bounds_transaction(statement))
        ):
            standing = Standing.UNKNOWN  # it may begin a transaction, and leave it open
        if standing is not Standing.ALONE:
            unit.writes.join(fresh)
        if standing is Standing.BY_TEXT:
            self._drivers.keep_by_text(connection, fresh)
        elif standing is not Standing.WITHIN:
            self._at_once.lock(connection, fresh)

    # -- how it ends --------------------------------------------------------------------------

    def on_commit(self, connection: Connection) -> None:
        """The database's COMMIT comes next: take the locks."""
        unit = self.unit(connection)
        if unit is None:
            return
        unit.committing = True
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

    def on_send(self, connection: Any) -> Callable[[bool], None] | None:
        """COMMIT is sent next, on a connection of the pool's that others may share.

        Or one whose first write is in the application's listener for COMMIT, where it is too late
        to be told by `private.before_commit`.
        """
        late = connection.info.pop(self._late, lambda: None)()
        if late is not None and not late.closed:
            self.on_commit(late)
        try:
            return self._shared.on_send(connection)
        except BaseException:
            connection.rollback()  # see `on_commit`
            raise

    # A transaction that no session of ours has: it was begun with Core, or a session left it to
    # whoever began it. Nobody tells when its COMMIT is over: the first sign is the connection's
    # next transaction, or its way back to the pool.

    def _keep(self, connection: Connection, unit: Unit) -> None:
        earlier = self.unit(connection)
        if earlier is not None and earlier is not unit and earlier.writes:
            unit.writes.join(earlier.writes)
        unit.session = None
        if not any(known is connection for known in unit.connections):
            unit.connections.append(connection)
        connection.__dict__[self._key] = unit
        kept: list[Unit] = connection.info.setdefault(self._key, [])
        kept[:] = [one for one in kept if one is not earlier and one is not unit] + [unit]
        self._share(connection, unit)
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
        units: list[Unit] = record.info.pop(self._key, [])
        for unit in units:
            if unit.leave is not None and not unit.committing:  # another's, whose COMMIT may come
                record.info.setdefault(self._key, []).append(unit)
            elif unit.session is None:
                for connection in unit.connections:
                    connection.__dict__.pop(self._key, None)
                self._release(unit, committed=unit.committing)

    def _end(self, connection: Connection, unit: Unit, *, committed: bool) -> None:
        connection.__dict__.pop(self._key, None)
        if not connection.closed and not connection.invalidated:
            kept: list[Unit] = connection.info.get(self._key, [])
            kept[:] = [one for one in kept if one is not unit]
        self._release(unit, committed=committed)

    def _release(self, unit: Unit, *, committed: bool) -> None:
        if (unit.writes.token or unit.writes.owed) and not unit.doubtful:
            scripts = self._services.scripts(unit.is_async)
            self._services.writes.release(scripts, unit.writes, committed=committed)
            unit.writes = WriteSet()
        if unit.leave is not None:
            unit.leave(unit)

    def on_error(self, context: ExceptionContext) -> None:
        """The database refused something; a connection lost in COMMIT leaves its outcome open."""
        connection = context.connection
        if connection is not None and context.is_disconnect:
            self._at_once.forget(connection)
        elif connection is not None:
            self._at_once.settle(connection, failed=True)
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


def _roll_back(connection: Connection) -> None:
    connection.dialect.do_rollback(connection.connection)
