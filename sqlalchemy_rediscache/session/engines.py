"""What the cache knows of an engine: which database it speaks to, and what its transactions see."""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from sqlalchemy import Table
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.orm import Mapper
from sqlalchemy.pool import SingletonThreadPool, StaticPool
from sqlalchemy.util import LRUCache

from .. import private
from ..errors import UncacheableModel
from ..keys import Keys, Place, scope_digest
from ..models import Models, forget
from ..region import KeySpace, Region
from .expired import install
from .unit import Unit
from .view import View, view_of

_CLOSED = "_rediscache_closed"
"""On a connection of the driver's: what its transactions see, text has changed."""


class ClassMemo:
    """What one engine's sessions have worked out about one class."""

    __slots__ = ("forms", "load", "place", "plan", "region")

    def __init__(self) -> None:
        self.forms: dict[Any, Any] = {}
        """For columns, what a SELECT by one value of them is compiled to (see `queries`)."""
        self.load: Any = None
        """How SQLAlchemy loads one row of it, once that is known (see `loads`)."""
        self.region: tuple[object, Region | None, int] | None = None
        """For which state of the models, the region, for how many attributes."""
        self.place: tuple[Region, Place] | None = None
        """Where its rows are when nothing tells scopes apart. Nothing here may lead to the engine:
        the class, which lives on, would keep it."""
        self.plan: tuple[object, Any, int] | None = None
        """For which state of the models, the write plan, for how many attributes."""


class Rules(NamedTuple):
    """What a database does with a table's rows on their way in (see `triggers`)."""

    as_sent: bool
    """It stores them as they are sent."""
    replaces: bool = False
    """It deletes others that are in their way."""


class Pool:
    """What all engines of one dialect have in common: they use the same connections."""

    def __init__(self) -> None:
        self.units: weakref.WeakSet[Unit] = weakref.WeakSet()
        """The open transactions, where connections are shared."""
        self.closed = False
        """Of some connections it is not known what their transactions see."""


