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
from typing import Any, NamedTuple, cast

from sqlalchemy.engine import Engine, Result
from sqlalchemy.orm import ORMExecuteState, Session

from .. import private
from ..codec import Wire
from ..errors import EncodeError
from ..keys import Place
from ..options import CacheOption
from ..query import Refusal
from ..query.plan import QueryPlan, plan_of
from ..query.unique import UniqueColumns
from ..query_entry import Found, Rules, Wanted
from ..query_path import QueryPath
from ..read_path import Permit
from ..row import Row
from ..stats import Reason
from ..store import QueryScripts, Watched
from .access import Access, Services
from .asked import asks_refresh, cache_options, objection
from .engines import EngineInfo
from .fetch import fetch
from .hydrate import hydrate_all
from .plans import Plans
from .recognise import Equality, unique_lookup
from .unit import Unit, has_committed, known_unit, unit_of

DEFAULTS = "_rediscache_query_defaults"
"""The attribute of a class of sessions that says how their queries are cached."""

_PLAN = "_rediscache_plan"
_UNASKED = CacheOption("cache")
_NAMED = b"named"
"""The set of columns, in the place of one, that the tags with names are of."""

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


class _Where(NamedTuple):
    """Where the regions of a query are.

    Args:
        watched: For each watch of its plan the place, the set of columns of its tags, and whether
            it depends on which rows there are alone.
        entities: For each entity of its result the place.
    """

    watched: Sequence[tuple[Place, bytes, bool]]
    entities: Sequence[Place]


class _Named(NamedTuple):
    """What a query is called, and what it depends on."""

    compiled: Any
    plan: QueryPlan
    digest: bytes
    tags: Sequence[Sequence[bytes]]
    """For each watch of the plan."""


