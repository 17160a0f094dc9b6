"""Rows into results: through SQLAlchemy's own loading, or of objects that were made without it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import sqlalchemy
from sqlalchemy.engine import (
    ChunkedIteratorResult,
    CursorResult,
    Dialect,
    IteratorResult,
    Result,
)
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import Mapper, ORMExecuteState, Session
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.util import LRUCache

_GETTERS = "_rediscache_getters"
_NOT_UNIQUE = "Can't use the ORM yield_per feature in conjunction with unique()"
SQLALCHEMY_2_1 = tuple(int(part) for part in sqlalchemy.__version__.split(".")[:2]) >= (2, 1)


_IN = (operators.in_op, operators.not_in_op)


class _Keys:
    def __init__(self, getter: Callable[..., Any]) -> None:
        self._getter = getter

    def __contains__(self, key: object) -> bool:
        return self._getter(key, False) is not None


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


def replay_any(state: ORMExecuteState, cursor: ReplayedCursor, rows: Sequence[Any]) -> Result[Any]:
    """`replay`, also for statements whose rows the ORM hands on as they are (a union, say)."""
    result: Any = cursor if state._compile_state_cls is None else replay(state, cursor)
    if result is not cursor:
        return result  # type: ignore[no-any-return]
    columns = cursor.context.compiled._result_columns
    metadata = SimpleResultMetaData(
        [entry[0] for entry in columns], [tuple(entry[2]) for entry in columns]
    )
    made: Any = IteratorResult(metadata, iter([tuple(row) for row in rows]))
    made.context = cursor.context  # `Query.instances()` asks it
    return made  # type: ignore[no-any-return]


def cursor_of(result: CursorResult[Any], rows: Sequence[Any]) -> ReplayedCursor:
    """A cursor's rows, already fetched, to be replayed."""
    return ReplayedCursor(rows, result.context, result._getter, result._tuple_getter)


def compile_cached(
    state: ORMExecuteState, dialect: Dialect, cache: LRUCache[Any, Any]
) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """The compiled statement without a connection, and the getters its rows need."""
    return getters(_compiled(state, dialect, cache)[0])


def compile_with_values(
    state: ORMExecuteState, dialect: Dialect, cache: LRUCache[Any, Any]
) -> tuple[Any, dict[str, Any]] | None:
    """The compiled form of a statement, made without a connection, and its parameters' values.

    Statements of one form have the same compiled object. None for one that has no form (SQLAlchemy
    compiles it anew each time), and for one whose values are not told before it is sent: one is
    missing, or an application's callable makes it, which may answer otherwise when it is called
    again.
    """
    compiled, extracted, *more = _compiled(state, dialect, cache)
    if compiled.cache_key is None or extracted is None:
        return None
    if any(one.callable is not None and not _of_sqlalchemy(one.callable) for one in extracted):
        return None
    # SQLAlchemy 2.1 keeps apart what ``params()`` of the statement, or of a part of it, says.
    given = dict(more[0] or ()) if len(more) > 1 else {}
    if isinstance(state.parameters, dict):
        given |= state.parameters
    try:
        values = compiled.construct_params(
            given, extracted_parameters=extracted, escape_names=False
        )
    except sqlalchemy.exc.InvalidRequestError:
        return None  # SQLAlchemy raises it when it sends the statement
    return compiled, values


def _of_sqlalchemy(made_by: Any) -> bool:
    """Does a parameter get its value from SQLAlchemy's own code: of an object's attribute?"""
    return str(getattr(made_by, "__module__", "")).startswith("sqlalchemy.")


def _compiled(state: ORMExecuteState, dialect: Dialect, cache: LRUCache[Any, Any]) -> Any:
    parameters = state.parameters
    keys = sorted(parameters) if isinstance(parameters, dict) else []
    statement: Any = state.statement
    return statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=keys)


def parameter_name(compiled: Any, statement: Any, parameter: Any) -> str | None:
    """What a parameter of a statement is called among the values of its compiled form.

    The compiled form was made from a statement of the same form, with parameters of its own: they
    correspond by their order.
    """
    key = statement._generate_cache_key()
    for own, kept in zip(key.bindparams, compiled.cache_key.bindparams, strict=True):
        if own.key == parameter.key:
            known = compiled.binds.get(kept.key)
            return compiled.bind_names.get(known)  # type: ignore[no-any-return]
    return None


def parameter_types(compiled: Any) -> dict[str, Any]:
    """The type of each parameter of a compiled statement, by name."""
    return {name: parameter.type for parameter, name in compiled.bind_names.items()}


