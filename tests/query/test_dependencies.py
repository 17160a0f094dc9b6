"""What each kind of SELECT is said to depend on."""

from __future__ import annotations

from collections.abc import Callable
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
    and_,
    bindparam,
    cast,
    false,
    func,
    lambda_stmt,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
    union,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import aliased, contains_eager, joinedload, with_loader_criteria

from sqlalchemy_rediscache.query import Refusal, dependencies
from tests.query.random_models import Author, Book, Review

Answer = dict[str, list[tuple[str, list[Any]]] | None]

AUTHOR, BOOK, REVIEW = (model.__table__ for model in (Author, Book, Review))
OTHER = aliased(Book)


def depends(statement: Any, taggable: Callable[[Any], bool] = lambda column: True) -> Answer:
    """The dependencies of a statement, the parameters by their values."""
    found = dependencies(statement, taggable)
    assert not isinstance(found, Refusal), found.reason
    return {
        one.table.name: None
        if one.ways is None
        else [(way.column.key, [_shown(value) for value in way.values]) for way in one.ways]
        for one in found
    }


def _shown(value: Any) -> Any:
    return "NULL" if value is None else value.effective_value


ONE_TABLE: dict[str, tuple[Any, Any]] = {
    "no condition": (select(Book), None),
    "equality": (select(Book).where(Book.author_id == 5), [("author_id", [5])]),
    "turned around": (select(Book).where(literal(5) == Book.author_id), [("author_id", [5])]),
    "NULL as a parameter": (
        select(Book).where(Book.author_id == bindparam(None, None, Integer())),
        [("author_id", [None])],
    ),
    "IN": (select(Book).where(Book.author_id.in_([5, None])), [("author_id", [[5, None]])]),
    "IN of expressions": (
        select(Book).where(Book.author_id.in_([literal(5), 6])),
        [("author_id", [5, 6])],
    ),
    "IN with a column": (select(Book).where(Book.author_id.in_([5, Book.price])), None),
    "IN of nothing": (select(Book).where(Book.author_id.in_([])), [("author_id", [[]])]),
    "NOT IN": (select(Book).where(Book.author_id.not_in([5])), None),
    "tuples": (select(Book).where(tuple_(Book.id, Book.price).in_([(1, 2)])), None),
    "IS NULL": (select(Book).where(Book.author_id.is_(None)), [("author_id", ["NULL"])]),
    "= null()": (select(Book).where(Book.author_id == null()), [("author_id", ["NULL"])]),
    "IS NOT NULL": (select(Book).where(Book.author_id.is_not(None)), None),
    "!=": (select(Book).where(Book.author_id != 5), None),
    "not !=": (select(Book).where(~(Book.author_id != 5)), [("author_id", [5])]),
    "<": (select(Book).where(Book.author_id < 5), None),
    "BETWEEN": (select(Book).where(Book.author_id.between(5, 5)), None),
    "LIKE": (select(Book).where(Book.title.like("x")), None),
    "NOT of AND": (select(Book).where(not_(and_(Book.id == 1, Book.price == 2))), None),
    "a function": (select(Book).where(func.abs(Book.author_id) == 5), None),
    "a cast": (select(Book).where(cast(Book.author_id, Integer) == 5), None),
    "a coerced type": (select(Book).where(type_coerce(Book.author_id, Integer) == 5), None),
    "another type": (select(Book).where(Book.author_id == literal("5")), None),
    "IN of another type": (select(Book).where(Book.author_id.in_([literal("5")])), None),
    "a collation": (select(Book).where(Book.title.collate("NOCASE") == "x"), None),
    "IS NOT DISTINCT": (select(Book).where(Book.author_id.is_not_distinct_from(5)), None),
    "a column": (select(Book).where(Book.author_id == Book.price), None),
    "a column with a value": (
        select(Book).where(Book.author_id == Book.price, Book.price == 5),
        [("author_id", [5])],
    ),
    "AND: unique before others": (
        select(Book).where(Book.price == 5, Book.id == 3),
        [("id", [3])],
    ),
    "AND: equality before IN": (
        select(Book).where(Book.id.in_([5]), Book.price == 3),
        [("price", [3])],
    ),
    "AND: IN before IS NULL": (
        select(Book).where(Book.price.is_(None), Book.id.in_([5])),
        [("id", [[5]])],
    ),
    "AND: with anything": (
        select(Book).where(Book.title.like("x%"), Book.price == 3, true()),
        [("price", [3])],
    ),
    "OR: same column": (
        select(Book).where(or_(Book.id == 1, Book.id == 2)),
        [("id", [1, 2])],
    ),
    "OR: two columns": (
        select(Book).where(or_(Book.id == 1, and_(Book.price == 2, Book.title != "x"))),
        [("id", [1]), ("price", [2])],
    ),
    "OR: with anything": (select(Book).where(or_(Book.id == 1, Book.price < 2)), None),
    "OR within AND": (
        select(Book).where(or_(Book.price < 1, Book.genre == 1), Book.author_id == 2),
        [("author_id", [2])],
    ),
    "OR: 32": (
        select(Book).where(or_(*(Book.id == number for number in range(32)))),
        [("id", list(range(32)))],
    ),
    "OR: 33": (select(Book).where(or_(*(Book.id == number for number in range(33)))), None),
    "too many ORs": (
        select(Book).where(
            *(or_(Book.price == number, Book.genre == number) for number in range(9)),
            Book.author_id == 5,
        ),
        [("author_id", [5])],
    ),
    "never": (select(Book).where(false()), []),
    "never, or": (select(Book).where(or_(false(), Book.id == 1)), [("id", [1])]),
    "a lambda": (select(Book).where(lambda: Book.id == 7), [("id", [7])]),
    "a lambda statement": (lambda_stmt(lambda: select(Book).where(Book.id == 7)), [("id", [7])]),
    "from_statement": (
        select(Book).from_statement(select(Book).where(Book.id == 7)),
        [("id", [7])],
    ),
    "aggregates": (
        select(func.count(), func.max(Book.price)).where(Book.author_id == 5),
        [("author_id", [5])],
    ),
    "groups": (
        select(Book.genre, func.sum(Book.price))
        .where(Book.author_id == 5)
        .group_by(Book.genre)
        .having(func.count() > 1),
        [("author_id", [5])],
    ),
    "HAVING alone": (
        select(Book.author_id, func.count()).group_by(Book.author_id).having(Book.author_id == 5),
        None,
    ),
    "windows": (
        select(func.rank().over(order_by=Book.price)).where(Book.author_id == 5),
        [("author_id", [5])],
    ),
    "a filter of an aggregate": (select(func.count().filter(Book.author_id == 5)), None),
    "DISTINCT, ORDER BY, LIMIT": (
        select(Book.genre).where(Book.author_id == 5).distinct().order_by(Book.genre).limit(3),
        [("author_id", [5])],
    ),
    "an alias": (select(OTHER).where(OTHER.author_id == 5), [("author_id", [5])]),
    "an alias of an alias": (
        select(BOOK.alias().alias("b")).where(BOOK.c.id == 3),
        None,
    ),
    "two aliases": (
        select(Book, OTHER).where(Book.author_id == 5, OTHER.id == 3),
        [("author_id", [5]), ("id", [3])],
    ),
    "two aliases, one open": (select(Book, OTHER).where(Book.author_id == 5), None),
    "a UNION": (
        union(
            select(Book.id).where(Book.id == 1),
            select(Book.author_id).where(Book.author_id == 2),
        ),
        [("id", [1]), ("author_id", [2])],
    ),
    "a UNION, one open": (union(select(Book.id).where(Book.id == 1), select(Book.id)), None),
    "a subquery": (
        select(select(Book.price).where(Book.author_id == 5).subquery()),
        [("author_id", [5])],
    ),
    "a condition on a subquery": (
        select(sub := select(Book.price).subquery()).where(sub.c.price == 5),
        None,
    ),
    "a CTE": (
        select(select(Book.price).where(Book.author_id == 5).cte()),
        [("author_id", [5])],
    ),
    "VALUES": (
        select(Book.id, values(Column("x", Integer), name="v").data([(1,)])).where(Book.id == 1),
        [("id", [1])],
    ),
}


