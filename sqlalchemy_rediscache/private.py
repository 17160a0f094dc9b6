"""Every use of SQLAlchemy's private API, in one place, each with a test that fails when it changes.

A public way exists for most of what is here and costs three to ten times as much on the path of a
hit (measured in docs/design.md), or does not exist at all. Nothing else in the package touches a
name with an underscore of SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import Column, Select
from sqlalchemy.engine import ChunkedIteratorResult, Connection, CursorResult, Dialect, Result
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState, Session
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.util import LRUCache, await_only, greenlet_spawn

SQLALCHEMY_2_1 = tuple(int(part) for part in sqlalchemy.__version__.split(".")[:2]) >= (2, 1)

await_ = await_only
spawn = greenlet_spawn

# -- statements -------------------------------------------------------------------------------

_PLAIN_PARTS = frozenset(
    {"_propagate_attrs", "_label_style", "_is_clone_of", "_where_criteria", "_compile_options",
     "_order_by", "_raw_columns", "_with_options", "_execution_options", "_memoized_keys",
     "_memoized_select_entities", "_compile_state_factory", "_cached_key_lookup"}
)  # fmt: skip


def plain_select(statement: Any) -> bool:
    """Is this a SELECT of columns with a WHERE and nothing else (no join, order, limit, lock...)?

    A statement keeps only the parts that were given: whatever part is not known here, in this
    version or a later one, makes it not plain.
    """
    if not isinstance(statement, Select):
        return False
    memoized = statement.__dict__.get("_memoized_keys", ())  # of a statement that ran before
    for part, value in statement.__dict__.items():
        if part in _PLAIN_PARTS or value is None or part in memoized:
            continue
        if isinstance(value, tuple) and not value:  # `== ()` fails for parts with an __eq__
            continue
        if part == "dialect_options" and not statement.dialect_kwargs:
            continue
        # selectinload() names the entity a second time, as the FROM
        named = part == "_from_obj" and len(value) == 1 and entity_of(value[0])
        if not named or named is not subject(statement):
            return False
    return not statement._order_by_clauses and not statement._memoized_select_entities


def selected(statement: Any) -> Sequence[Any]:
    """What a SELECT was given to select: entities as annotated tables, columns, bundles."""
    return statement._raw_columns  # type: ignore[no-any-return]


def criteria(statement: Any) -> Sequence[Any]:
    """The WHERE criteria of a SELECT, joined by AND."""
    return statement._where_criteria  # type: ignore[no-any-return]


def options_of(statement: Any) -> Sequence[Any]:
    """The options of a statement."""
    return statement._with_options  # type: ignore[no-any-return]


def subject(statement: Any) -> Mapper[Any] | None:
    """The mapper that an ORM statement is about, None for another statement or an alias."""
    attributes = getattr(statement, "_propagate_attrs", None)
    if not attributes:
        return None
    found = attributes.get("plugin_subject")
    return found if isinstance(found, Mapper) else None


def entity_of(selected_column: Any) -> Any:
    """The mapper (or alias) that an entity in a SELECT stands for, None for a plain column."""
    annotations = getattr(selected_column, "_annotations", None)
    if not annotations or "parententity" not in annotations:
        return None
    if selected_column.__visit_name__ in ("column", "label"):
        return None
    return annotations.get("parententity")


def get_clause(mapper: Mapper[Any]) -> tuple[Any, dict[Any, Any]]:
    """The WHERE of the mapper's own key lookups, and its parameters by column."""
    return mapper._get_clause  # type: ignore[no-any-return]


def only_load_props(statement: Any) -> frozenset[str] | None:
    """The attributes that the load of an existing object is limited to."""
    return statement._compile_options._only_load_props  # type: ignore[no-any-return]


def refreshed(state: ORMExecuteState) -> InstanceState[Any] | None:
    """The object whose attributes a statement loads, None for an ordinary SELECT."""
    options: Any = state.load_options
    found: InstanceState[Any] | None = options._refresh_state
    return found


def is_user_refresh(state: ORMExecuteState) -> bool:
    """Was the statement made by ``session.refresh()``?"""
    return bool(getattr(state.load_options, "_is_user_refresh", False))


def wants_autoflush(state: ORMExecuteState) -> bool:
    """Would the statement flush pending changes first?"""
    return bool(state.load_options._autoflush)


def checks_version(state: ORMExecuteState) -> bool:
    """Does the load compare versions (a locking read)?"""
    return bool(state.load_options._version_check)


def identity_token(state: ORMExecuteState) -> Any:
    """The shard that the statement is meant for."""
    return state.load_options._identity_token


def has_listeners_after(state: ORMExecuteState) -> bool:
    """Do other ``do_orm_execute`` listeners come after the one that runs?"""
    return len(state._remaining_events()) > 0


