"""`Access`: from a session and a mapped class to the region, its place and the way to Redis."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.util import LRUCache

from .. import private
from ..debts import Debts
from ..keys import Keys, Place
from ..models import Models
from ..query_memory import QueryMemory
from ..query_path import QueryPath
from ..read_path import Permit, ReadPath
from ..region import Region
from ..stamps import Stamps
from ..stats import Counters, Reason
from ..store import QueryScripts, Scripts, Store, StoreSettings
from ..write_path import WritePath
from .engines import EngineInfo, Pool, database_name
from .unit import Unit
from .view import View


class Access(NamedTuple):
    """Where one class's rows are for one session."""

    region: Region
    place: Place
    engine: EngineInfo
    scripts: Scripts


class Services:
    """The parts of one cache that its sessions work with.

    Args:
        models: Which classes are cached.
        keys: Builds places.
        store: The Redis server.
        counters: Where everything is counted.
        namespace: The tenant of a session, from the session; None for no tenants.
        bypassing: Is the running code inside of ``cache.bypass()``?
        strict: No commit goes on without its lock.
        settings: Waits and sizes.
    """

    def __init__(
        self,
        *,
        models: Models,
        keys: Keys,
        store: Store,
        counters: Counters,
        namespace: Callable[[Session], object] | None,
        bypassing: Callable[[], bool],
        strict: bool,
        settings: StoreSettings,
    ) -> None:
        self.models = models
        self.keys = keys
        self.store = store
        self.counters = counters
        self.bypassing = bypassing
        self.max_bytes = settings.max_bytes
        self.stamps = Stamps()
        self.debts = Debts(counters)
        self.reads = ReadPath(counters, self.debts, self.stamps, settings.lease_wait)
        self.queries = QueryPath(
            counters,
            self.debts,
            self.stamps,
            settings.lease_wait,
            settings.max_bytes,
            QueryMemory(LRUCache(500), LRUCache(32)),
        )
        self.writes = WritePath(counters, self.debts, strict=strict)
        self.met: Callable[[Engine], None] = lambda engine: None
        """Called with each engine when it is first met."""
        self.named_tags = keys.named_tags()
        """Where the tags are that the application names."""
        self._namespace = namespace
        self._engines: weakref.WeakKeyDictionary[Engine, EngineInfo] = weakref.WeakKeyDictionary()
        self._in_memory: weakref.WeakKeyDictionary[Dialect, str] = weakref.WeakKeyDictionary()
        self._pools: weakref.WeakKeyDictionary[Dialect, Pool] = weakref.WeakKeyDictionary()
        self._last: Callable[[], EngineInfo | None] = lambda: None

    def engine(self, engine: Engine) -> EngineInfo:
        """What is known of an engine."""
        last = self._last()  # as a rule it is the one that was asked for before: 0.1 us, not 0.5
        if last is not None and last.is_of(engine):
            return last
        info = self._known(engine)
        self._last = weakref.ref(info)
        return info

    def _known(self, engine: Engine) -> EngineInfo:
        try:
            return self._engines[engine]
        except KeyError:
            database = database_name(engine, self._in_memory)
            pool = self._pools.setdefault(engine.dialect, Pool())
            info = self._engines[engine] = EngineInfo(
                engine, self.keys, self.models, self.max_bytes, database, pool
            )
            self.met(engine)
            return info

    def engines(self) -> list[tuple[Engine, EngineInfo]]:
        """Every engine that a session of this cache has used."""
        return list(self._engines.items())

    def held(
        self, engine: Engine, guards: Container[bytes]
    ) -> Iterator[tuple[Region, Place, dict[Any, Any] | None]]:
        """Where rows of an engine's database may be, as far as this process has used it.

        Other engines of this process that reach the same database count too: one that uses another
        driver has fields of its own.

        Args:
            engine: The engine.
            guards: Those that are in Redis. Where there is no guard there are no rows that could
                be read, and the class is not compiled to find that out.

        Returns:
            Each region with each of its places, and the schema map of that place.
        """
        own = self.engine(engine)
        infos = [own]
        infos += [info for _, info in self.engines() if info is not own]
        infos = [info for info in infos if info.database == own.database]
        scopes = {scope for info in infos for scope in info.scopes()}
        scopes.add((None, tuple((own.schema_map or {}).items()) or None))
        for info in infos:
            for mapper in self.models.cached():
                space = info.names(mapper)
                for namespace, frozen in scopes if space is not None else ():
                    schema_map = dict(frozen) if frozen else None
                    place = info.place(space, namespace, schema_map)
                    region = info.region(mapper) if place.guard in guards else None
                    if region is not None:
                        yield region, place, schema_map

    def written_places(
        self,
        engine: EngineInfo,
        region: Any,
        session: Session | None,
        schema_map: Any,
        *,
        by_text: bool,
    ) -> Iterator[Place]:
        """Where a region's keys are that a statement may concern.

        Args:
            engine: Where it is sent.
            region: The region.
            session: Who sends it; without one it may be for any tenant.
            schema_map: Of its connection.
            by_text: Its tables were told from text, to which no schema map applies.
        """
        tenant = self.namespace(session)
        own = engine.place(region, tenant, schema_map)
        yield own
        any_tenant = session is None and self.namespaced
        if not (any_tenant or by_text):
            return
        frozen = next(scope[1] for one, scope in engine.scoped_places_of(region) if one == own)
        for _, info in self.engines():
            if info.database != engine.database:
                continue
            for place, scope in info.scoped_places_of(region):
                if (any_tenant or scope[0] == tenant) and (by_text or scope[1] == frozen):
                    yield place

    def scripts(self, is_async: bool) -> Scripts:
        """The way to Redis for sessions of one kind."""
        return self.store.asyncio if is_async else self.store.blocking

    def query_scripts(self, is_async: bool) -> QueryScripts:
        """The way to Redis for queries of sessions of one kind."""
        return self.store.asyncio_queries if is_async else self.store.blocking_queries

    @property
    def namespaced(self) -> bool:
        """Does the cache keep tenants apart?"""
        return self._namespace is not None

    def namespace(self, session: Session | None) -> object:
        """The tenant whose keys a session uses."""
        if self._namespace is None or session is None:
            return None
        return self._namespace(session)

    def reading(self, session: Session, mapper: Mapper[Any], unit: Unit | None) -> Access | None:
        """Where to read a class's rows; None where the cache has no say.

        That is: the class is not cached; the session runs in somebody else's transaction, whose
        uncommitted rows would be mixed with ours; reads and writes of the class go to different
        engines, so that nobody would tell this one's entries of a write.
        """
        if private.own_bindings(session):
            bind: Any = session.bind
        else:
            bind = self._routed(session, mapper)
        if not isinstance(bind, Engine):
            return None
        engine = self.engine(bind)
        region = engine.region(mapper)
        if region is None:
            return None
        plain = self._namespace is None and (unit is None or not unit.connections)
        memo = engine.memo(mapper)
        if plain and memo.place is not None and memo.place[0] is region:
            return Access(region, memo.place[1], engine, self.scripts(engine.is_async))
        schema_map = self.schema_map(unit, engine)
        place = engine.place(region, self.namespace(session), schema_map)
        if plain:
            memo.place = region, place
        return Access(region, place, engine, self.scripts(engine.is_async))

    def view(self, unit: Unit) -> View:
        """What a transaction that has begun sees: of several connections the strictest."""
        if unit.view is None:
            views = [self.engine(one.engine).view_in(one) for one in unit.connections]
            strictest = (View.CLOSED, View.SNAPSHOT, View.LATEST)
            unit.view = next(view for view in strictest if view in views)
            options = unit.connections[0].get_execution_options()
            unit.schema_map = options.get("schema_translate_map")
        return unit.view

    def schema_map(self, unit: Unit | None, engine: EngineInfo) -> Any:
        """The schema map under which a transaction's tables are meant."""
        if unit is None or not unit.connections:
            return engine.schema_map
        self.view(unit)
        return unit.schema_map

    @staticmethod
    def _routed(session: Session, mapper: Mapper[Any]) -> Engine | Connection | None:
        if session.connection_callable is not None:
            return None  # a sharded session: which database a row is in, its own choosers tell
        try:
            if type(session).get_bind is Session.get_bind:
                return session.get_bind(mapper)
            table: Any = mapper.local_table
            bind = session.get_bind(mapper=mapper, clause=select(table))
            written = private.bind_of_writes(session, mapper)
        except Exception:  # noqa: BLE001 (an application's own: it may want what we don't have)
            return None
        return bind if written is bind else None

    def permit(
        self, session: Session, unit: Unit | None, access: Access, *, refresh: bool = False
    ) -> Permit | None:
        """What a session may do with a region now; None to keep out."""
        if access.engine.shares_connections and access.engine.beside(unit):
            return None  # it would see what those have not committed
        wrote = unit is not None and unit.wrote
        if unit is not None and unit.wrote and unit.flushing:
            return None  # which rows the flush has written is noted when it is done
        wait = not (wrote or refresh)
        if unit is None or not unit.connections:
            view = access.engine.view()
            if view is View.CLOSED or (unit is not None and unit.closed):
                return None
            if private.has_connections(session):
                return None  # begun before the cache was enabled: what it did is unknown
            stamp = b""
            if view is View.SNAPSHOT and self.stamps.last(access.place.guard) is None:
                # A stamp is worth the longer answer only until this process knows one: one that
                # has changed since is found out when a snapshot is to be answered.
                stamp = b"?"
            return Permit(not wrote, wait, stamp, refresh)
        view = self.view(unit)
        if unit.closed or view is View.CLOSED or access.place in unit.writes.regions:
            return None
        if view is View.LATEST:
            return Permit(lease=not wrote, wait=wait, refresh=refresh)
        known = self.stamps.before(access.place.guard, unit.began)
        if known is None:
            return None
        return Permit(lease=not wrote, wait=wait, stamp=known, refresh=refresh)

    def reason(
        self, session: Session, unit: Unit | None, engine: EngineInfo, place: Place
    ) -> Reason:
        """Why a session may not use a region now, when `permit` gave none, or its own rows."""
        if engine.shares_connections and engine.beside(unit):
            return Reason.BINDING
        if unit is not None and (unit.writes.touches(place) or (unit.wrote and unit.flushing)):
            return Reason.OWN_WRITES
        if unit is None or not unit.connections:
            return Reason.BINDING if private.has_connections(session) else Reason.ISOLATION
        if unit.closed or self.view(unit) is View.CLOSED:
            return Reason.ISOLATION
        return Reason.SNAPSHOT
