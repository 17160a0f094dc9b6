"""`Binding`: one cache on one session factory or class, and everything that listens for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine, Result
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session, scoped_session, sessionmaker
from sqlalchemy.orm.base import PassiveFlag

from .. import private
from ..errors import AlreadyEnabled, ConfigurationError
from ..options import CacheOption, query_defaults
from .access import Services
from .engine_events import EngineEvents
from .flushes import Flushes
from .loads import Loads
from .lookup import Lookups
from .plans import Plans
from .queries import DEFAULTS, Queries
from .refresh import Refreshes
from .statements import Statements
from .transactions import Transactions
from .unit import unit_of

_MARK = "_rediscache_binding"


class SessionHooks:
    """The listeners of one cache, shared by all factories it is enabled on."""

    def __init__(self, services: Services) -> None:
        self.services = services
        plans = Plans(services.models)
        self.engine_events = EngineEvents(services, plans)
        services.met = self.engine_events.hearing.hear
        loads = Loads(services)
        self.lookups = Lookups(services, loads)
        self._refreshes = Refreshes(services)
        self.queries = Queries(services, plans)
        self._statements = Statements(services, self.queries, loads)
        self._flushes = Flushes(services, plans)
        self._transactions = Transactions(services, self.engine_events)
        self._plans = plans
        self.bypassing = services.bypassing

    def listeners(self) -> list[tuple[str, Any]]:
        """The session events and who hears them."""
        return [
            ("before_flush", self.before_flush),
            ("after_flush", self.after_flush),
            ("after_begin", self._transactions.after_begin),
            ("after_commit", self._transactions.after_commit),
            ("after_soft_rollback", self._transactions.after_soft_rollback),
            ("after_transaction_end", self._transactions.after_end),
        ]

    def on_execute(self, state: ORMExecuteState) -> Result[Any] | None:
        """Any statement of a session. What others than SELECT write, the engine tells."""
        if not state.is_select or self.bypassing():
            return None
        return self._statements.on_select(state)

    def before_flush(self, session: Session, context: Any, instances: Any) -> None:
        """A flush begins: its own SQL is told apart from others'."""
        unit = unit_of(session)
        unit.flushing = True
        unit.sent = unit.torn = False

    def after_flush(self, session: Session, context: Any) -> None:
        """A flush has sent its SQL."""
        unit = unit_of(session)
        unit.flushing = False
        self._flushes.after_flush(session, context)
        if unit.torn:  # the database does not hold what it wrote until the transaction ends
            unit.writes.forget_values()

    def load_expired(
        self, session: Session, state: InstanceState[Any], names: set[str], passive: PassiveFlag
    ) -> bool:
        """Load expired attributes of an object; False to have the database asked."""
        if self.bypassing():
            return False
        return self._refreshes.load(session, state, names, passive)