def other_listeners(session: Session) -> bool:
    """Does the session have ``do_orm_execute`` listeners besides ours?"""
    return len(session.dispatch.do_orm_execute) > getattr(session, "_rediscache_own_listeners", 1)


# -- rows into objects through SQLAlchemy's own loading -------------------------------------------


class ReplayedCursor:
    """Rows that stand in for a cursor's: `loading.instances` makes of them what it would of SQL."""

    def __init__(
        self,
        rows: Sequence[Sequence[Any]],
        context: Any,
        getter: Callable[..., Any],
        tuple_getter: Callable[[Sequence[Any]], Any],
    ) -> None:
        self._rows = rows
        self.context = context
        self._getter = getter
        self._tuple_getter = tuple_getter
        self.closed = False

    def _raw_all_tuples(self) -> Sequence[Any]:
        return self._rows

    _raw_all_rows = _raw_all_tuples

    def fetchmany(self, size: int) -> Sequence[Any]:
        """The next rows, for a result that is consumed with ``yield_per``."""
        found, self._rows = self._rows[:size], self._rows[size:]
        return found

    def keys(self) -> Container[Any]:
        """What the rows have values for: a joined eager load asks."""
        return _Keys(self._getter)

    def _soft_close(self, hard: bool = False, **_: Any) -> None:
        self.closed = self.closed or hard

    def close(self) -> None:
        """Close it, as a cursor."""
        self.closed = True


class _Keys:
    def __init__(self, getter: Callable[..., Any]) -> None:
        self._getter = getter

    def __contains__(self, key: object) -> bool:
        return self._getter(key, False) is not None


def replay(state: ORMExecuteState, cursor: ReplayedCursor) -> Result[Any]:
    """The ORM result of rows: same options, events, eager loads as if they came from SQL."""
    return state._compile_state_cls.orm_setup_cursor_result(  # type: ignore[union-attr,no-any-return]
        state.session,
        state.statement,
        state.parameters,
        state.local_execution_options,
        state.bind_arguments,
        cursor,
    )


def cursor_of(result: CursorResult[Any], rows: Sequence[Any]) -> ReplayedCursor:
    """A cursor's rows, already fetched, to be replayed."""
    return ReplayedCursor(rows, result.context, result._getter, result._tuple_getter)


def result_columns(compiled: Any) -> list[Any]:
    """What each column of a compiled SELECT's rows is: a `Column`, a label or another element."""
    found = []
    for entry in compiled._result_columns:
        objects = entry[2]
        column = next((one for one in objects if isinstance(one, Column)), None)
        found.append(objects[0] if column is None else column)
    return found


def compile_cached(
    state: ORMExecuteState, dialect: Dialect, cache: LRUCache[Any, Any]
) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """The compiled statement without a connection, and the getters its rows need."""
    parameters = state.parameters
    keys = sorted(parameters) if isinstance(parameters, dict) else []
    statement: Any = state.statement
    compiled: Any = statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=keys)[0]
    places: dict[Any, int] = {}
    for index, entry in enumerate(compiled._result_columns):
        for one in entry[2]:
            places.setdefault(one, index)

    def getter(key: Any, raiseerr: bool = True) -> Any:
        index = places.get(key)
        if index is None:
            if raiseerr:
                raise KeyError(key)
            return None
        return lambda row: row[index]

    def tuple_getter(wanted: Sequence[Any]) -> Any:
        at = [places[key] for key in wanted]
        return lambda row: tuple([row[index] for index in at])

    return compiled, getter, tuple_getter


def replayed(
    rows: Sequence[Any], compiled: Any, getter: Callable[..., Any], tuple_getter: Callable[..., Any]
) -> ReplayedCursor:
    """Rows from the cache as the cursor of a compiled statement."""
    context = SimpleNamespace(compiled=compiled, _is_server_side=False)
    return ReplayedCursor(rows, context, getter, tuple_getter)


def entity_result(mapper: Mapper[Any], objects: Sequence[Any]) -> Result[Any]:
    """The result of a SELECT of one entity, of objects that are loaded already."""
    extra = [(mapper.class_,)]
    filters: dict[str, Any] = (
        {"_create_unique_filters": lambda result: [id]}
        if SQLALCHEMY_2_1
        else {"_unique_filters": [id]}
    )
    metadata = SimpleResultMetaData([mapper.class_.__name__], extra, **filters)

    def chunks(size: int | None) -> Iterator[Sequence[Any]]:
        if size is None:
            yield objects
            return
        for start in range(0, len(objects), size):
            yield objects[start : start + size]

    result: Any = ChunkedIteratorResult(
        metadata, chunks, source_supports_scalars=True, raw=None, dynamic_yield_per=False
    )
    result._attributes = result._attributes.union({"filtered": True, "is_single_entity": True})
    return result  # type: ignore[no-any-return]


