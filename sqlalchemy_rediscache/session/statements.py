"""Statements that look rows up by primary key, answered from the cache or filled from their rows.

Every SELECT of a session passes here (``do_orm_execute``). One that is recognised as a key lookup
is answered in one of two ways: objects are built directly, when the statement asks for plain
entities of a class that loads nothing else with them; otherwise the cached rows are replayed
through SQLAlchemy's own loading, which applies options, fires events and loads eager relationships
exactly as it does for rows of a cursor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, cast

from sqlalchemy.engine import Result
from sqlalchemy.orm import Mapper, ORMExecuteState, Session

from .. import private
from ..group import Group
from ..options import CacheOption, Mode
from ..read_path import Batch, Permit
from ..row import Row
from ..store import Lease
from .access import Access, Services
from .asked import HARMLESS_OPTIONS, asks_refresh
from .fetch import fetch
from .hydrate import hydrate_all
from .loads import Loads
from .queries import Queries
from .recognise import Equality, key_lookup, only_equality
from .unit import Unit, known_unit, unit_of

_HARMLESS_OPTIONS = HARMLESS_OPTIONS - {"compiled_cache"} | {"populate_existing"}

_identity = attrgetter("identity")


_OWN_OPTIONS = frozenset({"skip_cache", "refresh_cache"})


@dataclass(slots=True)
class KeyLookup:
    """A SELECT that was recognised: which rows, where they are, what may be done."""

    state: ORMExecuteState
    access: Access
    mapper: Mapper[Any]
    tokens: list[bytes]
    only_key: dict[Any, Any]
    """The key's values by column, where just one row is asked for; else empty."""
    mode: Mode | None
    shard: Any
    more: bool = False
    """It loads more than the cached row: by an eager join, as a rule."""


class _Plan(NamedTuple):
    """How cached rows would become a statement's result."""

    group: Group
    result: Callable[[list[Row]], Result[Any] | None]
    """Of the rows' values."""


