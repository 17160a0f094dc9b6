"""Queries for the differential test: each kind of ORM select, in an order that is total."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    bindparam,
    case,
    exists,
    func,
    inspect,
    lambda_stmt,
    literal,
    select,
    union,
    union_all,
)
from sqlalchemy.orm import (
    Bundle,
    aliased,
    contains_eager,
    joinedload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)

from tests.differential.conditions import Condition, tag_columns, values_of
from tests.differential.models import (
    Animal,
    Author,
    Book,
    Car,
    Cat,
    Country,
    Dog,
    Item,
    Label,
    Publisher,
    Shelf,
    Truck,
    Vehicle,
    book_label,
)
from tests.differential.values import Model


@dataclass(frozen=True)
class Shape:
    """A kind of select.

    Attributes:
        model: Whose condition it takes; None for any model's.
        make: The statement, of the model, the condition and a number that chooses details.
        several: Its rows can tell of one entity several times, so that the result must be unique.
    """

    model: Model | None
    make: Callable[[Any, Condition, int], Any]
    several: bool = False


@dataclass(frozen=True)
class Question:
    """A statement, as data: it is made anew each time, as a program does.

    Attributes:
        shape: A name in `SHAPES`.
        model: The model that the condition is about.
        condition: The condition.
        number: Chooses details.
    """

    shape: str
    model: Model
    condition: Condition = field(default_factory=lambda: Condition("and"))
    number: int = 0

    def statement(self) -> Any:
        """The statement, without an option of the cache."""
        return SHAPES[self.shape].make(self.model, self.condition, self.number)

    @property
    def several(self) -> bool:
        """Must the result be made unique?"""
        return SHAPES[self.shape].several


def keys_of(entity: Any) -> list[Any]:
    """The attributes of an entity's primary key, of an alias too."""
    mapper = inspect(entity).mapper
    return [
        getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key
    ]


def _tag(entity: Any, number: int) -> Any:
    names = tag_columns(inspect(entity).mapper.class_)
    return getattr(entity, names[number % len(names)])


# -- of any model -----------------------------------------------------------------------------


def _plain(model: Any, where: Condition, number: int) -> Any:
    keys = keys_of(model)
    order = [keys[0].desc(), *keys[1:]] if number % 3 == 2 else keys
    return select(model).where(where.of(model)).order_by(*order)


def _limited(model: Any, where: Condition, number: int) -> Any:
    last = sorted(values_of(model))[-1]
    statement = select(model).where(where.of(model))
    statement = statement.order_by(getattr(model, last), *keys_of(model)).limit(1 + number % 3)
    return statement.offset(1) if number % 2 else statement


def _columns(model: Any, where: Condition, number: int) -> Any:
    keys = {one.key for one in keys_of(model)}  # a column that is selected twice is not cached
    names = [name for name in sorted(values_of(model)) if name not in keys]
    value = getattr(model, names[number % len(names)])
    return (
        select(*keys_of(model), value, value.label("again"), literal(7).label("seven"))
        .where(where.of(model))
        .order_by(*keys_of(model))
    )


def _count(model: Any, where: Condition, number: int) -> Any:
    return select(func.count()).select_from(model).where(where.of(model))


def _exists(model: Any, where: Condition, number: int) -> Any:
    return select(exists(select(keys_of(model)[0]).where(where.of(model))))


def _distinct(model: Any, where: Condition, number: int) -> Any:
    column = _tag(model, number)
    return select(column).where(where.of(model)).distinct().order_by(column)


def _grouped(model: Any, where: Condition, number: int) -> Any:
    column, key = _tag(model, number), keys_of(model)[0]
    statement = select(column, func.count(key).label("n")).where(where.of(model))
    statement = statement.group_by(column).order_by(column)
    return statement.having(func.count() > 1) if number % 3 == 2 else statement


def _aliased(model: Any, where: Condition, number: int) -> Any:
    alias = aliased(model)
    return select(alias).where(where.of(alias)).order_by(*keys_of(alias))


def _beside(model: Any, where: Condition, number: int) -> Any:
    other = aliased(model)
    both = _tag(model, number) == _tag(other, number)
    return (
        select(model, other)
        .join(other, both, isouter=bool(number % 2))
        .where(where.of(model))
        .order_by(*keys_of(model), *keys_of(other))
    )


