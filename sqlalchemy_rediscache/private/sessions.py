"""Sessions, their transactions and what they are about to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.util import EMPTY_DICT, await_only, greenlet_spawn

await_ = await_only

spawn = greenlet_spawn


def other_listeners(session: Session) -> bool:
    """Does the session have ``do_orm_execute`` listeners besides ours?"""
    return len(session.dispatch.do_orm_execute) > getattr(session, "_rediscache_own_listeners", 1)


def begin(session: Session) -> bool:
    """Begin the session's transaction as a load does; is it one that may load?

    Raises:
        sqlalchemy.exc.InvalidRequestError: The session was told not to begin by itself.
    """
    transaction = session._transaction
    if transaction is None:
        transaction = session._autobegin_t()
    return transaction.is_active


def dirty(session: Session) -> bool:
    """Would a flush have anything to look at?"""
    return bool(session._new or session._deleted or session.identity_map._modified)


def autoflush(session: Session) -> None:
    """Flush pending changes as a load does, unless the session is told not to."""
    session._autoflush()


def may_load(passive: PassiveFlag) -> bool:
    """Do these flags allow SQL for an object that is not there?"""
    wanted = PassiveFlag.SQL_OK | PassiveFlag.RELATED_OBJECT_OK
    return passive & wanted == wanted


def flushes(passive: PassiveFlag) -> bool:
    """Do these flags allow an autoflush?"""
    return not passive & PassiveFlag.NO_AUTOFLUSH


def changed_attributes(state: InstanceState[Any]) -> set[str]:
    """The column attributes for which the flush that just ran sent a value.

    An attribute that was assigned the value it had is no change: SQLAlchemy sends nothing for it,
    and what the database has may be newer. What was set to an SQL expression is expired by now.
    """
    attributes, manager = state.dict, state.manager
    found = set(state.expired_attributes)
    for name, before in state.committed_state.items():
        impl = manager[name].impl
        if not impl.accepts_scalar_loader:
            continue  # a relationship: the columns behind it are attributes of their own
        if name not in attributes or impl.is_equal(attributes[name], before) is not True:
            found.add(name)
    return found


def flushed_states(flush_context: Any) -> Iterator[tuple[InstanceState[Any], bool]]:
    """The objects that a flush wrote, and whether it deleted them.

    ``session.dirty`` is no substitute: rows that only a dependency changed (a nulled foreign key)
    are not in it.
    """
    for state, (is_delete, list_only) in flush_context.states.items():
        if not list_only:
            yield state, is_delete


def connection_of(session: Session, bind_arguments: dict[str, Any]) -> Connection:
    """The connection that a statement with these bind arguments runs on."""
    return session.connection(bind_arguments=bind_arguments)


def own_bindings(session: Session) -> bool:
    """Does the session find its engine in SQLAlchemy's own way, with one bind for all?"""
    kept = session.__dict__
    binds = kept.get("binds") or kept.get("_Session__binds")  # SQLAlchemy 2.1, 2.0
    return type(session).get_bind is Session.get_bind and not binds


def bind_of_writes(session: Session, mapper: Mapper[Any]) -> Any:
    """Where a session with a ``get_bind()`` of its own sends the writes of a class.

    Such a method tells reads from writes by the statement, or by ``_flushing``, as the recipe for
    replicas in SQLAlchemy's documentation does.
    """
    table: Any = mapper.local_table
    flushing = session._flushing
    session._flushing = True
    try:
        return session.get_bind(mapper=mapper, clause=sqlalchemy.update(table))
    finally:
        session._flushing = flushing


def session_options(session: Session) -> Any:
    """The execution options that a session puts on every statement (SQLAlchemy 2.1)."""
    return getattr(session, "execution_options", None)


def has_connections(session: Session) -> bool:
    """Has the session's transaction reached a database?"""
    transaction: Any = session._transaction
    return transaction is not None and bool(transaction._connections)


class CachedSession(Session):
    """What the class of an enabled factory is extended with.

    A subclass sets the two class variables.
    """

    _rediscache_lookups: ClassVar[Any]
    """Answers key lookups (`session.lookup.Lookups`)."""
    _rediscache_binding: ClassVar[Any]
    """Hears statements (`session.binding.SessionHooks`)."""
    _rediscache_options = False
    _rediscache_own_listeners = 0

    def _execute_internal(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        # A listener costs every statement 3.5 us: only those that may concern the cache get one,
        # and it comes after all others.
        if kwargs.get("_add_event") is None and self._rediscache_lookups.concerned(statement):
            kwargs["_add_event"] = self._rediscache_binding.on_execute
        return super()._execute_internal(statement, *args, **kwargs)

    def _get_impl(self, *args: Any, options: Any = None, **kwargs: Any) -> Any:
        if not options:
            return super()._get_impl(*args, options=options, **kwargs)
        self._rediscache_options = True  # the lookup below is not told of them
        try:
            return super()._get_impl(*args, options=options, **kwargs)
        finally:
            self._rediscache_options = False

    def _identity_lookup(
        self,
        mapper: Any,
        primary_key_identity: Any,
        identity_token: Any = None,
        passive: PassiveFlag = PassiveFlag.PASSIVE_OFF,
        lazy_loaded_from: Any = None,
        execution_options: Any = EMPTY_DICT,
        bind_arguments: Any = None,
    ) -> Any:
        found = super()._identity_lookup(
            mapper,
            primary_key_identity,
            identity_token,
            passive,
            lazy_loaded_from,
            execution_options,
            bind_arguments,
        )
        if found is not None or execution_options or bind_arguments or self._rediscache_options:
            return found
        return self._rediscache_lookups.lookup(
            self, mapper, primary_key_identity, identity_token, passive, lazy_loaded_from
        )
