"""What cached queries need of SQLAlchemy: a compiled form, its parameters, its columns."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, create_engine, event, func, select, text, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import ORMExecuteState, Session, aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.util import LRUCache

from sqlalchemy_rediscache import private
from tests.private.models import Base, Child, Parent


@pytest.fixture
def filled() -> Iterator[Engine]:
    """An engine on a database in memory with two parents."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Parent(id=1, name="ann"), Parent(id=2, name="bob")])
        session.commit()
    yield engine
    engine.dispose()


def _form(
    engine: Engine, statement: Any, cache: Any, parameters: Any = None
) -> tuple[Any, dict[str, Any]] | None:
    state: Any = SimpleNamespace(statement=statement, parameters=parameters)
    return private.compile_with_values(state, engine.dialect, cache)


def test_statements_of_one_form_share_their_compiled_object(filled: Engine) -> None:
    """Two statements that differ by their values have one compiled form, each its own values."""
    cache: LRUCache[Any, Any] = LRUCache(10)
    one = _form(filled, select(Parent).where(Parent.id == 1, Parent.name == "a"), cache)
    two = _form(filled, select(Parent).where(Parent.id == 2, Parent.name == "b"), cache)
    assert one is not None
    assert two is not None
    assert one[0] is two[0]
    assert sorted(map(str, one[1].values())) == ["1", "a"]
    assert sorted(map(str, two[1].values())) == ["2", "b"]
    given = _form(filled, select(Parent).where(Parent.id == bindparam("who")), cache, {"who": 7})
    assert given is not None
    assert given[1] == {"who": 7}


def test_a_statement_without_a_form(filled: Engine) -> None:
    """A statement that SQLAlchemy compiles anew each time has none."""

    class Uncacheable(ColumnElement[int]):
        """An element that says nothing of keys."""

        inherit_cache = False

    compiles(Uncacheable)(lambda element, compiler, **options: "1")
    assert _form(filled, select(Parent), LRUCache(10)) is not None
    assert _form(filled, select(Parent).where(Uncacheable() == 1), LRUCache(10)) is None


def test_parameters_are_found_by_their_order(filled: Engine) -> None:
    """A parameter of a later statement of a form has a name among the values of the first."""
    cache: LRUCache[Any, Any] = LRUCache(10)
    first = _form(filled, select(Parent).where(Parent.name == "a", Parent.id.in_([1, 2])), cache)
    later = select(Parent).where(Parent.name == "b", Parent.id.in_([3]))
    second = _form(filled, later, cache)
    assert first is not None
    assert second is not None
    compiled, values = second
    name, keys = (where.right for where in private.criteria(later))
    assert values[private.parameter_name(compiled, later, name) or ""] == "b"
    assert values[private.parameter_name(compiled, later, keys) or ""] == [3]
    assert private.parameter_name(compiled, later, bindparam("other", 1)) is None
    assert private.parameter_types(compiled).keys() == values.keys()


def test_the_lists_of_an_in_are_known(filled: Engine) -> None:
    """The parameter of an IN, within subqueries too, and no parameter that is used elsewhere."""
    cache: LRUCache[Any, Any] = LRUCache(10)
    both: Any = bindparam("both", [1], expanding=True)
    inner = select(Parent.id).where(Parent.id.not_in([5, 6]))
    statement = select(Parent).where(
        Parent.name == "a",
        Parent.id.in_([1, 2]),
        Parent.id.in_(inner),
        Parent.id.in_(both),
        func.abs(both) == 1,
    )
    found = _form(filled, statement, cache)
    assert found is not None
    compiled, values = found
    assert sorted(values[name] for name in private.in_lists(compiled)) == [[1, 2], [5, 6]]


def test_what_result_columns_stand_for(filled: Engine) -> None:
    """Columns stay columns, of their alias if they have one; labels give what they label."""
    alias = aliased(Parent)
    statement = select(Parent, alias.name, func.count(Child.id).label("many"))
    found = _form(filled, statement, LRUCache(10))
    assert found is not None
    columns = private.result_expressions(found[0])
    assert columns[0] is Parent.__table__.c.id
    assert columns[-2].key == "name"
    assert columns[-2].table is not Parent.__table__
    assert columns[-1].__visit_name__ in {"function", "label"}


@pytest.mark.parametrize("kind", ["entity", "union", "core"])
def test_rows_replayed_for_any_statement(filled: Engine, kind: str) -> None:
    """Rows in the place of a cursor's give the same result, whatever kind of SELECT it is."""
    table: Any = Parent.__table__
    statement: Any = {
        "entity": select(Parent).order_by(Parent.id),
        "union": union_all(select(Parent.id, Parent.name), select(Parent.id, Parent.name)),
        "core": select(table.c.name, table.c.id).order_by(table.c.id),
    }[kind]
    cache: LRUCache[Any, Any] = LRUCache(10)

    def replay(state: ORMExecuteState) -> Any:
        found = private.compile_with_values(state, filled.dialect, cache)
        assert found is not None
        compiled, getter, tuple_getter = private.getters(found[0])
        with filled.connect() as connection:
            rows = [tuple(row) for row in connection.execute(state.statement)]
        cursor = private.replayed(rows, compiled, getter, tuple_getter)
        return private.replay_any(state, cursor, rows)

    with Session(filled) as real, Session(filled) as ours:
        expected = real.execute(statement)
        event.listen(ours, "do_orm_execute", replay)
        result = ours.execute(statement)
        assert list(result.keys()) == list(expected.keys())
        one, other = result.all(), expected.all()
        if kind == "entity":
            assert [row[0].name for row in one] == [row[0].name for row in other]
        else:
            assert one == other
            assert [row.name for row in one] == [row.name for row in other]


def test_options_of_any_statement() -> None:
    """A statement that can't have options has none."""
    assert private.options_given(text("SELECT 1")) == ()
    assert private.options_given(select(Parent)) == ()


def test_none_of_them_is_in_the_session(filled: Engine) -> None:
    """Identity keys are looked for in the session's map."""
    with Session(filled) as session:
        held = session.get_one(Parent, 1)
        assert held.name == "ann"
        assert not private.none_present(session, [(Parent, (1,), None), (Parent, (2,), None)])
        assert private.none_present(session, [(Parent, (2,), None)])
