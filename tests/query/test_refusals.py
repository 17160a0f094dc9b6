"""What is never cached as a query, and the reason that people read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Sequence,
    String,
    Table,
    TypeDecorator,
    case,
    cast,
    column,
    distinct,
    extract,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    tablesample,
    text,
    try_cast,
    tuple_,
    type_coerce,
    union,
    update,
    values,
)
from sqlalchemy.dialects import mssql, mysql, postgresql
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, FunctionElement
from sqlalchemy.types import UserDefinedType

from sqlalchemy_rediscache import private
from sqlalchemy_rediscache.query import Refusal, dependencies
from sqlalchemy_rediscache.query.functions import IMPURE, PURE
from tests.query.random_models import Author, Book

BOOK: Any = Book.__table__
MATCH: Any = mysql.match


class Own(ColumnElement[int]):
    """Rendered by the application."""

    inherit_cache = True
    type = Integer()


class OwnFunction(FunctionElement[int]):
    """A function rendered by the application."""

    inherit_cache = True
    name = "count"
    type = Integer()


@compiles(Own)
@compiles(OwnFunction)
def _render(element: Any, compiler: Any, **options: Any) -> str:
    return "(SELECT max(id) FROM author)"


class Strange(ColumnElement[int]):
    """A kind that no compiler knows."""

    __visit_name__ = "strange"
    inherit_cache = True
    type = Integer()


class Rendered(ColumnElement[int]):
    """A kind that renders itself without `compiles`."""

    __visit_name__ = "strange"
    inherit_cache = True
    type = Integer()

    def _compiler_dispatch(self, visitor: Any, **options: Any) -> str:
        return "(SELECT max(id) FROM author)"


class Wrapped(TypeDecorator[str]):
    """Puts a function around its columns."""

    impl = String
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        """SQL of its own."""
        return select(func.max(Author.name)).scalar_subquery()


class Regclass(UserDefinedType[str]):
    """What a cast to it means depends on the catalog."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:
        """Its name."""
        return "REGCLASS"


WRAPPED = Table("wrapped", MetaData(), Column("x", Wrapped()))

REFUSED: dict[str, tuple[Any, str]] = {
    "no statement": ("SELECT 1", "str is no SELECT"),
    "text": (text("SELECT 1"), "text can hide"),
    "text with columns": (text("SELECT 1 AS x").columns(column("x")), "text can hide"),
    "from_statement of text": (select(Book).from_statement(text("SELECT 1")), "text can hide"),
    "FROM text": (select(text("SELECT 1 AS x").columns(column("x")).subquery()), "text can hide"),
    "a condition as text": (select(Book).where(text("1 = 1")), "text can hide"),
    "an order as text": (select(Book).order_by(text("1")), "text can hide"),
    "a prefix": (select(Book).prefix_with("/*+ x */"), "text can hide"),
    "a suffix": (select(Book).suffix_with("FOR UPDATE"), "text can hide"),
    "a hint": (select(Book).with_hint(Book, "x"), "hint is text"),
    "a hint of the statement": (select(Book).with_statement_hint("x"), "hint is text"),
    "a literal column": (select(literal_column("(SELECT 1)")), "literal_column() can hide"),
    "a table without metadata": (select(table("x", column("y"))), "table('x') has no metadata"),
    "a column without table": (
        select(column("sysdate")).select_from(Book),
        "column('sysdate') belongs to no table",
    ),
    "FOR UPDATE": (select(Book).with_for_update(), "locks rows"),
    "FOR SHARE within": (select(select(Book.id).with_for_update(read=True).subquery()), "locks"),
    "FOR UPDATE of a compound": (
        union(select(Book.id), select(Author.id)).with_for_update(),
        "locks rows",
    ),
    "INSERT": (insert(Book).values(id=1), "an INSERT"),
    "UPDATE": (update(Book).values(price=1).returning(Book.id), "an UPDATE"),
    "INSERT in a CTE": (select(insert(Book).values(id=1).returning(Book.id).cte()), "an INSERT"),
    "UPDATE in a CTE that nothing reads": (
        select(Book).add_cte(update(Book).values(price=1).cte("x")),
        "an UPDATE",
    ),
    "a sample": (select(tablesample(BOOK, 5)), "a sample"),
    "a table-valued function": (
        select(func.json_each(Author.name).table_valued("value")),
        "returns a table",
    ),
    "a function as FROM": (
        select(column("x")).select_from(func.unnest("x")),
        "belongs to no table",
    ),
    "a column of a function": (select(func.unnest("x").column_valued()), "a whole row"),
    "a sequence": (select(Sequence("s").next_value()), "a sequence"),
    "the clock": (select(Book).where(Book.price > func.now()), "now() reads the clock"),
    "a constant of the clock": (select(func.current_timestamp()), "reads the clock"),
    "the clock in an order": (select(Book).order_by(func.random()), "differently each time"),
    "who asks": (select(func.current_user()), "who asks"),
    "an unknown function": (select(func.my_own(Book.id)), "Python"),
    "a function of a package": (select(func.dbms.count(Book.id)), "dbms.count()"),
    "an operator of text": (select(Book.id.op("IN (SELECT 1) AND")(1)), "op("),
    "@compiles": (select(Own()), "Own renders SQL of its own"),
    "@compiles within": (select(Book).where(Book.id == Own()), "Own renders"),
    "@compiles in VALUES": (
        select(values(column("x", Integer), name="v").data([(Own(),)])),
        "Own renders",
    ),
    "@compiles of a function": (select(func.abs(OwnFunction())), "OwnFunction renders"),
    "an unknown kind": (select(Strange()), "can't compile"),
    "renders itself": (select(Rendered()), "Rendered renders SQL of its own"),
    "a type with SQL": (select(WRAPPED), "puts SQL of its own"),
    "a cast to a strange type": (select(cast(Book.title, Regclass())), "a cast to"),
    "an element of MySQL": (select(MATCH(BOOK.c.title, against="x")), "match is not known"),
    "a cast of a text to a time": (select(cast(Book.title, DateTime)), "clock"),
    "another cast of a text": (select(try_cast(Book.title, Date)), "clock"),
}


