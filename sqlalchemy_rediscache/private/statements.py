"""What an ORM statement is made of, and what it asks of a load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import BindParameter, Column, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper, ORMExecuteState
from sqlalchemy.orm.context import QueryContext
from sqlalchemy.sql.compiler import _CompileLabel

_PLAIN_PARTS = frozenset(
    {"_propagate_attrs", "_label_style", "_is_clone_of", "_where_criteria", "_compile_options",
     "_order_by", "_raw_columns", "_with_options", "_execution_options", "_memoized_keys",
     "_memoized_select_entities", "_compile_state_factory", "_cached_key_lookup",
     "dispatch"}
)  # fmt: skip

_PLACES = "_rediscache_places"


def plain_select(statement: Any, *, limited: bool = False) -> bool:
    """Is this a SELECT of columns with a WHERE and nothing else (no join, order, limit, lock...)?

    A statement keeps only the parts that were given: whatever part is not known here, in this
    version or a later one, makes it not plain. With `limited` it may have a LIMIT that leaves one
    row at least.
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
        if limited and part == "_limit_clause" and _leaves_one(value):
            continue
        # selectinload() names the entity a second time, as the FROM
        named = part == "_from_obj" and len(value) == 1 and entity_of(value[0])
        if not named or named is not subject(statement):
            return False
    return not statement._order_by_clauses and not statement._memoized_select_entities


def _leaves_one(limit: Any) -> bool:
    value = limit.value if isinstance(limit, BindParameter) and limit.callable is None else None
    return type(value) is int and value >= 1


def is_limited(statement: Any) -> bool:
    """Has a SELECT a LIMIT?"""
    return statement._limit_clause is not None


def loads_plainly(state: ORMExecuteState) -> bool:
    """Is a statement of nobody but the application, which asks for no other way of loading?

    It is no part of another load then (of a relationship, of expired columns, of a refresh, of a
    `Query`), has no path, populates nothing anew, compares no versions, and autoflushes.
    """
    if state.load_options is not QueryContext.default_load_options:
        return False
    options = state.statement.__dict__.get("_compile_options")  # of one that ran before: default
    return options is None or not options._state_dict()


def joins_nothing(statement: Any) -> bool:
    """Does a SELECT of one entity name no other FROM: no join, no ``select_from()``?"""
    if not isinstance(statement, Select) or statement._setup_joins or statement._from_obj:
        return False
    return len(statement._raw_columns) == 1 and not statement._memoized_select_entities


def label_style(statement: Any) -> Any:
    """How a SELECT names its columns."""
    return statement._label_style


def lacks_value(parameter: BindParameter[Any]) -> bool:
    """Is a parameter's value to be given with the statement's execution?"""
    return bool(parameter.required)


def selected(statement: Any) -> Sequence[Any]:
    """What a SELECT was given to select: entities as annotated tables, columns, bundles."""
    return statement._raw_columns  # type: ignore[no-any-return]


def criteria(statement: Any) -> Sequence[Any]:
    """The WHERE criteria of a SELECT, joined by AND."""
    return statement._where_criteria  # type: ignore[no-any-return]


def options_of(statement: Any) -> Sequence[Any]:
    """The options of a statement."""
    return statement._with_options  # type: ignore[no-any-return]


def options_given(statement: Any) -> Sequence[Any]:
    """The options of a statement of any kind; none where it can't have any."""
    return getattr(statement, "_with_options", ())


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


def is_of(selected_column: Any, mapper: Mapper[Any]) -> bool:
    """Does a SELECT ask for a class by this, or for a column of it?"""
    annotations: Mapping[str, Any] = getattr(selected_column, "_annotations", {})
    return annotations.get("parententity") is mapper


def get_clause(mapper: Mapper[Any]) -> tuple[Any, dict[Any, Any]]:
    """The WHERE of the mapper's own key lookups, and its parameters by column."""
    return mapper._get_clause  # type: ignore[no-any-return]


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


def prebuffers(state: ORMExecuteState) -> bool:
    """Is the result to hold its objects, so that they can be had when the session is closed?"""
    return bool(state.execution_options.get("prebuffer_rows"))


def has_listeners_after(state: ORMExecuteState) -> bool:
    """Do other ``do_orm_execute`` listeners come after the one that runs?"""
    return len(state._remaining_events()) > 0


def result_columns(compiled: Any) -> list[Any]:
    """What each column of a compiled SELECT's rows is: a `Column`, a label or another element."""
    found = []
    for entry in compiled._result_columns:
        objects = entry[2]
        column = next((one for one in objects if isinstance(one, Column)), None)
        found.append(objects[0] if column is None else column)
    return found


def result_places(compiled: Any) -> Mapping[Any, int]:
    """Where each of `result_columns` is first; kept with the compiled statement."""
    kept: dict[Any, int] | None = compiled.__dict__.get(_PLACES)
    if kept is None:
        kept = dict[Any, int]()
        for place, column in enumerate(result_columns(compiled)):
            kept.setdefault(column, place)
        compiled.__dict__[_PLACES] = kept
    return kept


def result_expressions(compiled: Any) -> list[Any]:
    """As `result_columns`, with what is labelled in the place of the compiler's labels."""
    return [
        getattr(column, "element", column) if isinstance(column, _CompileLabel) else column
        for column in result_columns(compiled)
    ]


def own_select(mapper: Mapper[Any], dialect: Dialect) -> Any:
    """A plain SELECT of the mapper, compiled."""
    return sqlalchemy.select(mapper).compile(dialect=dialect)


def entity_of_attribute(column: Any) -> bool:
    """Does a column in an expression belong to an alias of its class?"""
    parent = column._annotations.get("parententity")
    return parent is not None and not isinstance(parent, Mapper)


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


def of_subquery_load(option: Any) -> bool:
    """Is this an execution option that `subqueryload` keeps its own state in?

    The statement that it sends is whole without: they say how to load what its objects lead to.
    """
    return isinstance(option, tuple) and option[:1] in (
        ("orig_query",),
        ("subquery_rewritten_path",),
        ("subquery_paths",),  # before SQLAlchemy 2.0.58
    )


def returns_tuples(state: ORMExecuteState) -> bool:
    """Does a `Query` want rows of one entity as tuples (``only_return_tuples()``)?"""
    return bool(state.load_options._only_return_tuples)


def listeners_options(state: ORMExecuteState) -> Mapping[str, Any]:
    """The execution options that listeners before ours have set.

    ``execution_options`` does not have them, and ``load_options`` does not follow them: SQLAlchemy
    reads both anew when the listeners are done.
    """
    return state._update_execution_options


def is_loader_option(option: Any) -> bool:
    """Is this an option about which attributes and relationships to load (any kind of `Load`)?"""
    from sqlalchemy.orm.strategy_options import _AbstractLoad  # noqa: PLC0415

    return isinstance(option, _AbstractLoad)


def loads_by_key(mapper: Mapper[Any], names: Iterable[str]) -> bool:
    """Are these attributes loaded by the primary key, from all tables of the class?

    Attributes of a subclass's own tables alone are loaded from those alone.
    """
    if mapper.inherits is None or mapper.concrete:
        return True
    root = mapper.base_mapper.local_table
    columns = (column for name in names for column in mapper.column_attrs[name].columns)
    return any(getattr(column, "table", None) is root for column in columns)


def property_count(mapper: Mapper[Any]) -> int:
    """How many attributes a class is mapped with: more may be added at any time."""
    return len(mapper._props)


def affinity(type_: Any) -> Any:
    """What kind of values a type has, for comparing parameters with columns."""
    return type_._type_affinity