# -- sessions, identity maps, instance states -----------------------------------------------------


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


class Plan(Protocol):
    """How cached values become attributes (`shape.Hydration`)."""

    @property
    def names(self) -> Sequence[str] | None:
        """The attribute of each value, when every value is an attribute's."""

    @property
    def loaded(self) -> Sequence[tuple[str, int]]:
        """Attributes and the index of each one's value."""

    @property
    def expired(self) -> frozenset[str]:
        """Attributes whose values are not there."""


def add_instances(
    session: Session,
    mapper: Mapper[Any],
    load_path: Any,
    plan: Plan,
    rows: Iterable[tuple[tuple[Any, ...], Sequence[Any]]],
) -> list[Any]:
    """Persistent objects of this session, in the state in which a load leaves them.

    Measured with 12 columns: 1.5 us each, against 9 us with ``make_transient_to_detached`` and
    ``add``, which fire other events and leave Mutable and composite attributes broken.

    Args:
        session: The session; none of the objects is in it yet.
        mapper: The class of all of them.
        load_path: What they remember of how they were loaded.
        plan: Which value goes where.
        rows: Identity key and values of each.
    """
    manager = mapper.class_manager
    identity_map: Any = session.identity_map
    session_id = session.hash_key
    names, loaded, expired = plan.names, plan.loaded, plan.expired
    on_load = manager.dispatch.load or None
    on_persistent = session.dispatch.loaded_as_persistent or None
    made = []
    for key, values in rows:
        instance = manager.new_instance()
        state = instance._sa_instance_state
        attributes = instance.__dict__
        state.key = key
        state.identity_token = key[2]
        state.session_id = session_id
        identity_map._add_unpresent(state, key)
        state.load_path = load_path
        if names is not None:
            attributes.update(zip(names, values, strict=True))
        else:
            for name, place in loaded:
                attributes[name] = values[place]
        if expired:
            state.expired_attributes.update(expired)
        if on_load is not None:
            on_load(state, None)
        if on_persistent is not None:
            on_persistent(session, state)
        if state.modified:
            state._commit_all(attributes, identity_map)
        made.append(instance)
    return made


def mapper_of_instance(instance: Any) -> Mapper[Any]:
    """The mapper of an object's class."""
    return instance._sa_instance_state.manager.mapper  # type: ignore[no-any-return]


def path_of(mapper: Mapper[Any]) -> Any:
    """The path of an object loaded by itself."""
    return mapper._path_registry


def path_through(parent: Mapper[Any], relationship: Any, mapper: Mapper[Any]) -> Any:
    """The path of an object that was loaded lazily through a relationship."""
    return parent._path_registry[relationship] + mapper._path_registry


def refresh_instance(
    state: InstanceState[Any], values: dict[str, Any], names: Iterable[str]
) -> None:
    """Put freshly loaded values in an object, as the load of its expired attributes does."""
    attributes = state.dict
    attributes.update(values)
    if state.manager.dispatch.refresh:
        state.manager.dispatch.refresh(state, None, names)
    state._commit(attributes, names)


def expired_loader(mapper: Mapper[Any]) -> Callable[[Any, Any, Any], Any]:
    """What loads expired attributes of a class's objects."""
    return mapper.class_manager.expired_attribute_loader


def set_expired_loader(mapper: Mapper[Any], loader: Callable[[Any, Any, Any], Any]) -> None:
    """Replace what loads expired attributes of a class's objects."""
    manager: Any = mapper.class_manager
    manager.expired_attribute_loader = loader


def may_load(passive: PassiveFlag) -> bool:
    """Do these flags allow SQL for an object that is not there?"""
    wanted = PassiveFlag.SQL_OK | PassiveFlag.RELATED_OBJECT_OK
    return passive & wanted == wanted


def flushes(passive: PassiveFlag) -> bool:
    """Do these flags allow an autoflush?"""
    return not passive & PassiveFlag.NO_AUTOFLUSH


def flushed_states(flush_context: Any) -> Iterator[tuple[InstanceState[Any], bool]]:
    """The objects that a flush wrote, and whether it deleted them.

    ``session.dirty`` is no substitute: rows that only a dependency changed (a nulled foreign key)
    are not in it.
    """
    for state, (is_delete, list_only) in flush_context.states.items():
        if not list_only:
            yield state, is_delete


def own_select(mapper: Mapper[Any], dialect: Dialect) -> Any:
    """A plain SELECT of the mapper, compiled."""
    return sqlalchemy.select(mapper).compile(dialect=dialect)