DIALECTS: dict[str, Any] = {
    "another cast of a text": mssql.dialect,
    "a sequence": postgresql.dialect,
    "an element of MySQL": mysql.dialect,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What may depend on more than rows, or hide a table, is refused with its reason."""
    statement, reason = REFUSED[name]
    found = dependencies(statement, lambda column: True, DIALECTS.get(name, DefaultDialect)())
    assert isinstance(found, Refusal), found
    assert reason in found.reason


ADMITTED: dict[str, Any] = {
    "a star": select(literal_column("*")).select_from(Book),
    "a number": select(literal_column("1"), literal_column("-1.5"), literal_column("'x'")),
    "exists": select(select(Book.id).exists()),
    "case": select(case((Book.id == 1, "x"), else_=None)),
    "casts": select(cast(Book.id, String), cast(Book.title, Boolean), type_coerce(Book.id, String)),
    "extract": select(extract("year", literal(None, Date()))),
    "operators": select(Book.title.op("||")("x"), Book.id % 2, -Book.id, Book.title.ilike("x")),
    "tuples": select(Book).where(tuple_(Book.id, Book.price).in_([(1, 2)])),
    "collation": select(Book).order_by(Book.title.collate("C").desc().nulls_last()),
    "functions": select(func.coalesce(Book.price, 0), func.lower(Book.title)),
    "aggregates": select(
        func.count(distinct(Book.id)),
        func.sum(Book.price).filter(Book.price > 1),
        func.percentile_cont(0.5).within_group(Book.price),
        func.sum(Book.price).over(partition_by=Book.genre, rows=(None, 0)),
    ),
    "groups": select(func.count()).group_by(func.rollup(Book.genre, Book.price)),
    "labels": select(Book.price.label("x")).order_by("x").group_by("x"),
    "scalar VALUES": select(Book).where(
        Book.id.in_(values(column("x", Integer), name="v").data([(1,)]).scalar_values())
    ),
    "a fetch": select(Book).order_by(Book.id).fetch(3, with_ties=True),
}


@pytest.mark.parametrize("name", ADMITTED)
def test_admitted(name: str) -> None:
    """What depends on rows alone is analysed."""
    found = dependencies(ADMITTED[name], lambda column: True)
    assert not isinstance(found, Refusal), found.reason


def test_elements_of_a_dialect_are_admitted_on_it() -> None:
    """Arrays and ordered aggregates of PostgreSQL, DISTINCT ON."""
    ordered: Any = postgresql.aggregate_order_by(literal(","), Book.id)
    statement: Any = select(postgresql.array([Book.id, 2]), func.string_agg(Book.title, ordered))
    if private.SQLALCHEMY_2_1:
        statement = statement.ext(postgresql.distinct_on(Book.genre))
    found = dependencies(statement, lambda column: True, DIALECTS["a sequence"]())
    assert not isinstance(found, Refusal), found.reason


def test_functions_are_in_one_list() -> None:
    """A function is known as pure or as impure, under the name in lower case."""
    assert PURE.isdisjoint(IMPURE)
    assert all(name == name.lower() for name in (*PURE, *IMPURE))