@pytest.mark.parametrize("name", ONE_TABLE)
def test_of_one_table(name: str) -> None:
    """The rows of one table that matter, by the condition."""
    statement, expected = ONE_TABLE[name]
    assert depends(statement) == {"book": expected}


BY_AUTHOR = [("author_id", [5])]
FIVE = [("id", [5])]

SEVERAL: dict[str, tuple[Any, Any]] = {
    "an inner join carries equality": (
        select(Book).join(Book.author).where(Author.id == 5),
        {"book": BY_AUTHOR, "author": FIVE},
    ),
    "through three tables": (
        select(Review)
        .join(Author, Review.author_id == Author.id)
        .join(Book, Book.author_id == Author.id)
        .where(Book.author_id == 5),
        {"review": BY_AUTHOR, "author": FIVE, "book": BY_AUTHOR},
    ),
    "a FROM list": (
        select(Book.id, Author.id).where(Book.author_id == Author.id, Author.id.in_([5])),
        {"book": [("author_id", [[5]])], "author": [("id", [[5]])]},
    ),
    "within a branch": (
        select(Book.id, Author.id).where(
            or_(
                and_(Book.author_id == Author.id, Author.id == 5),
                and_(Book.id == 1, Author.id == 2),
            )
        ),
        {"book": [("author_id", [5]), ("id", [1])], "author": [("id", [5, 2])]},
    ),
    "columns of two types": (
        select(Book.id).join(Author, Book.title == Author.id).where(Author.id == 5),
        {"book": None, "author": FIVE},
    ),
    "ON of a LEFT JOIN, for the right": (
        select(Author).outerjoin(Book, and_(Book.author_id == Author.id, Book.genre == 3)),
        {"author": None, "book": [("genre", [3])]},
    ),
    "ON of a LEFT JOIN, not for the left": (
        select(Author).outerjoin(Book, and_(Book.author_id == 1, Author.rank == 3)),
        {"author": None, "book": [("author_id", [1])]},
    ),
    "WHERE on the left of a LEFT JOIN": (
        select(Author).outerjoin(Author.books).where(Author.id == 5),
        {"author": FIVE, "book": BY_AUTHOR},
    ),
    "WHERE on the right of a LEFT JOIN": (
        select(Author).outerjoin(Book, Author.rank > Book.price).where(Book.genre == 3),
        {"author": None, "book": [("genre", [3])]},
    ),
    "IS NULL on the right of a LEFT JOIN": (
        select(Author).outerjoin(Book, Author.rank > Book.price).where(Book.genre.is_(None)),
        {"author": None, "book": None},
    ),
    "IS NULL in ON of a LEFT JOIN": (
        select(Author).outerjoin(Book, and_(Author.rank > Book.price, Book.genre.is_(None))),
        {"author": None, "book": [("genre", ["NULL"])]},
    ),
    "OR with IS NULL on the right of a LEFT JOIN": (
        select(Author)
        .outerjoin(Book, Author.rank > Book.price)
        .where(or_(Book.genre == 3, Book.genre.is_(None))),
        {"author": None, "book": None},
    ),
    "ON of a LEFT JOIN is no fact for what comes after": (
        select(Author)
        .outerjoin(Book, and_(Author.rank == 3, Book.id == 1))
        .join(Review, Review.stars == Author.rank),
        {"author": None, "book": [("id", [1])], "review": None},
    ),
    "ON of an inner join within a LEFT JOIN": (
        select(AUTHOR).select_from(
            AUTHOR.outerjoin(
                BOOK.join(REVIEW, and_(REVIEW.c.book_id == BOOK.c.id, BOOK.c.id == 1)),
                BOOK.c.author_id == AUTHOR.c.id,
            )
        ),
        {"author": None, "book": [("id", [1])], "review": [("book_id", [1])]},
    ),
    "ON of a FULL JOIN": (
        select(Author).join(Book, and_(Author.id == 5, Book.id == 5), full=True),
        {"author": None, "book": None},
    ),
    "an inner join within a FULL JOIN is no fact for what comes after": (
        select(AUTHOR.c.id).select_from(
            AUTHOR.join(BOOK, and_(BOOK.c.author_id == AUTHOR.c.id, AUTHOR.c.id == 5))
            .join(REVIEW, true(), full=True)
            .join(other := AUTHOR.alias(), other.c.id == AUTHOR.c.id, isouter=True)
        ),
        {"author": None, "book": BY_AUTHOR, "review": None},
    ),
    "WHERE on one side of a FULL JOIN": (
        select(Author).join(Book, Author.rank > Book.price, full=True).where(Book.id == 5),
        {"author": None, "book": FIVE},
    ),
    "eager": (
        select(Author).where(Author.id == 5).options(joinedload(Author.books)),
        {"author": FIVE, "book": BY_AUTHOR},
    ),
    "contains_eager": (
        select(Author)
        .join(Author.books)
        .where(Author.id == 5)
        .options(contains_eager(Author.books)),
        {"author": FIVE, "book": BY_AUTHOR},
    ),
    "a lazy collection": (
        select(Book).where(Book.author_id == bindparam("key", 5, Integer())),
        {"book": BY_AUTHOR},
    ),
    "a correlated EXISTS": (
        select(Author).where(Author.id == 5, Author.books.any(Book.genre == 3)),
        {"author": FIVE, "book": [("genre", [3])]},
    ),
    "a correlated column is no constant": (
        select(Author).where(Author.id == 5, Author.books.any()),
        {"author": FIVE, "book": None},
    ),
    "a scalar subquery": (
        select(Author.id, select(func.count()).where(Book.author_id == 3).scalar_subquery()).where(
            Author.id == 5
        ),
        {"author": FIVE, "book": [("author_id", [3])]},
    ),
    "IN of a subquery": (
        select(Author).where(Author.id.in_(select(Book.author_id).where(Book.id == 5))),
        {"author": None, "book": FIVE},
    ),
    "a LATERAL": (
        select(Author.id, late := select(Book.id).where(Book.author_id == Author.id).lateral())
        .join(late, true())
        .where(Author.id == 5),
        {"author": FIVE, "book": None},
    ),
    "loader criteria": (
        select(Book)
        .where(Book.id == 5)
        .options(with_loader_criteria(Book, Book.author_id.in_(select(Author.id)))),
        {"book": FIVE, "author": None},
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_tables(name: str) -> None:
    """The rows of each table that matter, by joins and subqueries."""
    statement, expected = SEVERAL[name]
    assert depends(statement) == expected


def test_a_recursive_query_depends_on_every_row_that_it_may_reach() -> None:
    """The start is precise, the step is not."""
    start = select(Author.id, Author.boss_id).where(Author.id == 1).cte(recursive=True)
    step = select(AUTHOR.c.id, AUTHOR.c.boss_id).join(start, AUTHOR.c.id == start.c.boss_id)
    assert depends(select(start.union_all(step))) == {"author": None}


def test_only_taggable_columns_tag() -> None:
    """The caller says which columns it can tell values of apart; others are of no use."""
    statement = select(Book).where(Book.id == 1, Book.price == 2)
    assert depends(statement, lambda column: column is BOOK.c.price) == {"book": [("price", [2])]}
    assert depends(statement, lambda column: False) == {"book": None}
    joined = select(Book).join(Author, Book.title == Author.name).where(Author.name == "x")
    assert depends(joined) == {"book": [("title", ["x"])], "author": [("name", ["x"])]}
    # a name that ignores case is equal to "x" without being it
    assert depends(joined, lambda column: column is BOOK.c.title) == {"book": None, "author": None}


class Lowered(TypeDecorator[str]):
    """One stored value for several of Python's."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """Lower case alone is stored."""
        return value and value.lower()


class Chosen(TypeDecorator[str]):
    """It has no say but in which type a dialect uses, as SQLModel's texts."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """MySQL wants a length."""
        return dialect.type_descriptor(String(255 if dialect.name == "mysql" else None))


class ChosenFolded(TypeDecorator[str]):
    """The same, of a type that compares in its own way."""

    impl = String(collation="NOCASE")
    cache_ok = True


class Shouted(TypeDecorator[str]):
    """What is read is not what is stored."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """Louder."""
        return value and value.upper()


@pytest.mark.parametrize(
    ("type_", "precise"),
    [
        (Integer(), True),
        (Chosen(), True),
        (ChosenFolded(), False),
        (Shouted(), False),
        (BigInteger().with_variant(Integer(), "sqlite"), True),
        (BigInteger().with_variant(Lowered(), "sqlite"), False),
        (String(), True),
        (String(collation="NOCASE"), False),
        (Lowered(), False),
        (postgresql.CITEXT(), False),
        (postgresql.CHAR(3), False),
        (postgresql.UUID(), True),
        (postgresql.JSONB(), False),
    ],
    ids=repr,
)
def test_types_that_compare_in_their_own_way_tag_nothing(type_: Any, precise: bool) -> None:
    """A decorator, a collation, padded or case-insensitive text: any row may matter."""
    table = Table("t", MetaData(), Column("x", type_))
    parameter: Any = bindparam("value", None, type_)
    found = dependencies(select(table).where(table.c.x == parameter), lambda column: True)
    assert not isinstance(found, Refusal)
    ((_, ways),) = [(one.table, one.ways) for one in found]
    assert (ways is not None) == precise


NAMED: Any = Author.name.label("n")
BESIDE_KEY: dict[str, tuple[Any, int | None]] = {
    "an entity": (select(Author), 4),
    "its key": (select(Author.id), 0),
    "a count": (select(func.count()).select_from(Author), 0),
    "joined by key": (select(Author).join(Review, Review.author_id == Author.id), 4),
    "joined by another": (select(Author).join(Review, Review.stars == Author.rank), 5),
    "an alias": (select(aliased(Author)), 4),
    "an alias, a condition": (select(OTHER.id).join(Author, Author.rank == OTHER.price), 1),
    "a condition": (select(Author).where(Author.rank > 1), 5),
    "a condition of the key": (select(Author).where(Author.id > 1), 4),
    "an order": (select(Author).order_by(Author.id, Author.rank), 5),
    "an order by name": (select(Author).order_by("rank"), None),
    "an order by a label": (select(Author.id, NAMED).order_by(NAMED), 2),
    "an order by a label, descending": (select(Author.id, NAMED).order_by(NAMED.desc()), 2),
    "groups": (select(Author.id).group_by(Author.id, Author.code), 1),
    "groups by a label": (select(Author.id, NAMED).group_by(Author.id, NAMED), 2),
    "an aggregate": (select(func.max(Author.rank)), 1),
    "a subquery": (select(Author.id).where(Author.books.any()), 0),
    "loaded with it": (select(Author).options(joinedload(Author.boss)), 9),
    "loaded with it, limited": (select(Author).options(joinedload(Author.books)).limit(1), 4),
    "criteria": (
        select(Author.id)
        .select_from(Author)
        .options(with_loader_criteria(Author, Author.rank > 1)),
        1,
    ),
    "a union": (union(select(Author.id), select(Author.code)), 1),
    "a CTE": (select(select(Author.id, Author.name).cte().c.id), 1),
}


@pytest.mark.parametrize("name", BESIDE_KEY)
def test_what_is_used_beside_the_key(name: str) -> None:
    """How often other columns of a table are rendered; not told where one may stand for more."""
    statement, expected = BESIDE_KEY[name]
    found = dependencies(statement, lambda column: True)
    assert not isinstance(found, Refusal)
    assert {one.beside_key for one in found if one.table is AUTHOR} == {expected}