class Queries:
    """Answers and keeps the queries of one cache's sessions."""

    def __init__(self, services: Services, plans: Plans) -> None:
        self._services = services
        self._plans = plans
        self._path: QueryPath = services.queries
        self.unique = UniqueColumns()
        self._wire = Wire("")

    def on_select(
        self, state: ORMExecuteState, equal: Equality | None, *, plainly: bool, keys: int = 0
    ) -> Result[Any] | None:
        """The result of a query; None to let SQLAlchemy run the statement.

        Args:
            state: The statement.
            equal: What it asks for, if by one equality.
            plainly: See `private.loads_plainly`.
            keys: How many rows it looks up by primary key, and loads more than these.
        """
        options = cache_options(state)
        if "skip" in options or state.execution_options.get("skip_cache"):
            return None
        option = self._asked(state, options, equal, plainly=plainly, keys=keys)
        if option is None:
            return self._bypassed(Reason.EAGER, "bypassed") if keys else None
        reason = objection(state, plainly=plainly)
        if reason is not None:
            return self._bypassed(reason)
        session = state.session
        engine = self._engine(session, state)
        if engine is None:
            return self._bypassed(Reason.BINDING)
        if private.dirty(session) and (plainly or private.wants_autoflush(state)):
            private.autoflush(session)
        if not private.begin(session):
            return None
        refresh = "refresh" in options or asks_refresh(state)
        named = self.named(state, engine, option, equal)
        if isinstance(named, Reason):
            return self._bypassed(named)
        if keys and option is _UNASKED and not all(named.tags):
            # Whatever is written to a table would end it: better not without being asked.
            return self._bypassed(Reason.EAGER, "bypassed")
        query = self._query(state, engine, named, option, refresh=refresh, plainly=plainly)
        return self._bypassed(query) if isinstance(query, Reason) else self._answer(query)

    def _bypassed(self, reason: Reason, counter: str = "query_bypassed") -> Result[Any] | None:
        self._services.counters.because(counter, reason)
        return None

    def _asked(
        self, state: ORMExecuteState, options: Mapping[str, CacheOption], equal: Equality | None,
        *, plainly: bool, keys: int,
    ) -> CacheOption | None:  # fmt: skip
        """How it is to be cached: as it says, or, without being asked, where its class says so."""
        option = options.get("cache")
        if option is not None:
            # What the objects of a result lead to are entries of their own.
            return option if plainly or not state.is_relationship_load else option.plain
        mapper = private.subject(state.statement)
        policy = None if mapper is None else self._services.models.policy(mapper)
        if mapper is None or policy is None:
            return None
        if not plainly and state.is_relationship_load:
            return _UNASKED if policy.collections and keys <= 1 else None
        if not plainly and state.is_column_load:
            return None
        default = policy.query_defaults or getattr(state.session, DEFAULTS, None)
        if default is None and policy.collections:
            if keys == 1:
                return _UNASKED
            statement = state.statement
            if equal is None:
                return _UNASKED if unique_lookup(statement, mapper, self.unique) else None
            return _UNASKED if self.unique.alone(equal.column) else None
        return default

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

    def plan(
        self,
        state: ORMExecuteState,
        engine: EngineInfo,
        equal: Equality | None,
        *,
        whole: bool,
    ) -> tuple[Any, QueryPlan | Refusal, Mapping[str, Any]] | None:
        """The compiled statement, its plan (or why there is none), and its parameters' values.

        With `whole` its entries hold their entities, too, see `plan_of`. Selects of a class by one
        value of a column, which unique lookups are, are known by that: SQLAlchemy's own name of a
        statement takes 45 us to make.
        """
        mapper = private.subject(state.statement)
        if mapper is None or equal is None or whole:
            return self._compiled_plan(state, engine, whole=whole)
        forms = engine.memo(mapper).forms
        form = equal.column, private.label_style(state.statement)
        version = self._services.models.version, private.property_count(mapper)
        known = forms.get(form)
        if known is None or known[0] != version:
            found = self._compiled_plan(state, engine, whole=whole)
            if found is None or len(found[2]) != 1:
                return found
            known = forms[form] = (version, found[0], found[1], *found[2])
        return known[1], known[2], {known[3]: equal.parameter.value}

    def _compiled_plan(
        self, state: ORMExecuteState, engine: EngineInfo, *, whole: bool
    ) -> tuple[Any, QueryPlan | Refusal, Mapping[str, Any]] | None:
        found = private.compile_with_values(state, engine.dialect, engine.compiled)
        if found is None:
            return None
        compiled, values = found
        kept = compiled.__dict__.get(_PLAN)
        version = self._services.models.version
        if kept is None or kept[0] is not version:
            kept = compiled.__dict__[_PLAN] = (version, {})
        plan = kept[1].get(whole)
        if plan is None:
            plan = kept[1][whole] = self._planned(state.statement, compiled, engine, whole=whole)
        return compiled, plan, values

    def _planned(
        self, statement: Any, compiled: Any, engine: EngineInfo, *, whole: bool
    ) -> QueryPlan | Refusal:
        try:
            return plan_of(
                statement,
                compiled,
                engine.dialect,
                lambda table: self._plans.source(table, engine),
                self._services.max_bytes,
                whole=whole,
            )
        except Exception as error:  # noqa: BLE001 (no read may fail for want of a plan)
            logger.warning("a statement can't be cached, which is a fault of the cache: %r", error)
            return Refusal(f"the cache failed to understand it: {error!r}", Reason.FAULT)

    def named(
        self,
        state: ORMExecuteState,
        engine: EngineInfo,
        option: CacheOption,
        equal: Equality | None,
    ) -> _Named | Reason:
        """A query's compiled form, plan, name, and tags for each watch; or why it has none."""
        found = self.plan(state, engine, equal, whole=option.stale_ttl > 0)
        if found is None:
            return Reason.NO_CACHE_KEY
        compiled, plan, values = found
        if isinstance(plan, Refusal):
            return plan.name
        try:
            values = plan.parameters.canonical(values, self._wire)
            digest = plan.digest(values, self._wire, option.name)
        except EncodeError:
            return Reason.PARAMETER
        return _Named(compiled, plan, digest, [watch.tags(values) for watch in plan.watches])

    def _query(
        self,
        state: ORMExecuteState,
        engine: EngineInfo,
        named: _Named,
        option: CacheOption,
        *,
        refresh: bool,
        plainly: bool,
    ) -> _Query | Reason:
        compiled, plan, digest, tags_of = named
        session = state.session
        unit = known_unit(session)
        where = self._where(session, unit, engine, plan)
        on = [(*at, tags) for at, tags in zip(where.watched, tags_of, strict=True)]
        if option.words:
            on.append((self._services.named_tags, _NAMED, False, option.words))
        watched, lease, wait = [], True, True
        for place, tagset, members, tags in on:
            permit = self._permit(session, unit, engine, place, refresh=refresh)
            if permit is None:
                return self._services.reason(session, unit, engine, place)
            lease, wait = lease and permit.lease, wait and permit.wait
            stamp = b"" if permit.stamp == b"?" else permit.stamp
            watched.append(Watched(*place, tagset, tags, stamp, members))
        direct = self._is_direct(state, plan, plainly=plainly)
        wanted = Wanted(digest, plan.layout, watched, where.entities, direct, plan.named)
        scripts = self._services.query_scripts(engine.is_async)
        stale = option.stale_ttl if lease and not refresh and _may_be_older(session, watched) else 0
        rules = Rules(option.ttl, lease, wait, refresh, int(stale * 1000))
        return _Query(state, engine, compiled, plan, wanted, rules, scripts)

    def _where(
        self, session: Session, unit: Unit | None, engine: EngineInfo, plan: QueryPlan
    ) -> _Where:
        """Where the regions are that a query depends on: kept with its plan, as a rule."""
        namespace = self._services.namespace(session)
        schema_map = self._services.schema_map(unit, engine)
        unscoped = namespace is None and not schema_map
        if unscoped and plan.where is not None:
            return cast(_Where, plan.where)
        found = _Where(
            [
                (
                    engine.place(watch.source.space, namespace, schema_map),
                    watch.source.tagset.name,
                    watch.members or watch.named,
                )
                for watch in plan.watches
            ],
            [engine.place(entity.region, namespace, schema_map) for entity in plan.layout.entities],
        )
        if unscoped:
            plan.where = found
        return found

    def _permit(
        self, session: Session, unit: Unit | None, engine: EngineInfo, place: Place, *,
        refresh: bool,
    ) -> Permit | None:  # fmt: skip
        if unit is not None and unit.writes.touches(place):
            return None  # its own rows are not in Redis yet
        access = Access(None, place, engine, self._services.scripts(engine.is_async))  # type: ignore[arg-type]
        return self._services.permit(session, unit, access, refresh=refresh)

    @staticmethod
    def _is_direct(state: ORMExecuteState, plan: QueryPlan, *, plainly: bool) -> bool:
        """Can objects be built from its rows without SQLAlchemy's loading?"""
        entity = plan.layout.single
        statement = state.statement
        if entity is None or not entity.region.direct:
            return False
        if not plainly and (private.in_context(state) or private.returns_tuples(state)):
            return False
        selected = private.selected(statement)
        return (
            len(selected) == 1
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
            found = cast(Sequence[Row], rows)
            options = tuple(private.options_of(state.statement))
            objects = hydrate_all(state.session, region, found, None, path, options)
            if objects is not None:
                buffered = private.prebuffers(state)
                return private.entity_result(
                    state.session, region.mapper, objects, buffered=buffered
                )
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
                self._path.keep(query.scripts, query.wanted, found, rows, query.rules, took)
        finally:
            if not kept:
                self._path.give_back(query.scripts, query.wanted, found)
        return private.replay_any(state, private.cursor_of(cursor, rows), rows)


def _may_be_older(session: Session, watched: Sequence[Watched]) -> bool:
    """May it be served what is not the latest, where the query allows it?

    Not within a snapshot, which sees one moment, and not after a commit of its own, which it would
    miss. (A transaction that has written is told by its permit, which has no lease.)
    """
    return not has_committed(session) and not any(one.stamp for one in watched)
