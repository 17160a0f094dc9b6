"""Results that are made of cached rows behave as those of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, inspect, select
from sqlalchemy.exc import InvalidRequestError, MultipleResultsFound, NoResultFound
from sqlalchemy.ext.asyncio.session import _EXECUTE_OPTIONS
from sqlalchemy.orm import ORMExecuteState, Session, defer, joinedload, load_only, selectinload
from sqlalchemy.util import LRUCache

from sqlalchemy_rediscache import private
from tests.listening import listening
from tests.private.conftest import Watch
from tests.private.models import Child, Pair, Parent

PAIRS = select(Pair).where(Pair.left < 5)


def direct(state: ORMExecuteState) -> Any:
    """Answer as `entity_result` does, with objects that are loaded already."""
    objects = [state.session.get(Pair, (left, "r")) for left in range(5)]
    return private.entity_result(Session(), inspect(Pair), objects)


def from_rows(state: ORMExecuteState) -> Any:
    """Answer with rows of plain values through `replay`, as from the cache."""
    engine: Any = state.session.get_bind()
    compiled, getter, tuple_getter = private.compile_cached(state, engine.dialect, LRUCache(10))
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(state.statement, state.parameters or {})]
    return private.replay(state, private.replayed(rows, compiled, getter, tuple_getter))


def from_cursor(state: ORMExecuteState) -> Any:
    """Answer with the rows of a cursor that were fetched, as after a miss."""
    connection = private.connection_of(state.session, state.bind_arguments)
    parameters: Any = state.parameters or {}
    cursor: Any = connection.execute(
        state.statement, parameters, execution_options=state.local_execution_options
    )
    return private.replay(state, private.cursor_of(cursor, cursor.all()))


Answer = Callable[[ORMExecuteState], Any]


def answering(engine: Engine, answer: Answer) -> Session:
    """A session whose top-level SELECTs are answered."""
    session = Session(engine)
    busy: list[int] = []

    def on_execute(state: ORMExecuteState) -> Any:
        if busy:
            return None
        busy.append(1)
        try:
            return answer(state)
        finally:
            busy.clear()

    event.listen(session, "do_orm_execute", on_execute)
    return session


def plain(value: Any) -> Any:
    """A result with each object as its key and values, comparable between sessions."""
    if isinstance(value, Pair | Child | Parent):
        loaded = {name: plain(one) for name, one in sorted(vars(value).items()) if name[0] != "_"}
        state: Any = inspect(value)
        return type(value).__name__, state.identity, loaded
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


USES: dict[str, Callable[[Session], Any]] = {
    "execute all": lambda s: [tuple(row) for row in s.execute(PAIRS).all()],
    "execute first": lambda s: tuple(s.execute(PAIRS).first() or ()),
    "execute iterated": lambda s: [row.Pair for row in s.execute(PAIRS)],
    "row by index": lambda s: [row[0] for row in s.execute(PAIRS)],
    "row by name": lambda s: [row._mapping["Pair"] for row in s.execute(PAIRS)],
    "row by class": lambda s: [row._mapping[Pair] for row in s.execute(PAIRS)],
    "row as a dict": lambda s: [row._asdict() for row in s.execute(PAIRS)],
    "row fields": lambda s: [list(row._fields) for row in s.execute(PAIRS)],
    "row unpacked": lambda s: [pair for (pair,) in s.execute(PAIRS)],
    "keys": lambda s: list(s.execute(PAIRS).keys()),
    "mappings": lambda s: [dict(one) for one in s.execute(PAIRS).mappings()],
    "mappings first": lambda s: dict(s.execute(PAIRS).mappings().first() or {}),
    "columns by index": lambda s: [tuple(row) for row in s.execute(PAIRS).columns(0)],
    "columns by name": lambda s: [tuple(row) for row in s.execute(PAIRS).columns("Pair")],
    "scalars": lambda s: s.execute(PAIRS).scalars().all(),
    "scalars by index": lambda s: s.execute(PAIRS).scalars(0).all(),
    "session scalars": lambda s: s.scalars(PAIRS).all(),
    "session scalar": lambda s: s.scalar(PAIRS),
    "scalars first": lambda s: s.scalars(PAIRS).first(),
    "scalars iterated": lambda s: list(s.scalars(PAIRS)),
    "scalars partitions": lambda s: [list(part) for part in s.scalars(PAIRS).partitions(2)],
    "scalars fetchmany": lambda s: s.scalars(PAIRS).fetchmany(2),
    "unique": lambda s: s.scalars(PAIRS).unique().all(),
    "unique by key": lambda s: s.scalars(PAIRS).unique(lambda one: one.left % 2).all(),
    "rows unique": lambda s: [row[0] for row in s.execute(PAIRS).unique()],
    "partitions": lambda s: [[row[0] for row in part] for part in s.execute(PAIRS).partitions(2)],
    "fetchone": lambda s: tuple(s.execute(PAIRS).fetchone() or ()),
    "fetchmany": lambda s: [row[0] for row in s.execute(PAIRS).fetchmany(3)],
    "fetchall": lambda s: [row[0] for row in s.execute(PAIRS).fetchall()],
    "yield per": lambda s: [row[0] for row in s.execute(PAIRS).yield_per(2)],
    "frozen": lambda s: [row[0] for row in s.execute(PAIRS).freeze()()],
    "merged": lambda s: [row[0] for row in s.execute(PAIRS).merge(s.execute(PAIRS))],
    "query all": lambda s: s.query(Pair).where(Pair.left < 5).all(),
    "query first": lambda s: s.query(Pair).where(Pair.left == 0).first(),
    "query one": lambda s: s.query(Pair).where(Pair.left < 5).first(),
    "query iterated": lambda s: list(s.query(Pair).where(Pair.left < 5)),
}


@pytest.mark.parametrize("answer", [direct, from_rows, from_cursor])
@pytest.mark.parametrize("use", USES)
def test_results_are_used_alike(engine: Engine, answer: Answer, use: str) -> None:
    """Each way to consume a result gives what the database's result gives."""
    if answer is direct and use == "query first":
        pytest.skip("all rows are answered here, and a LIMIT is only where it is no matter")
    with Session(engine) as real, answering(engine, answer) as ours:
        assert plain(USES[use](ours)) == plain(USES[use](real))