class EngineInfo:
    """One engine, as one cache sees it.

    Args:
        engine: The engine (of an asyncio engine, its synchronous one).
        keys: Builds the places of regions.
        models: Which classes are cached.
        max_bytes: The largest entry.
        database: What tells its database from others, see `database_name`.
        pool: What it shares with all engines of its dialect, and so of its pool.
    """

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        models: Models,
        max_bytes: int,
        database: str,
        pool: Pool,
    ) -> None:
        self._engine = weakref.ref(engine)
        self._keys = keys
        self._models = models
        self._max_bytes = max_bytes
        self.dialect = engine.dialect
        self.is_async = bool(engine.dialect.is_async)
        self.database = database
        self.compiled: LRUCache[Any, Any] = LRUCache(500)
        """Compiled for replay only, never sent: the dialect may not have connected yet."""
        self.triggers: dict[tuple[str | None, str], tuple[float, Rules]] = {}
        """For each table when its triggers were last asked for, and what was found."""
        self.without_default: dict[tuple[str | None, str], tuple[float, frozenset[str]]] = {}
        """For each table when it was last asked for, the columns that have no default."""
        self.relations: dict[tuple[str | None, str], tuple[float, bool, bool]] = {}
        """For each name when the catalog was asked what it is, and the answer (see `relations`)."""
        self.reached: weakref.WeakKeyDictionary[Table, dict[Any, Any]] = weakref.WeakKeyDictionary()
        """For each table the regions that writes of each kind reach (see `reach`)."""
        self.reached_by_name: LRUCache[Any, Any] = LRUCache(500)
        """The same for each name in text."""
        self.associations: weakref.WeakKeyDictionary[Table, tuple[object, Any]] = (
            weakref.WeakKeyDictionary()
        )
        """For each table whether cached classes are related through it (see `plans`)."""
        self._token = object()
        self._mappers: weakref.WeakSet[Mapper[Any]] = weakref.WeakSet()
        weakref.finalize(self, forget, self._token, self._mappers).atexit = False
        self._places: dict[tuple[str, Any, Any], Place] = {}
        self.shares_connections = isinstance(engine.pool, StaticPool | SingletonThreadPool)
        """Several sessions may speak on one connection, in one transaction of the database."""
        self._pool = pool
        self._units = pool.units
        options = engine.get_execution_options()
        self.schema_map = options.get("schema_translate_map")
        self._level = options.get("isolation_level")
        self._view: View | None = None

    def join(self, unit: Unit) -> None:
        """A transaction begins on a connection that others may use, see `shares_connections`."""
        if len(self._units) > 0 and unit not in self._units:
            unit.mixed = True
            for other in self._units:
                other.mixed = True
        self._units.add(unit)

    def leave(self, unit: Unit) -> None:
        """It is over."""
        self._units.discard(unit)

    def beside(self, unit: Unit | None) -> list[Unit]:
        """The other open transactions that wrote, on a connection that may be the same."""
        if not self._units:
            return []
        # Of a transaction that no session has the end is told late: its COMMIT is over by now.
        return [
            other
            for other in self._units
            if other is not unit and other.wrote and (other.session or not other.committing)
        ]

    def view(self) -> View:
        """What a transaction of this engine will see, as far as is known before it begins."""
        if self._view is not None:
            return self._view
        level = self._level or private.default_isolation(self.dialect)
        view = view_of(self.dialect, level)
        if level is not None:  # known for good: the dialect has connected, or was told
            self._view = view
        return view

    def view_in(self, connection: Connection) -> View:
        """What the transaction of a connection sees."""
        if self._pool.closed and _CLOSED in connection.info:
            return View.CLOSED
        level = connection.get_execution_options().get("isolation_level") or self._level
        return view_of(self.dialect, level or private.default_isolation(self.dialect))

    def close_view(self, connection: Connection, unit: Unit | None, *, lasts: bool) -> None:
        """Text has changed what a transaction sees.

        Args:
            connection: Its connection.
            unit: The transaction, if it is known.
            lasts: Later transactions that use this connection of the driver's are concerned, too.
        """
        if unit is not None:
            unit.closed = True
        if lasts:
            self._pool.closed = True
            connection.info[_CLOSED] = True

    def region(self, mapper: Mapper[Any]) -> Region | None:
        """The region of a mapped class, None where it is not cached.

        Kept with the class itself, so that a class that is no longer used takes its region along.
        """
        memo = self.memo(mapper)
        known, count = memo.region, private.property_count(mapper)
        if known is not None and known[0] is self._models.version and known[2] == count:
            return known[1]
        region: Region | None = None
        policy = self._models.policy(mapper)
        if policy is not None and not mapper.always_refresh:
            try:
                region = Region(mapper, policy, self.dialect, self._max_bytes)
            except UncacheableModel as error:
                self._models.refuse(mapper, error)
            else:
                install(mapper)
                self._models.announce(mapper, region.left_out)
        memo.region = (self._models.version, region, count)
        return region

    def is_of(self, engine: Engine) -> bool:
        """Is this what is known of that engine, which is alive?"""
        return self._engine() is engine

    def memo(self, mapper: Mapper[Any]) -> ClassMemo:
        """What is remembered of a class for this engine: kept by the class, gone with either."""
        info = mapper.class_manager.info
        found: ClassMemo | None = info.get(self._token)
        if found is None:
            found = info[self._token] = ClassMemo()
            self._mappers.add(mapper)
        return found

    def key_space(self, mapper: Mapper[Any]) -> KeySpace | Region | None:
        """What to empty when rows of a class were written, None where it is not cached.

        Never configures a mapper: SQLAlchemy does when the class is first used, and fails for good
        where that is too early.
        """
        return self.region(mapper) if mapper.configured else self.names(mapper)

    def names(self, mapper: Mapper[Any]) -> KeySpace | None:
        """What the keys of a class's rows are called, None where it is not cached."""
        policy = self._models.policy(mapper)
        try:
            return None if policy is None else KeySpace(mapper, policy)
        except UncacheableModel:
            return None

    def place(self, region: Any, namespace: object, schema_map: Any) -> Place:
        """Where a region keeps its keys for a tenant and a schema map.

        Shards need no part of it: each is a database of its own.
        """
        frozen = _frozen(schema_map) if schema_map else None
        key = (region.name, namespace, frozen)
        try:
            return self._places[key]
        except KeyError:
            scope = scope_digest((self.database, namespace, frozen))
            place = self._places[key] = self._keys.place(region.name, scope)
            return place

    def catalog_changed(self) -> None:
        """Forget what the catalog said: DDL was sent."""
        self.triggers.clear()
        self.without_default.clear()
        self.relations.clear()

    def scopes(self) -> set[tuple[Any, Any]]:
        """The tenant and frozen schema map of every place that this process has used."""
        return {key[1:] for key in self._places}

    def places_of(self, region: Any) -> list[Place]:
        """The places of a region in every scope that this process has used."""
        return [place for place, _ in self.scoped_places_of(region)]

    def scoped_places_of(self, region: Any) -> list[tuple[Place, tuple[Any, Any]]]:
        """The same, each with its scope: the tenant and the frozen schema map."""
        known = list(self._places.items())  # other threads may add some
        return [(place, key[1:]) for key, place in known if key[0] == region.name]


def _frozen(schema_map: Mapping[Any, Any]) -> tuple[tuple[Any, Any], ...]:
    # SQLAlchemy puts a second name for the key None in the map that it is given, when it first
    # renders a statement with it: the same map before and after that is one scope.
    return tuple(sorted((item for item in schema_map.items() if item[0] != "_none"), key=repr))


def database_name(engine: Engine, in_memory: MutableMapping[Dialect, str]) -> str:
    """What tells this engine's database from every other, the same in every process.

    Not the user and not the driver: they see the same rows. A database in memory belongs to its
    engine alone, and to those derived from it, which share its dialect: `in_memory` has the names
    that were given. ``execution_options={"cache_database": name}`` on the engine says it
    explicitly, for one database that is reached under several addresses.
    """
    given = engine.get_execution_options().get("cache_database")
    if given is not None:
        return f"named:{given}"
    url = engine.url
    backend = url.get_backend_name()
    if backend == "sqlite":
        name = url.database or ""
        mode = str(url.query.get("mode", ""))
        if name in ("", ":memory:") or "memory" in mode or "mode=memory" in name:
            return in_memory.setdefault(engine.dialect, f"sqlite:memory:{secrets.token_hex(8)}")
        return f"sqlite:{name if name.startswith('file:') else os.path.realpath(name)}"
    return f"{backend}:{_host(url)}/{url.database or ''}"


def _host(url: URL) -> str:
    ports = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
    query = url.query
    host = url.host or query.get("host") or query.get("unix_socket") or ""
    port = url.port or query.get("port") or ports.get(url.get_backend_name(), "")
    return f"{host}:{port}"