class Statements:
    """Answers and fills from the SELECTs of one cache's sessions.

    Args:
        services: The parts of the cache.
        queries: Answers what is no key lookup.
        loads: Wants to know how SQLAlchemy loads single rows.
    """

    def __init__(self, services: Services, queries: Queries, loads: Loads) -> None:
        self._services = services
        self._queries = queries
        self._loads = loads

    def on_select(self, state: ORMExecuteState) -> Result[Any] | None:
        """The result of a key lookup; None to let SQLAlchemy run the statement."""
        try:
            return self._on_select(state)
        finally:
            self._give_back(state.session)

    def _give_back(self, session: Session) -> None:
        """Return what the lookup before this statement was lent, and the statement did not use."""
        unit = known_unit(session)
        if unit is not None and unit.leases:
            left = [lease for lease in unit.leases.values() if lease is not None]
            unit.leases.clear()
            self._services.reads.give_back(self._services.scripts(unit.is_async), left)

    def _on_select(self, state: ORMExecuteState) -> Result[Any] | None:
        given = private.listeners_options(state)
        if given and (given.keys() - _OWN_OPTIONS or given.get("skip_cache")):
            return None  # a listener tells how to load, or from where (a schema map, say)
        mapper = private.subject(state.statement)
        plainly = private.loads_plainly(state)
        equal = only_equality(state, mapper) if plainly and mapper is not None else None
        if mapper is None or (equal is not None and equal.column not in mapper.primary_key):
            return self._queries.on_select(state, equal, plainly=plainly)
        lookup = self._key_lookup(state, mapper, equal)
        result = None if lookup is None else self._answer(lookup)
        if lookup is None or (result is None and lookup.mode == "cache"):
            return self._queries.on_select(state, equal, plainly=plainly)
        if lookup.more:
            keys = len(lookup.tokens)
            return self._queries.on_select(state, equal, plainly=plainly, keys=keys)
        return result

    def _key_lookup(
        self, state: ORMExecuteState, mapper: Mapper[Any], equal: Equality | None
    ) -> KeyLookup | None:
        """The statement as a lookup by primary key, after the flush that it wants."""
        session = state.session
        if not self._services.models.caches(mapper):
            return None
        if state.bind_arguments.keys() - {"clause", "mapper"}:
            return None
        # What is asked for comes before where it is: that may be the application's to tell, by a
        # `get_bind()` of its own, and is asked for key lookups alone.
        mode = _mode(state)
        if mode == "skip" or not _understood(state) or private.has_listeners_after(state):
            return None
        parameters: Any = state.parameters
        if equal is not None and len(mapper.primary_key) == 1:
            keys: list[tuple[Any, ...]] | None = [(equal.parameter.value,)]
        else:
            keys = key_lookup(state.statement, parameters, mapper)
        if keys is None:
            return None
        access = self._services.reading(session, mapper, known_unit(session))
        if access is None:
            return None
        tokens = dict.fromkeys(map(access.region.identity.key, keys))
        if None in tokens:
            return None
        if private.wants_autoflush(state) and private.dirty(session):
            private.autoflush(session)
        if not private.begin(session):
            return None
        only = dict(zip(mapper.primary_key, keys[0], strict=True)) if len(keys) == 1 else {}
        names = cast(list[bytes], list(tokens))
        shard = private.identity_token(state)
        return KeyLookup(state, access, mapper, names, only, mode, shard)

    def _answer(self, lookup: KeyLookup) -> Result[Any] | None:
        if not lookup.tokens:
            return None
        session, access = lookup.state.session, lookup.access
        services = self._services
        unit = known_unit(session)
        refresh = lookup.mode == "refresh" or _reloads(lookup.state)
        permit = services.permit(session, unit, access, refresh=refresh)
        wrote = unit.writes.wrote if unit is not None else None
        if permit is None or (wrote and any(wrote(access.place, name) for name in lookup.tokens)):
            reason = services.reason(session, unit, access.engine, access.place)
            services.counters.because("bypassed", reason)
            return None
        expected = _expected(unit, access, lookup.tokens)
        if expected is not None:
            learn = access.region.complete and not refresh and _is_plain(lookup)
            return self._load(lookup, access.region, expected, learn=learn)
        plan = self._plan(lookup)
        if not permit.lease if refresh else plan is None:
            lookup.more = not refresh
            return None
        # A statement that returns more than is cached refreshes what is.
        group = access.region if plan is None else plan.group
        batch = self._read(lookup, group, permit)
        if plan is not None and not refresh and batch.hit:
            # In the order of their keys, which is what databases give for a list of keys as a rule.
            if len(batch.rows) > 1:
                with contextlib.suppress(TypeError):  # keys without an order
                    batch.rows.sort(key=_identity)
            result = plan.result(batch.rows)
            if result is not None:
                return result
        return self._load(lookup, group, batch.leases, alone=plan is not None)

    def _read(self, lookup: KeyLookup, group: Group, permit: Permit) -> Batch:
        access, reads = lookup.access, self._services.reads
        if len(lookup.tokens) > 1:
            return reads.read_rows(access.scripts, group, access.place, lookup.tokens, permit)
        found = reads.read_row(access.scripts, group, access.place, lookup.tokens[0], permit)
        return Batch(
            [] if found.row is None else [found.row],
            found.hit,
            [] if found.lease is None else [found.lease],
        )

    # -- from cached rows to a result ---------------------------------------------------------

    def _plan(self, lookup: KeyLookup) -> _Plan | None:
        """How cached rows would become this statement's result; None if they can't."""
        state, region = lookup.state, lookup.access.region
        if _is_plain(lookup):
            return _Plan(region, lambda rows: self._direct(lookup, rows))
        compiled, getter, tuple_getter = private.compile_cached(
            state, region.dialect, lookup.access.engine.compiled
        )
        columns = private.result_columns(compiled)
        group = region.group(columns)
        if group is None:
            return None
        places = [group.index[column] for column in columns]

        def replayed(found: list[Row]) -> Result[Any]:
            rows = [tuple([values[place] for place in places]) for values in found]
            return private.replay(state, private.replayed(rows, compiled, getter, tuple_getter))

        return _Plan(group, replayed)

    @staticmethod
    def _direct(lookup: KeyLookup, rows: list[Row]) -> Result[Any] | None:
        state, path = lookup.state, private.path_of(lookup.mapper)
        session = state.session
        objects = hydrate_all(session, lookup.access.region, rows, lookup.shard, path)
        if objects is None:
            return None
        buffered = private.prebuffers(state)
        return private.entity_result(session, lookup.mapper, objects, buffered=buffered)

    # -- from the database, into the cache ----------------------------------------------------

    def _load(
        self,
        lookup: KeyLookup,
        group: Group,
        leases: Sequence[Lease],
        *,
        alone: bool = True,
        learn: bool = False,
    ) -> Result[Any] | None:
        """Run the statement and fill from its rows.

        Args:
            lookup: The statement.
            group: Which columns to fill.
            leases: Under which leases.
            alone: It asks for these columns alone. A row that it does not return is no absent row
                otherwise: what is loaded with it by an inner join may be missing.
            learn: It is how SQLAlchemy loads one row of the class.
        """
        if not leases:
            return None
        state, access = lookup.state, lookup.access
        reads = self._services.reads
        filled = False
        try:
            cursor, rows = fetch(state)
            if learn:
                self._loads.learn(access, lookup.mapper, state, cursor)
            loaded = _values_by_token(group, cursor, rows, lookup.only_key)
            if loaded is not None and not unit_of(state.session).closed:
                found = [(lease, loaded.get(lease.row.rpartition(b":")[2])) for lease in leases]
                if not alone and not all(values for _, values in found):
                    found, unused = (
                        [one for one in found if one[1]],
                        [lease for lease, values in found if not values],
                    )
                    reads.give_back(access.scripts, unused)
                filled = True
                reads.fill(access.scripts, group, found)
        finally:
            if not filled:
                reads.give_back(access.scripts, leases)
        return private.replay(state, private.cursor_of(cursor, rows))