@pytest.mark.parametrize("answer", [direct, from_rows, from_cursor])
@pytest.mark.parametrize("method", ["one", "one_or_none", "scalar_one", "scalar_one_or_none"])
def test_too_many_rows_raise(engine: Engine, answer: Answer, method: str) -> None:
    """What asks for one row refuses several."""
    with answering(engine, answer) as session, pytest.raises(MultipleResultsFound):
        getattr(session.execute(PAIRS), method)()


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("method", ["one", "one_or_none", "scalar_one", "scalar_one_or_none"])
def test_none_or_one(session: Session, count: int, method: str) -> None:
    """What asks for one row gives one, or says that there is none."""
    pair = session.get_one(Pair, (1, "r"))
    result = private.entity_result(Session(), inspect(Pair), [pair][:count])
    if count == 0 and "none" not in method:
        with pytest.raises(NoResultFound):
            getattr(result, method)()
    else:
        found = getattr(result, method)()
        assert (found[0] if count and "scalar" not in method else found) is (
            pair if count else None
        )


def test_a_result_is_closed_when_it_is_used_up(session: Session) -> None:
    """A result of objects ends as a cursor's does."""
    pair = session.get_one(Pair, (1, "r"))
    result = private.entity_result(Session(), inspect(Pair), [pair])
    with result:
        assert result.scalars().all() == [pair]
    assert result.closed


@pytest.mark.parametrize("buffered", [True, False])
def test_only_a_buffered_result_outlives_its_session(
    engine: Engine, watch: Watch, buffered: bool
) -> None:
    """As a cursor's does with ``prebuffer_rows``, and not without it."""
    options = {"prebuffer_rows": True} if buffered else {}
    with Session(engine) as session:
        asked = watch(session, private.prebuffers)
        real = session.execute(PAIRS, execution_options=options)
    assert asked == [buffered]
    with Session(engine) as session:
        objects = list(session.scalars(PAIRS))
        ours = private.entity_result(session, inspect(Pair), objects, buffered=buffered)
    for result in (real, ours):
        if buffered:
            assert [pair.left for pair in result.scalars().yield_per(2)] == [0, 1, 2, 3, 4]
        else:
            with pytest.raises(InvalidRequestError, match="no longer valid"):
                result.scalars().all()


