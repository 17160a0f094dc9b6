"""Cached queries give what they give without the cache, and no SQL once they are warm."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import String as Text
from sqlalchemy import (
    and_,
    bindparam,
    case,
    cast,
    distinct,
    exists,
    func,
    intersect,
    literal,
    select,
    text,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.orm import (
    Bundle,
    Session,
    aliased,
    contains_eager,
    defer,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)

from sqlalchemy_rediscache import from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import (
    Animal,
    Author,
    Book,
    Car,
    Cat,
    Review,
    Tag,
    Vehicle,
    book_tag,
    populated,
)
from tests.integration.shown import Run, check
from tests.integration.stage import Stage
from tests.servers import Database

pytestmark = pytest.mark.by_turns

Other = aliased(Author, name="other")
Boss = aliased(Author)
CHEAP = select(Book.author_id, func.count().label("many")).group_by(Book.author_id).cte("cheap")
DEAR = select(Book).where(Book.genre == 1).subquery()
DearBook = aliased(Book, DEAR)
AnyAnimal: Any = with_polymorphic(Animal, "*")

_start = select(Author.id, Author.boss_id).where(Author.id == 4).cte("above", recursive=True)
_up = aliased(Author)
ABOVE = _start.union_all(select(_up.id, _up.boss_id).where(_up.id == _start.c.boss_id))

ENTITIES: dict[str, Any] = {
    "all": select(Author).order_by(Author.id),
    "by tag": select(Book).where(Book.author_id == 1).order_by(Book.id),
    "by in": select(Book).where(Book.author_id.in_([1, 2, 7])).order_by(Book.id.desc()),
    "by null": select(Book).where(Book.author_id.is_(None)),
    "by no tag": select(Book).where(Book.genre == 1).order_by(Book.title),
    "or": select(Book).where((Book.author_id == 3) | (Book.genre == 2)).order_by(Book.id),
    "nothing": select(Book).where(Book.author_id == 99),
    "an empty in": select(Book).where(Book.author_id.in_([])),
    "join": select(Book).join(Book.author).where(Author.country == "fr").order_by(Book.id),
    "duplicates": select(Author).join(Author.books).order_by(Author.id),
    "distinct": select(Author).join(Author.books).distinct().order_by(Author.id),
    "limit and offset": select(Book).order_by(Book.id).limit(2).offset(1),
    "exists": select(Author).where(Author.books.any(Book.genre == 2)).order_by(Author.id),
    "has": select(Book).where(Book.author.has(country="fr")).order_by(Book.id),
    "of a relationship": select(Book).where(Book.author == Author(id=1)).order_by(Book.id),
    "in a subquery": select(Author)
    .where(Author.id.in_(select(Book.author_id).where(Book.genre == 1)))
    .order_by(Author.id),
    "an alias": select(Other).where(Other.id < 3).order_by(Other.id.desc()),
    "an alias of a subquery": select(DearBook).order_by(DearBook.id),
    "a cte": select(Author).join(CHEAP, CHEAP.c.author_id == Author.id).order_by(Author.id),
    "from a statement": select(Author).from_statement(
        select(Author).where(Author.country == "fr").order_by(Author.id)
    ),
    "a union": select(Author)
    .from_statement(
        union_all(select(Author).where(Author.id == 1), select(Author).where(Author.id == 2))
    ),
    "many-to-many": select(Book).join(Book.tags).where(Tag.name == "red").order_by(Book.id),
    "self-referential": select(Author).join(Author.boss.of_type(Boss)).where(Boss.name == "ann")
    .order_by(Author.id),
    "filter_by": select(Author).filter_by(email="bob@x"),
    "a tuple in": select(Author).where(tuple_(Author.id, Author.name).in_([(1, "ann"), (2, "x")])),
    "criteria": select(Author).order_by(Author.id).options(
        with_loader_criteria(Author, Author.country == "fr")
    ),
    "load_only": select(Author).order_by(Author.id).options(load_only(Author.name)),
    "defer": select(Author).order_by(Author.id).options(defer(Author.name)),
    "raiseload": select(Author).order_by(Author.id).options(raiseload("*")),
    "lazyload": select(Author).order_by(Author.id).options(lazyload(Author.books)),
}  # fmt: skip

EAGER: dict[str, Any] = {
    "joinedload": select(Author).order_by(Author.id).options(joinedload(Author.books)),
    "joinedload and limit": select(Author).order_by(Author.id).limit(2)
    .options(joinedload(Author.books)),
    "joinedload of one": select(Book).order_by(Book.id).options(joinedload(Book.author)),
    "joinedload, two steps": select(Author).order_by(Author.id)
    .options(joinedload(Author.books).joinedload(Book.reviews)),
    "joinedload, many-to-many": select(Book).order_by(Book.id).options(joinedload(Book.tags)),
    "contains_eager": select(Author).join(Author.books).where(Book.genre == 1)
    .order_by(Author.id, Book.id).options(contains_eager(Author.books)),
    "contains_eager of one": select(Book).join(Book.author).order_by(Book.id)
    .options(contains_eager(Book.author)),
    "outer contains_eager": select(Author).outerjoin(Author.books).order_by(Author.id, Book.id)
    .options(contains_eager(Author.books)),
    "selectinload": select(Author).order_by(Author.id).options(selectinload(Author.books)),
    "selectinload, two steps": select(Author).order_by(Author.id)
    .options(selectinload(Author.books).selectinload(Book.reviews)),
    "selectinload, many-to-many": select(Book).order_by(Book.id).options(selectinload(Book.tags)),
    "selectinload with criteria": select(Author).order_by(Author.id)
    .options(selectinload(Author.books.and_(Book.genre == 1))),
    "joined, then selectin": select(Book).order_by(Book.id)
    .options(joinedload(Book.author).selectinload(Author.books)),
    "subqueryload": select(Author).order_by(Author.id).options(subqueryload(Author.books)),
}  # fmt: skip

ROWS: dict[str, Any] = {
    "several entities": select(Author, Book).join(Author.books).order_by(Book.id),
    "an outer join": select(Author, Book).outerjoin(Author.books).order_by(Author.id, Book.id),
    "twice the same": select(Author, Boss).outerjoin(Author.boss.of_type(Boss))
    .order_by(Author.id),
    "entity and column": select(Author, Book.title).join(Author.books).order_by(Book.id),
    "columns": select(Book.id, Book.title, Book.price, Book.published).order_by(Book.id),
    "moments": select(Review.at, Review.stars).order_by(Review.id),
    "labels": select(Book.title.label("t"), Book.id.label("t2"), literal("x").label("lit"))
    .order_by(Book.id),
    "the same name twice": select(Author.id, Book.id).join(Author.books).order_by(Book.id),
    "an expression": select(Book.id + 1, Book.title + "!", cast(Book.id, Text)).order_by(Book.id),
    "case": select(Book.id, case((Book.genre == 1, "yes"), else_="no")).order_by(Book.id),
    "a bundle": select(Bundle("b", Book.id, Book.title)).order_by(Book.id),
    "aggregates": select(func.count(), func.sum(Book.price), func.max(Book.published),
                         func.avg(Book.price), func.count(distinct(Book.genre)))
    .select_from(Book),
    "an aggregate by tag": select(func.count(Book.id)).where(Book.author_id == 1),
    "groups": select(Book.author_id, func.count().label("many")).group_by(Book.author_id)
    .having(func.count() >= 1).order_by(Book.author_id),
    "with_only_columns": select(Author).with_only_columns(Author.name, Author.email)
    .order_by(Author.name),
    "a scalar subquery": select(
        Author.name,
        select(func.count(Book.id)).where(Book.author_id == Author.id).scalar_subquery(),
    ).order_by(Author.name),
    "a column of a subquery": select(DEAR.c.title, DEAR.c.author_id).order_by(DEAR.c.title),
    "a column of a cte": select(CHEAP.c.author_id, CHEAP.c.many).order_by(CHEAP.c.many,
                                                                        CHEAP.c.author_id),
    "a recursive cte": select(ABOVE.c.id, ABOVE.c.boss_id).order_by(ABOVE.c.id),
    "a union of columns": union(select(Author.name.label("n")), select(Tag.name)).order_by("n"),
    "an intersection": intersect(select(Author.id), select(Book.author_id)).order_by("id"),
    "exists as a column": select(exists().where(Book.author_id == 4), literal(None)),
    "a window": select(Book.id, func.rank().over(partition_by=Book.genre, order_by=Book.id))
    .order_by(Book.id),
    "an association table": select(book_tag.c.book_id, Tag.name)
    .join(Tag, and_(Tag.id == book_tag.c.tag_id)).order_by(book_tag.c.book_id, Tag.name),
    "null, true, bytes": select(literal(None), literal(True), literal(1.5), Author.email)
    .order_by(Author.id),
    "no row": select(Author.id, Book).join(Author.books).where(Author.id == 4),
}  # fmt: skip

POLYMORPHIC: dict[str, Any] = {
    "one table, root": select(Vehicle).order_by(Vehicle.id),
    "one table, subclass": select(Car).order_by(Car.id),
    "one table, columns": select(Vehicle.name, Car.doors).order_by(Vehicle.id),
    "joined, root": select(Animal).order_by(Animal.id),
    "joined, subclass": select(Cat).order_by(Cat.id),
    "joined, with all": select(AnyAnimal).order_by(AnyAnimal.id),
}


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache())


def _all(statement: Any) -> Run:
    return lambda session: session.execute(statement.options(from_cache(ttl=60))).all()


def _scalars(statement: Any) -> Run:
    return lambda session: session.scalars(statement.options(from_cache(ttl=60))).all()


def _unique(statement: Any) -> Run:
    return lambda session: session.scalars(statement.options(from_cache(60))).unique().all()


@pytest.mark.parametrize("name", ENTITIES)
def test_entities(stage: Stage, name: str) -> None:
    """A select of one entity: the same objects in the same state, rows, duplicates and order."""
    count = check(stage, _all(ENTITIES[name]))
    assert count.statements == []
    assert check(stage, _scalars(ENTITIES[name])).statements == []


@pytest.mark.parametrize("name", EAGER)
def test_eager_loading(stage: Stage, name: str) -> None:
    """What a loader option loads is loaded, in order, when the query comes from the cache."""
    count = check(stage, _unique(EAGER[name]))
    assert count.statements == []


@pytest.mark.parametrize("name", ROWS)
def test_rows(stage: Stage, name: str) -> None:
    """Rows of any columns: keys, values and Python types are those of the database."""
    statement = ROWS[name]
    if not hasattr(statement, "options"):
        statement = select(statement.subquery())
    count = check(stage, _all(statement))
    assert count.statements == []


@pytest.mark.parametrize("name", ROWS)
def test_mappings(stage: Stage, name: str) -> None:
    """mappings(), keys() and tuples() are what they are without the cache."""
    statement = ROWS[name]
    if not hasattr(statement, "options"):
        statement = select(statement.subquery())
    statement = statement.options(from_cache(ttl=60))

    def run(session: Session) -> Any:
        result = session.execute(statement)
        return [list(result.keys()), *(dict(one) for one in result.mappings().all())]

    if name not in ("the same name twice", "twice the same"):
        check(stage, run)
    check(stage, lambda session: session.execute(statement).first())
    if name != "exists as a column":  # SQLAlchemy calls it by the address of an object there
        check(stage, lambda session: session.execute(statement).columns(0).all())


def test_explain_takes_any_select(stage: Stage) -> None:
    """It says of each select here how it is cached, unions among them."""
    either = union(select(Author.name), select(Book.title)).order_by("name")
    unions = {"a union itself": either}
    for name, statement in {**ENTITIES, **EAGER, **ROWS, **POLYMORPHIC, **unions}.items():
        asked = statement.options(from_cache(ttl=60)) if hasattr(statement, "options") else either
        assert stage.cache.explain(asked).how in ("query", "rows"), name
    assert stage.cache.explain(either).reason == ""


@pytest.mark.parametrize("name", POLYMORPHIC)
def test_polymorphic_entities(stage: Stage, name: str) -> None:
    """Objects of a hierarchy are of their own class, with what their class loads."""
    check(stage, _all(POLYMORPHIC[name]))


def test_a_text_statement_is_what_it_is(stage: Stage) -> None:
    """Entities from text() have an option, too; their result is right, cached or not."""
    statement = select(Author).from_statement(text("SELECT * FROM author ORDER BY id"))
    check(stage, _all(statement))


@pytest.mark.parametrize(
    "how", ["scalar", "one", "one_or_none", "first", "partitions", "fetchmany"]
)
def test_ways_to_fetch(stage: Stage, how: str) -> None:
    """Each way of fetching a result gives what it gives without the cache."""
    statement = select(Author.name, Author.id).order_by(Author.id).options(from_cache(ttl=60))
    one = statement.where(Author.id == 2)

    ways: dict[str, Run] = {
        "scalar": lambda session: session.scalar(statement),
        "one": lambda session: session.execute(one).one(),
        "one_or_none": lambda session: session.execute(one.where(Author.name == "x")).one_or_none(),
        "first": lambda session: session.execute(statement).first(),
        "partitions": lambda session: list(session.execute(statement).partitions(3)),
        "fetchmany": lambda session: session.execute(statement).fetchmany(2),
    }
    assert check(stage, ways[how]).statements == []


def test_the_parameters_of_one_call(stage: Stage) -> None:
    """Values given with execute() are part of what a query is."""
    statement = select(Book.id).where(Book.author_id == bindparam("who")).order_by(Book.id)
    cached = statement.options(from_cache(ttl=60))
    for who in (1, 2, 1, None, 3):
        values = {"who": who}
        run: Run = lambda s, v=values: s.scalars(cached, v).all()  # type: ignore[misc]  # noqa: E731
        assert check(stage, run).statements == []