def _cte(model: Any, where: Condition, number: int) -> Any:
    key = keys_of(model)[0]
    chosen = select(key.label("key")).where(where.of(model)).distinct().cte("chosen")
    return select(model).join(chosen, key == chosen.c.key).order_by(*keys_of(model))


def _derived(model: Any, where: Condition, number: int) -> Any:
    alias = aliased(model, select(model).where(where.of(model)).subquery())
    return select(alias).order_by(*keys_of(alias))


def _united(model: Any, where: Condition, number: int) -> Any:
    key, tag = keys_of(model)[0], _tag(model, number)
    unite = union_all if number % 2 else union
    both = unite(select(key).where(where.of(model)), select(key).where(tag.is_(None)))
    return select(model).where(key.in_(both)).order_by(*keys_of(model))


def _union_of_columns(model: Any, where: Condition, number: int) -> Any:
    key = keys_of(model)[0]
    both = union(
        select(key.label("key"), literal(1).label("part")).where(where.of(model)),
        select(key, literal(2)).where(_tag(model, number).is_not(None)),
    )
    return both.order_by("key", "part")


def _criteria(model: Any, where: Condition, number: int) -> Any:
    more = with_loader_criteria(model, where.of(model), include_aliases=True)
    return select(model).order_by(*keys_of(model)).options(more)


def _bundled(model: Any, where: Condition, number: int) -> Any:
    bundle: Any = Bundle("both", keys_of(model)[0], getattr(model, max(values_of(model))))
    chosen = case((where.of(model), 1), else_=0).label("chosen")
    return select(bundle, chosen).order_by(*keys_of(model))


def _from_statement(model: Any, where: Condition, number: int) -> Any:
    return select(model).from_statement(_plain(model, where, 0))


def _parameter(model: Any, where: Condition, number: int) -> Any:
    tag = _tag(model, number)
    known = values_of(model)[tag.key]
    value = known[number % len(known)]
    statement = select(model).where(where.of(model), tag == bindparam("given", type_=tag.type))
    return statement.params(given=value).order_by(*keys_of(model))


def _not_repeatable(model: Any, where: Condition, number: int) -> Any:
    return (
        select(*keys_of(model), func.now() == func.now())
        .where(where.of(model))
        .order_by(*keys_of(model))
    )


# -- of some ----------------------------------------------------------------------------------


def _of_author(model: Any, where: Condition, number: int) -> Any:
    statement = select(Book).join(Book.author, isouter=bool(number % 2)).where(where.of(Author))
    return statement.order_by(Book.id)


def _with_author(model: Any, where: Condition, number: int) -> Any:
    statement = select(Book, Author).outerjoin(Book.author).where(where.of(Book))
    return statement.order_by(Book.id)


def _contains_one(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Book)
        .join(Book.author)
        .options(contains_eager(Book.author))
        .where(where.of(Author))
        .order_by(Book.id)
    )


def _contains_many(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Shelf)
        .outerjoin(Shelf.items)
        .options(contains_eager(Shelf.items))
        .where(where.of(Shelf))
        .order_by(Shelf.id, Item.rank.desc(), Item.id)
    )


def _eager(model: Any, where: Condition, number: int) -> Any:
    load = (joinedload, selectinload, subqueryload)[number % 3]
    more = [
        load(Author.books),
        load(Author.books).selectinload(Book.labels),
        selectinload(Author.books.and_(Book.title == "a")),
    ][number % 2 + (number == 9)]
    return select(Author).where(where.of(Author)).options(more).order_by(Author.id)


def _eager_shelf(model: Any, where: Condition, number: int) -> Any:
    load = (joinedload, selectinload, subqueryload)[number % 3]
    statement = select(Shelf).where(where.of(Shelf)).options(load(Shelf.items))
    statement = statement.order_by(Shelf.id)
    return statement.limit(2) if number % 2 else statement


def _labelled(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Book, Label.code)
        .join(Book.labels)
        .where(where.of(Label))
        .order_by(Book.id, Label.id)
    )


def _between(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Label.id, func.count(book_label.c.book_id).label("books"))
        .outerjoin(book_label, book_label.c.label_id == Label.id)
        .where(where.of(Label))
        .group_by(Label.id)
        .order_by(Label.id)
    )


def _any(model: Any, where: Condition, number: int) -> Any:
    found: Any = Author.books.any(where.of(Book))
    return select(Author).where(~found if number % 3 == 2 else found).order_by(Author.id)


