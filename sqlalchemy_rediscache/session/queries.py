"""Queries and collections: answered from their entries, or kept after the database answered.

A statement comes here when it is no lookup by primary key. It is cached when it says so
(`from_cache`), and without being asked when it loads a collection or looks a row up by a unique
column, for models whose policy says `collections`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Engine, Result
from sqlalchemy.orm import ORMExecuteState, Session

from .. import private
from ..codec import Wire
from ..errors import EncodeError
from ..keys import Place
from ..options import DEFAULT_QUERY_TTL, CacheOption
from ..query.plan import QueryPlan, plan_of
from ..query_path import Found, QueryPath, Rules, Wanted
from ..read_path import Permit
from ..store import QueryScripts, Watched
from .access import Access, Services
from .engines import EngineInfo
from .fetch import fetch
from .hydrate import hydrate_all
from .plans import Plans
from .recognise import unique_lookup
from .unit import Unit, known_unit, unit_of

_HARMLESS_OPTIONS = frozenset(
    {"_sa_orm_load_options", "_result_disable_adapt_to_context", "prebuffer_rows", "autoflush",
     "skip_cache", "refresh_cache", "sa_top_level_orm_context", "compiled_cache"}
)  # fmt: skip
_PLAN = "_rediscache_plan"

logger = logging.getLogger("sqlalchemy_rediscache")


@dataclass(slots=True)
class _Query:
    """A statement that may be cached: where, how, and what it is called."""

    state: ORMExecuteState
    engine: EngineInfo
    compiled: Any
    plan: QueryPlan
    wanted: Wanted
    rules: Rules
    scripts: QueryScripts


class Queries:
    """Answers and keeps the queries of one cache's sessions."""

    def __init__(self, services: Services, plans: Plans) -> None:
        self._services = services
        self._plans = plans
        self._path: QueryPath = services.queries
        self._wire = Wire("")

    def on_select(self, state: ORMExecuteState) -> Result[Any] | None:
        """The result of a query; None to let SQLAlchemy run the statement."""
        options = _options(state)
        if "skip" in options or state.execution_options.get("skip_cache"):
            return None
        if "cache" not in options and not self._unasked(state):
            return None
        if not _understood(state) or private.has_listeners_after(state):
            return None
        session = state.session
        engine = self._engine(session, state)
        if engine is None:
            return None
        if private.wants_autoflush(state) and private.dirty(session):
            private.autoflush(session)
        if not private.begin(session):
            return None
        query = self._query(state, engine, options)
        return None if query is None else self._answer(query)

    def _unasked(self, state: ORMExecuteState) -> bool:
        """Is it cached without being asked for: a collection, a lookup by a unique column?"""
        mapper = private.subject(state.statement)
        if mapper is None:
            return False
        policy = self._services.models.policy(mapper)
        if policy is None or not policy.collections:
            return False
        return bool(state.is_relationship_load) or unique_lookup(state.statement, mapper)

    def _engine(self, session: Session, state: ORMExecuteState) -> EngineInfo | None:
        """The engine that the statement is sent to; None where the cache has no say."""
        if state.bind_arguments.keys() - {"clause", "mapper"} or session.connection_callable:
            return None
        if private.own_bindings(session):
            bind: Any = session.bind
        else:
            mapper = private.subject(state.statement)
            access = mapper and self._services.reading(session, mapper, known_unit(session))
            return access.engine if access else None
        return self._services.engine(bind) if isinstance(bind, Engine) else None

    # -- what it is ---------------------------------------------------------------------------

    def plan(self, state: ORMExecuteState, engine: EngineInfo) -> tuple[Any, Any, Any] | None:
        """The compiled statement, its plan (or why there is none), and its parameters' values."""
        found = private.compile_with_values(state, engine.dialect, engine.compiled)
        if found is None:
            return None
        compiled, values = found
        kept = compiled.__dict__.get(_PLAN)
        version = self._services.models.version
        if kept is None or kept[0] is not version:
            plan = self._planned(state.statement, compiled, engine)
            kept = compiled.__dict__[_PLAN] = (version, plan)
        return compiled, kept[1], values

    def _planned(self, statement: Any, compiled: Any, engine: EngineInfo) -> QueryPlan | str:
        try:
            return plan_of(
                statement,
                compiled,
                engine.dialect,
                lambda table: self._plans.source(table, engine),
                self._services.max_bytes,
            )
        except Exception as error:  # noqa: BLE001 (no read may fail for want of a plan)
            logger.warning("a statement can't be cached, which is a fault of the cache: %r", error)
            return f"the cache failed to understand it: {error!r}"

    def _query(
        self, state: ORMExecuteState, engine: EngineInfo, options: Mapping[str, CacheOption]
    ) -> _Query | None:
        found = self.plan(state, engine)
        if found is None or not isinstance(found[1], QueryPlan):
            self._services.counters.add("query_bypassed")
            return None
        compiled, plan, values = found
        session = state.session
        unit = known_unit(session)
        namespace = self._services.namespace(session)
        schema_map = self._services.schema_map(unit, engine)
        refresh = "refresh" in options or asks_refresh(state)
        watched, lease, wait = [], True, True
        for watch in plan.watches:
            place = engine.place(watch.source.space, namespace, schema_map)
            permit = self._permit(session, unit, engine, place, refresh=refresh)
            if permit is None:
                self._services.counters.add("query_bypassed")
                return None
            lease, wait = lease and permit.lease, wait and permit.wait
            stamp = b"" if permit.stamp == b"?" else permit.stamp
            tags = watch.tags(values)
            watched.append(Watched(*place, watch.source.tagset.name, tags, stamp))
        try:
            digest = plan.digest(values, self._wire)
        except EncodeError:
            self._services.counters.add("query_bypassed")
            return None
        places = [
            engine.place(entity.region, namespace, schema_map) for entity in plan.layout.entities
        ]
        wanted = Wanted(digest, plan.layout, watched, places, self._is_direct(state, plan))
        ttl = options["cache"].ttl if "cache" in options else DEFAULT_QUERY_TTL
        scripts = self._services.query_scripts(engine.is_async)
        rules = Rules(ttl, lease, wait, refresh)
        return _Query(state, engine, compiled, plan, wanted, rules, scripts)

    def _permit(
        self, session: Session, unit: Unit | None, engine: EngineInfo, place: Place, *,
        refresh: bool,
    ) -> Permit | None:  # fmt: skip
        if unit is not None and unit.writes.touches(place):
            return None  # its own rows are not in Redis yet
        access = Access(None, place, engine, self._services.scripts(engine.is_async))  # type: ignore[arg-type]
        return self._services.permit(session, unit, access, refresh=refresh)

    @staticmethod
    def _is_direct(state: ORMExecuteState, plan: QueryPlan) -> bool:
        """Can objects be built from its rows without SQLAlchemy's loading?"""
        entity = plan.layout.single
        statement = state.statement
        if entity is None or not entity.region.direct or private.in_context(state):
            return False
        selected = private.selected(statement)
        return (
            len(selected) == 1
            and not private.returns_tuples(state)
            and private.entity_of(selected[0]) is entity.region.mapper
            and not any(not isinstance(one, CacheOption) for one in private.options_of(statement))
        )

    # -- the answer ---------------------------------------------------------------------------

    def _answer(self, query: _Query) -> Result[Any] | None:
        found = self._path.find(query.scripts, query.wanted, query.rules)
        if found.rows is not None:
            result = self._result(query, found.rows)
            if result is not None:
                return result
        return self._load(query, found) if found.asked else None

    def _result(self, query: _Query, rows: Sequence[Sequence[Any]]) -> Result[Any] | None:
        state = query.state
        if query.wanted.direct:
            region = query.plan.layout.entities[0].region
            path = private.path_of(region.mapper)
            objects = hydrate_all(state.session, region, rows, None, path)
            if objects is not None:
                return private.entity_result(state.session, region.mapper, objects)
            rows = query.plan.layout.raw(rows)
        _, getter, tuple_getter = private.getters(query.compiled)
        cursor = private.replayed(rows, query.compiled, getter, tuple_getter)
        return private.replay_any(state, cursor, rows)

    def _load(self, query: _Query, found: Found) -> Result[Any]:
        state = query.state
        kept = False
        try:
            began = time.monotonic()
            cursor, rows = fetch(state)
            took = time.monotonic() - began
            if not unit_of(state.session).closed:
                kept = True
                self._path.keep(query.scripts, query.wanted, found, rows, query.rules.ttl, took)
        finally:
            if not kept:
                self._path.give_back(query.scripts, query.wanted, found)
        return private.replay_any(state, private.cursor_of(cursor, rows), rows)


def asks_refresh(state: ORMExecuteState) -> bool:
    """Does an execution option, of the statement or set by a listener, ask for a refresh?"""
    given = private.listeners_options(state)
    return bool(
        state.execution_options.get("refresh_cache") or (given and given.get("refresh_cache"))
    )


def _options(state: ORMExecuteState) -> Mapping[str, CacheOption]:
    """What the statement asks of the cache, by mode; of several of one mode the last."""
    given = private.options_given(state.statement)
    return {option.mode: option for option in given if isinstance(option, CacheOption)}


def _understood(state: ORMExecuteState) -> bool:
    """Is nothing asked for by execution options that could change what the statement returns?"""
    if private.is_user_refresh(state) or private.populates_existing(state):
        return False
    if private.checks_version(state) or private.identity_token(state) is not None:
        return False
    return not state.execution_options.keys() - _HARMLESS_OPTIONS