class Binding:
    """The cache's hold on one factory or session class.

    Args:
        hooks: The cache's listeners.
        target: A ``sessionmaker``, ``scoped_session``, ``async_sessionmaker``, or a class.
        defaults: How queries are cached that don't ask for it; None for not at all.

    Raises:
        AlreadyEnabled: Another cache holds the target.
        ConfigurationError: The target is something else, or Redis was given as a client of the
            other kind (blocking for an asyncio factory), or the target is enabled with other
            defaults.
    """

    def __init__(
        self, hooks: SessionHooks, target: Any, defaults: CacheOption | None = None
    ) -> None:
        self.hooks = hooks
        self._defaults = query_defaults(defaults, "enable")
        self._factory, self._class = _resolve(target)
        held = getattr(self._class, _MARK, None)
        if held is not None and held is not hooks:
            raise AlreadyEnabled(
                f"{target!r} is enabled by another cache: call disable() on that one first"
            )
        self._original: Any = None
        self.attached = held is None
        if held is None:
            self._attach()
        elif defaults is not None and getattr(self._class, DEFAULTS, None) is not defaults:
            raise ConfigurationError(
                f"{target!r} is enabled already: call disable() first to give it query_defaults"
            )

    def _attach(self) -> None:
        hooks = self.hooks
        listened = self._class
        if self._factory is None:
            setattr(self._class, _MARK, hooks)
            setattr(self._class, DEFAULTS, self._defaults)
        else:
            kind = "async" if self._factory.is_async else "sync"
            hooks.services.store.require(kind)
            for engine in self._factory.engines():  # from now on its other users are heard too
                hooks.services.engine(engine)
                hooks.engine_events.hearing.use(engine)
            namespace = {
                _MARK: hooks,
                DEFAULTS: self._defaults,
                "_rediscache_lookups": hooks.lookups,
            }
            bases = (private.CachedSession, self._class)
            listened = type(self._class.__name__, bases, namespace)
            listened.__module__ = self._class.__module__
            self._original = self._class
            self._factory.set(listened)
        self._listened = listened
        for name, listener in self._listeners():
            # Before the application's: what these change after a flush was not sent by it.
            event.listen(listened, name, listener, insert=name == "after_flush")

    def _listeners(self) -> list[tuple[str, Any]]:
        found = self.hooks.listeners()
        if self._factory is None:  # sessions of a factory call it themselves, see CachedSession
            found.append(("do_orm_execute", self.hooks.on_execute))
        return found

    def detach(self) -> None:
        """Give the factory back its class; sessions that exist keep the cache until they close."""
        for name, listener in self._listeners():
            if event.contains(self._listened, name, listener):
                event.remove(self._listened, name, listener)
        if self._factory is None:
            if getattr(self._class, _MARK, None) is self.hooks:
                delattr(self._class, _MARK)
                delattr(self._class, DEFAULTS)
        else:
            self._factory.set(self._original)


class _Factory:
    """Where a factory keeps the class of the sessions it makes."""

    def __init__(self, factory: Any, *, is_async: bool) -> None:
        self._factory = factory
        self.is_async = is_async

    def engines(self) -> list[Engine]:
        """The engines that the factory gives its sessions."""
        options = self._factory.kw
        binds = [options.get("bind"), *(options.get("binds") or {}).values()]
        engines = [getattr(bind, "sync_engine", bind) for bind in binds]
        return [engine for engine in engines if isinstance(engine, Engine)]

    def get(self) -> type[Session]:
        if not self.is_async:
            return self._factory.class_  # type: ignore[no-any-return]
        kept: type[Session] | None = self._factory.kw.get("sync_session_class")
        made_by: Any = self._factory.class_
        found: type[Session] = made_by.sync_session_class if kept is None else kept
        return found

    def set(self, session_class: type[Session]) -> None:
        if self.is_async:
            self._factory.kw["sync_session_class"] = session_class
        else:
            self._factory.class_ = session_class


def _resolve(target: Any) -> tuple[_Factory | None, type[Session]]:
    if isinstance(target, scoped_session):
        target = target.session_factory
    scoped = getattr(target, "session_factory", None)
    if scoped is not None and not isinstance(target, type):  # async_scoped_session
        target = scoped
    if isinstance(target, sessionmaker):
        factory = _Factory(target, is_async=False)
        return factory, factory.get()
    if isinstance(target, type) and issubclass(target, Session):
        return None, target
    try:
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker  # noqa: PLC0415
    except ImportError:  # greenlet is not installed
        pass
    else:
        if isinstance(target, async_sessionmaker):
            factory = _Factory(target, is_async=True)
            return factory, factory.get()
        if isinstance(target, type) and issubclass(target, AsyncSession):
            if target.sync_session_class is Session:
                raise ConfigurationError(
                    f"{target.__name__} has no sync_session_class of its own: every session of the "
                    "process would be enabled. Enable an async_sessionmaker instead"
                )
            return None, target.sync_session_class
    raise ConfigurationError(
        "enable() takes a sessionmaker, scoped_session, async_sessionmaker or a class of sessions, "
        f"not {target!r}"
    )


def engine_of(target: Any) -> Engine:
    """The synchronous engine behind an ``Engine`` or ``AsyncEngine``.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(target, Engine):
        return target
    try:
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415
    except ImportError:  # greenlet is not installed
        pass
    else:
        if isinstance(target, AsyncEngine):
            return target.sync_engine
    raise ConfigurationError(
        f"watch() and unwatch() take an Engine or AsyncEngine, not {target!r}: give the engine "
        "that the connection, session or factory is made from"
    )
