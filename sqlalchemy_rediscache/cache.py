"""`RedisCache`: the one object that everything hangs on."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Mapper, Session

from . import private
from .errors import ConfigurationError
from .keys import Keys
from .models import Models, mapper_of, on_mapped
from .options import CacheOption
from .policy import CachePolicy
from .region import key_columns, root_table
from .session import Binding
from .session.access import Services
from .session.binding import SessionHooks, engine_of
from .session.explain import Explanation, explain
from .session.invalidations import Invalidations
from .stats import Counters, Stats
from .store import Store, StoreSettings

Consistency = Literal["available", "strict"]

_START_TIMEOUT = 2.0
"""Seconds that the check at start may take: a first connection may need a name and TLS."""


class RedisCache:
    """A second-level cache for the SQLAlchemy ORM in one Redis (or Valkey) database.

    Args:
        server: A URL (``redis://``, ``rediss://``, ``unix://``, or ``embedded://`` for a server of
            this process's own), or a client of redis-py, blocking or asyncio. A URL serves both
            kinds of sessions, a client only its own.
        prefix: What every key starts with; caches with different prefixes share nothing.
        namespace: Called with a session, gives its tenant: two tenants never share an entry.
        policy: The policy of models that declare none.
        consistency: What a commit does when Redis does not answer. ``"available"`` (default): go
            on, invalidate later, and serve nothing in this process until then. ``"strict"``: raise
            `CacheUnavailable`, so that the database rolls back.
        lock_ttl: Seconds after which the lock of a writer that died is void: longer than any COMMIT
            takes. Default 30.
        lease_ttl: Seconds that a reader has to load a row it was given a lease for. Default 3.
        lease_wait: Seconds that other readers wait for it before they load the row themselves.
            Default 3.
        connect_timeout: Seconds to connect to Redis. Default 0.05.
        read_timeout: Seconds to wait for an answer of Redis. Default 0.05.
        max_entry_bytes: Larger entries are neither stored nor served. Default 1 MiB.
        check_server: Connect once now, to fail early when Redis can't be used. Default True; pass
            False for an application that must start without Redis.

    Raises:
        ConfigurationError: An argument is wrong.
        CacheUnavailable: No server answers (only with `check_server`).
        ServerRefused: The server refuses our login or is older than Redis 6.2.
    """

    def __init__(  # noqa: PLR0913 (all but one by name, with defaults)
        self,
        server: Any,
        *,
        prefix: str = "cache",
        namespace: Callable[[Session], object] | None = None,
        policy: CachePolicy | None = None,
        consistency: Consistency = "available",
        lock_ttl: float = 30.0,
        lease_ttl: float = 3.0,
        lease_wait: float = 3.0,
        connect_timeout: float = 0.05,
        read_timeout: float = 0.05,
        max_entry_bytes: int = 1 << 20,
        check_server: bool = True,
    ) -> None:
        _validate_names(prefix, consistency)
        times = connect_timeout, read_timeout, lock_ttl, lease_ttl, lease_wait
        settings = StoreSettings(*times, max_entry_bytes)
        self.prefix = prefix
        self._counters = Counters()
        self._models = Models(policy or CachePolicy())
        self._keys = Keys(prefix)
        count_call = functools.partial(self._counters.add, "round_trips")
        self._store = Store(server, settings, private.await_, count_call)
        if check_server:
            self._store.check(max(_START_TIMEOUT, connect_timeout))
        self._bypassed: contextvars.ContextVar[bool] = contextvars.ContextVar(
            "rediscache_bypass", default=False
        )
        self._services = Services(
            models=self._models,
            keys=self._keys,
            store=self._store,
            counters=self._counters,
            namespace=namespace,
            bypassing=self._bypassed.get,
            strict=consistency == "strict",
            settings=settings,
        )
        self._debts = self._services.debts
        self._hooks = SessionHooks(self._services)
        self._invalidations = Invalidations(self._services)
        self._bindings: dict[int, Binding] = {}
        self._closed = False
        self._mapped = on_mapped(self._models)
        if hasattr(os, "register_at_fork"):  # not on Windows, which can't fork
            os.register_at_fork(after_in_child=_after_fork(self))

    # -- configuration ------------------------------------------------------------------------

    def enable(self, target: Any, *, query_defaults: CacheOption | None = None) -> Any:
        """Have the sessions of a factory served by this cache.

        Args:
            target: A ``sessionmaker``, ``scoped_session``, ``async_sessionmaker``, or a class of
                sessions. Sessions of a factory are served fastest; a plain class is served by
                events alone.
            query_defaults: What ``from_cache(...)`` gives: every select of these sessions whose
                first entity is a cached model is cached like that, as if it had the option. The
                policy of the model goes before. Default None: only those that ask.

        Returns:
            `target`, so that ``Session = cache.enable(sessionmaker(engine))`` reads well.

        Raises:
            AlreadyEnabled: Another cache serves the target.
            ConfigurationError: The target is something else, or a cached model can't be cached; the
                target is enabled already, without or with other `query_defaults`.
        """
        self._check_models()
        binding = Binding(self._hooks, target, query_defaults)
        if binding.attached:
            self._bindings[id(target)] = binding
        return target

    def disable(self, target: Any) -> None:
        """Undo `enable`; does nothing for a target that is not enabled by this cache."""
        binding = self._bindings.pop(id(target), None)
        if binding is not None:
            binding.detach()

    def watch(self, engine: Any) -> None:
        """See what is written on an engine by others than sessions of enabled factories.

        That is: Core, text and DDL on its connections, sessions that are not enabled. Engines of
        enabled factories are watched as it is. Engines derived by ``execution_options()`` are
        watched together with the one that they come from, whichever of them is given.

        The models that are written must be imported: what is not mapped yet can be invalidated
        only by the table's name.

        Args:
            engine: An ``Engine`` or ``AsyncEngine``. Once is enough.

        Raises:
            ConfigurationError: It is something else, or Redis was given as a client of the other
                kind (blocking for an asyncio engine).
        """
        found = engine_of(engine)
        self._store.require("async" if found.dialect.is_async else "sync")
        self._services.engine(found)
        self._hooks.engine_events.hearing.hear(found)

    def unwatch(self, engine: Any) -> None:
        """Undo `watch`; does nothing for an engine that is not watched.

        What an engine of an enabled factory writes is seen all the same, and so is what is written
        in a transaction that has written before.

        Args:
            engine: An ``Engine`` or ``AsyncEngine``.

        Raises:
            ConfigurationError: It is something else.
        """
        self._hooks.engine_events.hearing.forget(engine_of(engine))

    def register(self, model: type, policy: CachePolicy | None = None) -> None:
        """Have a model cached that can't take the mixin, and its subclasses.

        Args:
            model: A mapped class, or one that is mapped later.
            policy: How; default the cache's own policy.

        Raises:
            UncacheableModel: Its rows can't be cached; the message says why.
        """
        self._models.register(model, policy or self._models.default_policy())
        mapper = mapper_of(model)
        if mapper is not None:
            _check_model(mapper)

    def _check_models(self) -> None:
        for mapper in self._models.cached():
            _check_model(mapper)

    # -- use ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def bypass(self) -> Iterator[None]:
        """Within this block (of this thread or task) reads go to the database and fill nothing.

        Writes invalidate as ever.
        """
        token = self._bypassed.set(True)
        try:
            yield
        finally:
            self._bypassed.reset(token)

    def invalidate(self, model: type, identity: Any = None) -> None:
        """Take a row, or all rows of a model, out of the cache, for every process.

        For changes that the cache could not see. From an asyncio application, use `ainvalidate`.

        Args:
            model: The mapped class.
            identity: The primary key (a tuple or dict if composite); None for all rows.

        Raises:
            CacheUnavailable: Redis did not answer. The invalidation is remembered, and this process
                serves nothing from the cache before it is made good.
            ConfigurationError: The model is not cached, or the key is not of its type.
        """
        self._invalidations.of_model(model, identity, is_async=False)

    async def ainvalidate(self, model: type, identity: Any = None) -> None:
        """`invalidate`, for asyncio."""
        await private.spawn(self._invalidations.of_model, model, identity, is_async=True)

    def invalidate_tags(self, *names: str) -> None:
        """End every cached query that was given one of these names, for every process.

        The names are those of ``from_cache(tags=...)``. A name means the same for all databases and
        tenants of this cache's prefix. From an asyncio application, use `ainvalidate_tags`.

        Args:
            names: The names.

        Raises:
            CacheUnavailable: Redis did not answer. It is remembered as for `invalidate`.
            ConfigurationError: No name was given, or something else than a name.
        """
        self._invalidations.of_tags(names, is_async=False)

    async def ainvalidate_tags(self, *names: str) -> None:
        """`invalidate_tags`, for asyncio."""
        await private.spawn(self._invalidations.of_tags, names, is_async=True)

    def clear(self) -> None:
        """Take everything out of the cache, for every process.

        Every region is given a new generation, and the keys under this cache's prefix are deleted.
        Other prefixes of the same Redis are left alone.

        Raises:
            CacheUnavailable: Redis did not answer.
        """
        self._invalidations.of_everything(is_async=False)

    async def aclear(self) -> None:
        """`clear`, for asyncio."""
        await private.spawn(self._invalidations.of_everything, is_async=True)

    def explain(self, statement: Any, *, engine: Engine | None = None) -> Explanation:
        """What the cache makes of a statement: its key, what it depends on, or why none is kept.

        Args:
            statement: An ORM statement, with the options that it is executed with.
            engine: The engine that it would be sent to. Default: the only one that this cache has
                met.

        Returns:
            An object to look at, or to print.

        Raises:
            ConfigurationError: It is not clear which engine is meant.
        """
        return explain(self._services, self._hooks.queries, statement, engine)

    def stats(self) -> Stats:
        """What this cache object did so far; no round trip."""
        self._store.settle()
        return self._counters.read()

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Disable all factories, close connections, stop an embedded server."""
        if self._closed:
            return
        self._closed = True
        for binding in self._bindings.values():
            binding.detach()
        self._bindings.clear()
        self._hooks.engine_events.close()
        self._mapped()
        self._store.close()

    async def aclose(self) -> None:
        """`close`, with the connections of the running event loop closed properly."""
        await self._store.aclose()
        self.close()

    def __enter__(self) -> RedisCache:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _validate_names(prefix: str, consistency: str) -> None:
    if not prefix or any(char in prefix for char in "{}*?[]\\") or not prefix.isprintable():
        raise ConfigurationError(
            f"prefix={prefix!r}: give a name without braces, wildcards and control characters"
        )
    if consistency not in ("available", "strict"):
        raise ConfigurationError(f'consistency={consistency!r}: give "available" or "strict"')


def _check_model(mapper: Mapper[Any]) -> None:
    """What can be told without a dialect.

    Raises:
        UncacheableModel: The model has no key, or is not mapped to a table.
    """
    root_table(mapper)
    key_columns(mapper)


def _after_fork(cache: RedisCache) -> Callable[[], None]:
    known = weakref.ref(cache)

    def in_child() -> None:
        alive = known()
        if alive is not None:
            alive._counters.reset_lock()
            alive._store.after_fork()

    return in_child