def expanding(compiled: Any) -> set[str]:
    """The parameters of a compiled statement that are lists, by name."""
    return {name for parameter, name in compiled.bind_names.items() if parameter.expanding}


def in_lists(compiled: Any) -> set[str]:
    """The parameters of a compiled statement that are the list of an IN and nothing else, by name.

    Of these, and of no others, order and repetition don't matter.
    """
    state = compiled.compile_state
    statement = compiled.statement if state is None else state.statement
    lists: dict[str, int] = {}
    met: dict[str, int] = {}
    for element in visitors.iterate(statement):
        if isinstance(element, BindParameter):
            met[element.key] = met.get(element.key, 0) + 1
        elif isinstance(element, BinaryExpression) and element.operator in _IN:
            listed = element.right
            if isinstance(listed, BindParameter) and listed.expanding:
                lists[listed.key] = lists.get(listed.key, 0) + 1
    names = {parameter.key: name for parameter, name in compiled.bind_names.items()}
    return {names[key] for key, count in lists.items() if key in names and count == met.get(key)}


def getters(compiled: Any) -> tuple[Any, Callable[..., Any], Callable[..., Any]]:
    """A compiled statement, and the getters that rows in the place of a cursor's need.

    They are kept with it: a statement that is replayed is as a rule replayed again.
    """
    kept = compiled.__dict__.get(_GETTERS)
    if kept is None:
        kept = compiled.__dict__[_GETTERS] = _getters(compiled)
    return compiled, *kept


def _getters(compiled: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    places: dict[Any, int] = {}
    for index, entry in enumerate(compiled._result_columns):
        for one in entry[2]:
            places.setdefault(one, index)

    def getter(key: Any, raiseerr: bool = True) -> Any:
        index = places.get(key)
        if index is None:
            if raiseerr:
                raise _no_such_column(key)
            return None
        return lambda row: row[index]

    def tuple_getter(wanted: Sequence[Any]) -> Any:
        try:
            at = [places[key] for key in wanted]
        except KeyError as error:
            raise _no_such_column(error.args[0]) from None
        return lambda row: tuple([row[index] for index in at])

    return getter, tuple_getter


def _no_such_column(key: Any) -> Exception:
    return sqlalchemy.exc.NoSuchColumnError(f"Could not locate column in row for column '{key}'")


def replayed(
    rows: Sequence[Any], compiled: Any, getter: Callable[..., Any], tuple_getter: Callable[..., Any]
) -> ReplayedCursor:
    """Rows from the cache as the cursor of a compiled statement."""
    context = SimpleNamespace(compiled=compiled, _is_server_side=False)
    return ReplayedCursor(rows, context, getter, tuple_getter)


def entity_result(
    session: Session, mapper: Mapper[Any], objects: Sequence[Any], *, buffered: bool = False
) -> Result[Any]:
    """The result of a SELECT of one entity, of objects that are loaded already.

    Args:
        session: Whose objects they are.
        mapper: Of which class they are.
        objects: They, in order.
        buffered: They can be had when the session is closed, too (``prebuffer_rows``, which an
            `AsyncSession` asks for).
    """
    identity_map: Any = session.identity_map
    extra = [(mapper.class_,)]
    unique = False

    def filters_for(result: Any) -> list[Any]:
        nonlocal unique
        if result._yield_per:
            raise sqlalchemy.exc.InvalidRequestError(_NOT_UNIQUE)
        unique = True
        return [id]

    filters: dict[str, Any] = (
        {"_create_unique_filters": filters_for} if SQLALCHEMY_2_1 else {"_unique_filters": [id]}
    )
    metadata = SimpleResultMetaData([mapper.class_.__name__], extra, **filters)

    def chunks(size: int | None) -> Iterator[Sequence[Any]]:
        if buffered:  # of one piece, whatever size is asked for
            yield objects
            return
        if objects and session.identity_map is not identity_map:  # the session was closed
            state = objects[0]._sa_instance_state
            identity_map._add_unpresent(state, state.key)  # raises what it does for a cursor's rows
        if size is None:
            yield objects
            return
        if unique:
            raise sqlalchemy.exc.InvalidRequestError(_NOT_UNIQUE)
        for start in range(0, len(objects), size):
            yield objects[start : start + size]

    result: Any = ChunkedIteratorResult(
        metadata, chunks, source_supports_scalars=True, raw=None, dynamic_yield_per=False
    )
    result._attributes = result._attributes.union({"filtered": True, "is_single_entity": True})
    return result  # type: ignore[no-any-return]