def test_asyncio_sessions_buffer() -> None:
    """What was awaited can be read without the database."""
    assert _EXECUTE_OPTIONS["prebuffer_rows"]


def test_the_same_object_twice_is_unique_once(session: Session) -> None:
    """`unique()` compares objects by identity."""
    pair = session.get_one(Pair, (1, "r"))
    result = private.entity_result(Session(), inspect(Pair), [pair, pair])
    assert result.scalars().unique().all() == [pair]


OPTIONS: dict[str, Callable[[], Any]] = {
    "none": lambda: select(Child).where(Child.id.in_([1, 2])),
    "joined": lambda: select(Child).options(joinedload(Child.parent)),
    "selectin": lambda: select(Child).options(selectinload(Child.parent)),
    "load only": lambda: select(Child).options(load_only(Child.name)),
    "deferred": lambda: select(Child).options(defer(Child.name)),
    "columns": lambda: select(Child.id, func.upper(Child.name).label("loud")),
    "entity and column": lambda: select(Child, Child.name.label("n")),
    "two entities": lambda: select(Child, Parent).join(Child.parent),
}


@pytest.mark.parametrize("answer", [from_rows, from_cursor])
@pytest.mark.parametrize("kind", OPTIONS)
def test_replayed_rows_respect_options(engine: Engine, answer: Answer, kind: str) -> None:
    """Rows that stand in for a cursor's are loaded with the options of their statement."""
    with Session(engine) as real, answering(engine, answer) as ours:
        found = plain([tuple(row) for row in ours.execute(OPTIONS[kind]()).unique()])
        assert found == plain([tuple(row) for row in real.execute(OPTIONS[kind]()).unique()])
        assert not ours.dirty


def test_replayed_rows_fire_load_events(engine: Engine) -> None:
    """Listeners get the real query context of a replayed load."""
    seen: list[Any] = []

    session = answering(engine, from_rows)

    def on_load(instance: Any, context: Any) -> None:
        seen.append((instance.left, context.session is session))

    with listening(Pair, "load", on_load), session:
        session.scalars(select(Pair).where(Pair.left == 2)).all()
    assert seen == [(2, True)]


def test_rows_refresh_objects_of_the_session(engine: Engine) -> None:
    """A replayed load with `populate_existing` overwrites, one without does not."""
    with answering(engine, from_rows) as session:
        pair = session.scalars(select(Pair).where(Pair.left == 1)).one()
        pair.name = "pending"
        with session.no_autoflush:
            session.scalars(select(Pair).where(Pair.left == 1)).one()
            assert pair.name == "pending"
            session.scalars(
                select(Pair).where(Pair.left == 1).execution_options(populate_existing=True)
            ).one()
        assert pair.name == "p1"


def test_a_statement_is_compiled_once(engine: Engine) -> None:
    """`compile_cached` needs no connection, and finds what it compiled for a like statement."""
    kept: LRUCache[Any, Any] = LRUCache(10)
    compiled: list[Any] = []

    def note(state: ORMExecuteState) -> None:
        compiled.append(private.compile_cached(state, engine.dialect, kept)[0])

    with Session(engine) as session:
        event.listen(session, "do_orm_execute", note)
        for left in (1, 2):
            session.scalars(select(Pair).where(Pair.left == left)).all()
    assert compiled[0] is compiled[1]


def test_getters_of_a_compiled_statement(engine: Engine) -> None:
    """Values are found by column; what the rows lack is an error, or nothing, as for a cursor."""
    found: list[Any] = []

    def note(state: ORMExecuteState) -> None:
        found.append(private.compile_cached(state, engine.dialect, LRUCache(10)))

    with Session(engine) as session:
        event.listen(session, "do_orm_execute", note)
        session.scalars(select(Pair)).all()
    _, getter, tuple_getter = found[0]
    table: Any = Pair.__table__
    assert getter(table.c.name)((1, "r", "n")) == "n"
    assert tuple_getter([table.c.right, table.c.left])((1, "r", "n")) == ("r", 1)
    other: Any = Child.__table__
    assert getter(other.c.name, False) is None
    with pytest.raises(KeyError):
        getter(other.c.name)