def _has(model: Any, where: Condition, number: int) -> Any:
    found: Any = Book.author.has(where.of(Author))
    return select(Book).where(~found if number % 3 == 2 else found).order_by(Book.id)


def _counted(model: Any, where: Condition, number: int) -> Any:
    books = select(func.count(Book.id)).where(Book.author_id == Author.id).scalar_subquery()
    statement = select(Author.id, Author.initials, books.label("books")).where(where.of(Author))
    return statement.order_by(Author.id)


def _of_country(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Book.id, Author, Country.name)
        .join(Book.author)
        .join(Author.country, isouter=bool(number % 2))
        .where(where.of(Country) if number % 3 else Country.code == "aa")
        .order_by(Book.id)
    )


def _managers(model: Any, where: Condition, number: int) -> Any:
    manager = aliased(Author, name="boss")
    statement = select(Author, manager).join(Author.manager.of_type(manager))
    return statement.where(where.of(manager)).order_by(Author.id)


def _published(model: Any, where: Condition, number: int) -> Any:
    return (
        select(Publisher, func.count(Book.id), func.sum(Book.price))
        .outerjoin(Publisher.books)
        .where(where.of(Publisher))
        .group_by(Publisher.id)
        .order_by(Publisher.id)
    )


def _lambda_criteria(model: Any, where: Condition, number: int) -> Any:
    wanted = number % 3
    more = with_loader_criteria(Item, lambda cls: cls.shelf_id == wanted)
    statement = select(Shelf).where(where.of(Shelf)).options(selectinload(Shelf.items), more)
    return statement.order_by(Shelf.id)


def _lambda_statement(model: Any, where: Condition, number: int) -> Any:
    wanted = number % 3
    statement: Any = lambda_stmt(lambda: select(Item))
    statement += lambda one: one.where(Item.shelf_id == wanted)
    statement += lambda one: one.order_by(Item.id)
    return statement


def _vehicles(model: Any, where: Condition, number: int) -> Any:
    if number % 3 == 0:
        every = with_polymorphic(Vehicle, [Car, Truck])
        return select(every).where(where.of(every)).order_by(every.id)
    statement = select(Vehicle).where(where.of(Vehicle)).order_by(Vehicle.id)
    return statement.options(selectin_polymorphic(Vehicle, [Car])) if number % 3 == 1 else statement


def _cars(model: Any, where: Condition, number: int) -> Any:
    statement = select(Car, Author).outerjoin(Car.owner).where(where.of(Car))
    return statement.order_by(Car.id)


def _animals(model: Any, where: Condition, number: int) -> Any:
    every = with_polymorphic(Animal, [Cat, Dog])
    statement = select(every).where(where.of(every))
    if number % 2:
        statement = statement.where(every.Cat.lives.is_distinct_from(7))
    return statement.order_by(every.id)


_ANY: Mapping[str, Callable[[Any, Condition, int], Any]] = {
    one.__name__[1:]: one
    for one in (
        _plain, _limited, _columns, _count, _exists, _distinct, _grouped, _aliased, _beside, _cte,
        _derived, _united, _union_of_columns, _criteria, _bundled, _from_statement, _parameter,
        _not_repeatable,
    )
}  # fmt: skip

SHAPES: Mapping[str, Shape] = {
    **{name: Shape(None, make) for name, make in _ANY.items()},
    "of author": Shape(Author, _of_author),
    "with author": Shape(Book, _with_author),
    "contains one": Shape(Author, _contains_one),
    "contains many": Shape(Shelf, _contains_many, several=True),
    "eager": Shape(Author, _eager, several=True),
    "eager shelf": Shape(Shelf, _eager_shelf, several=True),
    "labelled": Shape(Label, _labelled),
    "between": Shape(Label, _between),
    "any": Shape(Book, _any),
    "has": Shape(Author, _has),
    "counted": Shape(Author, _counted),
    "of country": Shape(Country, _of_country),
    "managers": Shape(Author, _managers),
    "published": Shape(Publisher, _published),
    "lambda criteria": Shape(Shelf, _lambda_criteria),
    "lambda statement": Shape(Item, _lambda_statement),
    "vehicles": Shape(Vehicle, _vehicles),
    "cars": Shape(Car, _cars),
    "animals": Shape(Animal, _animals),
}