def persistence_statement(context: Any, mapper_caches: Callable[[Any], bool]) -> bool:
    """Was a statement sent by a flush for its own objects, not by an event handler's SQL?"""
    return mapper_caches(context.execution_options.get("compiled_cache"))


def default_isolation(dialect: Dialect) -> str | None:
    """The isolation level of new connections, None while the dialect has not connected."""
    return getattr(dialect, "_on_connect_isolation_level", None) or getattr(
        dialect, "default_isolation_level", None
    )


def connection_of(session: Session, bind_arguments: dict[str, Any]) -> Connection:
    """The connection that a statement with these bind arguments runs on."""
    return session.connection(bind_arguments=bind_arguments)


def own_bindings(session: Session) -> bool:
    """Does the session find its engine in SQLAlchemy's own way, with one bind for all?"""
    kept = session.__dict__
    return type(session).get_bind is Session.get_bind and not kept.get("_Session__binds")


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


def entity_of_attribute(column: Any) -> bool:
    """Does a column in an expression belong to an alias of its class?"""
    parent = column._annotations.get("parententity")
    return parent is not None and not isinstance(parent, Mapper)


def table_column(column: Any) -> Any:
    """The table's own column behind one that carries ORM annotations."""
    return column._deannotate() if column._annotations else column


def in_context(state: ORMExecuteState) -> bool:
    """Is the statement part of another load (a path, a refresh), which marks what it loads?"""
    options: Any = state.load_options
    statement: Any = state.statement
    if options._refresh_state is not None or options._lazy_loaded_from is not None:
        return True
    return bool(getattr(statement._compile_options, "_current_path", None))


def populates_existing(state: ORMExecuteState) -> bool:
    """Does the load overwrite objects that are in the session?"""
    return bool(state.load_options._populate_existing)


def is_loader_option(option: Any) -> bool:
    """Is this an option about which attributes and relationships to load (any kind of `Load`)?"""
    from sqlalchemy.orm.strategy_options import _AbstractLoad  # noqa: PLC0415

    return isinstance(option, _AbstractLoad)


# -- what is sent to the database -------------------------------------------------------------


def is_text(compiled: Any) -> bool:
    """Is a compiled statement a piece of text?"""
    statement = getattr(compiled, "statement", None)
    return getattr(statement, "__visit_name__", "") == "textclause"


def has_writing_cte(compiled: Any) -> bool:
    """Does a SELECT write through a common table expression?"""
    ctes = getattr(compiled, "ctes", None) or ()
    return any(getattr(cte.element, "is_dml", False) for cte in ctes)


def sent_by_flush(context: Any, flushing: bool) -> bool:
    """Is a statement sent by a flush for its objects, and not by an event handler during it?

    A flush compiles its statements into a cache of the mapper's own.
    """
    if not flushing:
        return False
    cache = context.execution_options.get("compiled_cache")
    return cache is not None and cache is not context.engine._compiled_cache


def written_tables(compiled: Any) -> set[Any] | None:
    """The tables that a compiled statement writes, None where they can't be told."""
    statement = compiled.statement
    found: set[Any] = set()
    for cte in getattr(compiled, "ctes", None) or ():
        if getattr(cte.element, "is_dml", False):
            found.add(cte.element.table)
    if getattr(statement, "is_dml", False):
        # select(Model).from_statement(insert(...).returning(...)) has it one level down
        found.add(getattr(statement, "element", statement).table)
    elif getattr(compiled, "isddl", False) or getattr(statement, "is_ddl", False):
        element = getattr(statement, "element", None)
        if element is None or getattr(element, "__visit_name__", "") != "table":
            return None
        found.add(element)
    return found or None


def loads_by_key(mapper: Mapper[Any], names: Iterable[str]) -> bool:
    """Are these attributes loaded by the primary key, from all tables of the class?

    Attributes of a subclass's own tables alone are loaded from those alone.
    """
    if mapper.inherits is None or mapper.concrete:
        return True
    root = mapper.base_mapper.local_table
    columns = (column for name in names for column in mapper.column_attrs[name].columns)
    return any(getattr(column, "table", None) is root for column in columns)


def has_connections(session: Session) -> bool:
    """Has the session's transaction reached a database?"""
    transaction: Any = session._transaction
    return transaction is not None and bool(transaction._connections)


def property_count(mapper: Mapper[Any]) -> int:
    """How many attributes a class is mapped with: more may be added at any time."""
    return len(mapper._props)


def affinity(type_: Any) -> Any:
    """What kind of values a type has, for comparing parameters with columns."""
    return type_._type_affinity


def identity_class(mapper: Mapper[Any]) -> type:
    """The class that identity keys of a mapper's objects name."""
    return mapper._identity_class
