"""Selects of related models, in an order that is total."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, lambda_stmt, select
from sqlalchemy.orm import (
    aliased,
    contains_eager,
    joinedload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)

from tests.differential.conditions import Condition
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


OF_SOME: Mapping[str, tuple[Model, Callable[[Any, Condition, int], Any]]] = {
    "of author": (Author, _of_author),
    "with author": (Book, _with_author),
    "contains one": (Author, _contains_one),
    "contains many": (Shelf, _contains_many),
    "eager": (Author, _eager),
    "eager shelf": (Shelf, _eager_shelf),
    "labelled": (Label, _labelled),
    "between": (Label, _between),
    "any": (Book, _any),
    "has": (Author, _has),
    "counted": (Author, _counted),
    "of country": (Country, _of_country),
    "managers": (Author, _managers),
    "published": (Publisher, _published),
    "lambda criteria": (Shelf, _lambda_criteria),
    "lambda statement": (Item, _lambda_statement),
    "vehicles": (Vehicle, _vehicles),
    "cars": (Car, _cars),
    "animals": (Animal, _animals),
}
"""For each the model that its condition is about; the rest as in `OF_ANY`."""

SEVERAL = frozenset({"contains many", "eager", "eager shelf"})
"""Their rows can tell of one object several times."""