def _is_plain(lookup: KeyLookup) -> bool:
    """Does it ask for plain objects of a class, which may be made of its rows directly?"""
    state = lookup.state
    statement = state.statement
    selected = private.selected(statement)
    return (
        lookup.access.region.direct
        and len(selected) == 1
        and not private.options_of(statement)
        and not private.in_context(state)
        and not private.returns_tuples(state)
        and private.entity_of(selected[0]) is lookup.mapper
    )


def _mode(state: ORMExecuteState) -> Mode | None:
    if state.execution_options.get("skip_cache"):
        return "skip"
    mode: Mode | None = "refresh" if asks_refresh(state) else None
    for option in private.options_of(state.statement):
        if isinstance(option, CacheOption):
            mode = option.mode
    return mode


def _understood(state: ORMExecuteState) -> bool:
    """Is nothing asked for, by options, that could change which values a row has?"""
    for option in private.options_of(state.statement):
        if not isinstance(option, CacheOption) and not private.is_loader_option(option):
            return False
    if private.checks_version(state):
        return False
    return not state.execution_options.keys() - _HARMLESS_OPTIONS


def _reloads(state: ORMExecuteState) -> bool:
    """Does the statement want the database's answer (``refresh()``, ``populate_existing``)?"""
    if private.is_user_refresh(state) or private.populates_existing(state):
        return True
    return bool(state.execution_options.get("populate_existing"))


def _expected(unit: Unit | None, access: Access, tokens: Sequence[bytes]) -> list[Lease] | None:
    """The lease of a lookup that has just missed and led to this statement; None without one."""
    if unit is None or len(tokens) != 1:
        return None
    key = (access.place, tokens[0], access.region.field)
    if key not in unit.leases:
        return None
    lease = unit.leases.pop(key)
    return [] if lease is None else [lease]


def _values_by_token(
    group: Group, cursor: Any, rows: Sequence[Any], only_key: dict[Any, Any]
) -> dict[bytes, list[Any]] | None:
    """The group's values of each row that was loaded; None if the statement lacks some of them.

    Loads of single attributes don't return the key: there it is the one that was asked for.
    """
    at = private.result_places(cursor.context.compiled)
    found = {}
    for row in rows:
        try:
            values = [
                row[at[column]] if column in at else only_key[column] for column in group.columns
            ]
        except KeyError:
            return None
        key = group.key_of(values)
        if key is not None:
            found[key] = values
    return found
