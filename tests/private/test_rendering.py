"""What becomes SQL is seen, as it becomes SQL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    column,
    exists,
    func,
    lambda_stmt,
    literal,
    select,
    union,
    values,
)
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased, joinedload, with_loader_criteria
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.visitors import Visitable

from sqlalchemy_rediscache import private
from tests.private.models import Child, Parent

PARENT = Parent.__table__
CHILD = Child.__table__


class Own(ColumnElement[int]):
    """An element that the application renders."""

    inherit_cache = True
    type = Integer()


class Dispatching(ColumnElement[int]):
    """An element that renders itself."""

    inherit_cache = True
    type = Integer()

    def _compiler_dispatch(self, visitor: Any, **options: Any) -> str:
        return "(SELECT 1)"


@compiles(Own)
def _render(element: Any, compiler: Any, **options: Any) -> str:
    return "(SELECT 1)"


def kinds(statement: Any, dialect: Dialect | None = None) -> list[str]:
    """The kinds of the elements that a statement renders, each once, in order."""
    found = private.rendered(statement, dialect or DefaultDialect())
    return list(dict.fromkeys(element.__visit_name__ for element in found.elements))


def froms(statement: Any) -> list[list[Any]]:
    """What each SELECT in a statement selects from, without the ORM's annotations."""
    found = private.rendered(statement, DefaultDialect())
    return [[private.plain(one) for one in listed] for _, listed in found.selects]


@pytest.mark.parametrize(
    "dialect",
    [module.dialect() for module in (mssql, mysql, oracle, postgresql, sqlite)],
    ids=lambda dialect: dialect.name,
)
def test_every_select_is_seen_on_each_dialect(dialect: Dialect) -> None:
    """SELECTs within SELECTs, within columns, conditions, compounds and FROMs, and their tables."""
    inner = select(CHILD.c.id).where(CHILD.c.name == "x").limit(3).subquery()
    statement = union(
        select(PARENT.c.id).where(PARENT.c.id.in_(select(inner.c.id))),
        select(select(func.max(CHILD.c.id)).scalar_subquery()),
    )
    rendered = private.rendered(statement, dialect)
    assert len(rendered.selects) >= 5
    tables = {element for element in rendered.elements if isinstance(element, Table)}
    assert tables == {PARENT, CHILD}
    sql = str(statement.compile(dialect=dialect))
    assert sql.upper().count("SELECT") == len(rendered.selects)


def test_correlated_froms_are_left_out() -> None:
    """A subquery has the FROMs that its SQL has: not those of the SELECT around it."""
    inside = exists().where(CHILD.c.parent_id == PARENT.c.id)
    assert froms(select(PARENT.c.id).where(inside)) == [[PARENT], [CHILD]]
    own = select(CHILD.c.id, PARENT.c.id).correlate(None).where(CHILD.c.parent_id == PARENT.c.id)
    assert [set(one) for one in froms(select(PARENT.c.id).where(own.exists()))] == [
        {PARENT},
        {CHILD, PARENT},
    ]


def test_what_the_orm_adds_is_seen() -> None:
    """Eager joins, and loader criteria with subqueries of their own."""
    eager = select(Child).options(joinedload(Child.parent))
    (_, (joined,)), *_ = private.rendered(eager, DefaultDialect()).selects
    assert joined.isouter
    assert private.plain(joined.left) is CHILD
    assert private.plain(joined.right).element is PARENT
    criteria = with_loader_criteria(Child, Child.id.in_(select(Parent.id)))
    statement = select(Child.id).options(criteria)
    assert froms(statement) == [[CHILD], [PARENT]]
    assert private.criteria(private.rendered(statement, DefaultDialect()).selects[0][0])


def test_lambdas_are_resolved() -> None:
    """A lambda in a statement, and a statement that is one, render what they stand for."""
    number = 3
    assert kinds(lambda_stmt(lambda: select(CHILD.c.id).where(CHILD.c.id == number)))[-3:] == [
        "table",
        "binary",
        "bindparam",
    ]
    statement = select(CHILD.c.id).where(lambda: CHILD.c.id == number)
    (criterion,) = private.criteria(statement)
    assert criterion.__visit_name__ == "lambda_element"
    assert private.resolved(criterion).left is not None


def test_elements_with_sql_of_their_own_are_told() -> None:
    """Those of ``@compiles``, wherever they stand, a row of VALUES too."""
    own = Own()
    assert private.renders_itself(own)
    assert private.renders_itself(Dispatching())
    assert not private.renders_itself(CHILD.c.id)
    assert own in private.parts(func.abs(own).clauses)
    listed = values(column("x", Integer), name="v").data([(own,), (literal(2),)])
    assert any(part is own for part in private.parts(listed))
    assert issubclass(Own, Visitable)


def test_locks_and_hints_are_told() -> None:
    """FOR UPDATE and hints of a SELECT, of a compound FOR UPDATE."""
    plain = select(CHILD.c.id)
    assert private.locks(plain.with_for_update(read=True))
    assert private.locks(union(plain, plain).with_for_update())
    assert private.hints(plain.with_hint(CHILD, "x"))
    assert private.hints(plain.with_statement_hint("x"))
    assert not private.locks(plain)
    assert not private.hints(plain)
    (made, _), *_ = private.rendered(
        select(Child).with_for_update().with_statement_hint("x"), DefaultDialect()
    ).selects
    assert private.locks(made)
    assert private.hints(made)


def test_annotations_come_off() -> None:
    """The table itself, and an alias itself, are found under what the ORM makes of them."""
    (_, (table,)), *_ = private.rendered(select(Child), DefaultDialect()).selects
    assert private.plain(table) is CHILD
    (_, (alias,)), *_ = private.rendered(select(aliased(Child)), DefaultDialect()).selects
    assert private.plain(alias).element is CHILD


def test_types_tell_their_variants_and_their_sql() -> None:
    """`with_variant`, and types that wrap values or columns into functions."""

    class Lowered(TypeDecorator[str]):
        impl = String
        cache_ok = True

        def bind_expression(self, bindparam: Any) -> Any:
            return func.lower(bindparam)

    class Wrapped(TypeDecorator[str]):
        impl = String
        cache_ok = True

        def column_expression(self, column: Any) -> Any:
            return func.lower(column)

    type_ = BigInteger().with_variant(Integer(), "sqlite")
    assert [type(one) for one in private.type_variants(type_)] == [BigInteger, Integer]
    assert private.converts_in_sql(Lowered())
    assert private.converts_in_sql(Wrapped())
    assert not private.converts_in_sql(String())
    table = Table("t", MetaData(), Column("x", Wrapped()))
    assert "function" in kinds(select(table))
