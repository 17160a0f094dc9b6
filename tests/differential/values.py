"""What the differential test chooses from: keys, values, options for each model."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.orm import (
    defer,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    undefer_group,
    with_loader_criteria,
)

from sqlalchemy_rediscache import refresh_cache, skip_cache
from tests.differential.models import (
    Animal,
    Author,
    Base,
    Book,
    Car,
    Cat,
    Circle,
    Country,
    Document,
    Dog,
    Figure,
    Genre,
    Item,
    Label,
    Lamp,
    Note,
    Point,
    Product,
    Publisher,
    Shelf,
    Spot,
    Truck,
    Vehicle,
)

Model = type[Base]
MODELS: tuple[Model, ...] = (
    Author, Book, Country, Publisher, Spot, Document, Vehicle, Car, Truck, Animal, Cat, Dog,
    Figure, Circle, Product, Note, Label, Shelf, Item, Lamp,
)  # fmt: skip

TEXTS = (None, "a", "bb", "C")
NUMBERS = (None, 0, 7)
UUIDS = tuple(UUID(int=number) for number in range(1, 5))
CODES = ("aa", "bb", "cc", "dd")


def key_of(model: Model, number: int) -> Any:
    """One of four keys of a model."""
    if model is Country:
        return CODES[number]
    if model is Publisher:
        return UUIDS[number]
    if model is Spot:
        return number + 1, CODES[number]
    return number + 1


def key_values(model: Model, number: int) -> dict[str, Any]:
    """The same as attributes."""
    key = key_of(model, number)
    if model is Spot:
        return {"row": key[0], "column": key[1]}
    return {"code" if model is Country else "id": key}


COLUMNS: dict[Model, dict[str, tuple[Any, ...]]] = {
    Author: {"first": TEXTS, "last": TEXTS, "email": TEXTS, "bio": TEXTS,
             "country_code": (None, *CODES), "manager_id": (None, 1, 2, 3)},
    Book: {"title": TEXTS, "genre": (None, *Genre),
           "price": (None, Decimal("1.50"), Decimal("1.999")),
           "meta": (None, {}, {"k": [1, "x"]}), "tags": (None, [], [1, "two"]),
           "author_id": (None, 1, 2), "publisher_id": (None, *UUIDS[:3])},
    Country: {"name": TEXTS},
    Publisher: {"name": TEXTS, "country_code": (None, *CODES)},
    Spot: {"x": NUMBERS, "y": NUMBERS, "at": (Point(1, 2), Point(None, 3)),
           "owner_id": (None, 1, 2)},
    Document: {"body": TEXTS, "author_id": (None, 1, 2)},
    Vehicle: {"name": TEXTS},
    Car: {"name": TEXTS, "doors": NUMBERS, "owner_id": (None, 1, 2)},
    Truck: {"name": TEXTS, "load": NUMBERS, "log": TEXTS},
    Animal: {"name": TEXTS},
    Cat: {"name": TEXTS, "lives": NUMBERS},
    Dog: {"name": TEXTS, "tricks": TEXTS},
    Figure: {"name": TEXTS},
    Circle: {"name": TEXTS, "radius": NUMBERS},
    Product: {"name": TEXTS, "cost": NUMBERS},
    Note: {"body": TEXTS, "author_id": (None, 1, 2)},
    Label: {"code": (None, *CODES)},
    Shelf: {"code": (None, *CODES), "name": TEXTS},
    Item: {"name": TEXTS, "rank": NUMBERS, "shelf_id": (None, 1, 2)},
    Lamp: {"watts": NUMBERS, "shelf_id": (None, 1, 2)},
}  # fmt: skip

REFERENCES: dict[Model, dict[str, Model]] = {
    Author: {"country": Country, "manager": Author},
    Book: {"author": Author, "publisher": Publisher},
    Publisher: {"country": Country},
    Spot: {"owner": Author},
    Document: {"author": Author},
    Car: {"owner": Author},
    Note: {"author": Author},
    Item: {"shelf": Shelf},
    Lamp: {"shelf": Shelf},
}

COLLECTIONS: dict[Model, dict[str, Model]] = {
    Author: {"books": Book},
    Country: {"authors": Author},
    Publisher: {"books": Book},
    Book: {"labels": Label},
    Shelf: {"items": Item, "lamps": Lamp},
}
"""Those that are lists."""

_ANY: tuple[Callable[[], Any], ...] = (skip_cache, refresh_cache, lambda: raiseload("*"))

OPTIONS: dict[Model, tuple[Callable[[], Any], ...]] = dict.fromkeys(MODELS, _ANY) | {
    Author: (
        *_ANY,
        lambda: load_only(Author.first),
        lambda: load_only(Author.first, raiseload=True),
        lambda: defer(Author.last),
        lambda: undefer(Author.email),
        lambda: undefer_group("text"),
        lambda: raiseload(Author.country),
        lambda: selectinload(Author.country),
        lambda: joinedload(Author.country),
        lambda: joinedload(Author.manager).defer(Author.first),
        lambda: selectinload(Author.books),
        lambda: selectinload(Author.manager).selectinload(Author.country),
        lambda: subqueryload(Author.books),
        lambda: selectinload(Author.books).selectinload(Book.labels),
        lambda: joinedload(Author.books),
        lambda: selectinload(Author.books.and_(Book.title == "a")),
        lambda: with_loader_criteria(Author, Author.first == "a"),
    ),
    Book: (
        *_ANY,
        lambda: defer(Book.meta),
        lambda: selectinload(Book.author),
        lambda: joinedload(Book.author).selectinload(Author.books),
        lambda: lazyload(Book.publisher),
        lambda: raiseload(Book.publisher),
        lambda: selectinload(Book.publisher).lazyload(Publisher.country),
        lambda: load_only(Book.title, Book.tags),
        lambda: selectinload(Book.labels),
        lambda: subqueryload(Book.labels),
        lambda: joinedload(Book.labels),
    ),
    Publisher: (
        *_ANY,
        lambda: lazyload(Publisher.country),
        lambda: joinedload(Publisher.country),
        lambda: selectinload(Publisher.books),
    ),
    Country: (*_ANY, lambda: selectinload(Country.authors), lambda: defer(Country.name)),
    Spot: (*_ANY, lambda: joinedload(Spot.owner), lambda: defer(Spot.x)),
    Document: (*_ANY, lambda: selectinload(Document.author), lambda: lazyload(Document.author)),
    Truck: (*_ANY, lambda: undefer(Truck.log), lambda: load_only(Truck.load)),
    Car: (*_ANY, lambda: joinedload(Car.owner), lambda: load_only(Car.doors)),
    Cat: (*_ANY, lambda: defer(Cat.lives)),
    Note: (*_ANY, lambda: selectinload(Note.author), lambda: joinedload(Note.author)),
    Shelf: (
        *_ANY,
        lambda: selectinload(Shelf.items),
        lambda: subqueryload(Shelf.items).joinedload(Item.shelf),
        lambda: joinedload(Shelf.items),
        lambda: lazyload(Shelf.lamps),
        lambda: subqueryload(Shelf.lamps).load_only(Lamp.watts),
        lambda: selectinload(Shelf.items.and_(Item.rank == 7)),
        lambda: with_loader_criteria(Item, Item.rank == 7),
    ),
    Item: (
        *_ANY,
        lambda: joinedload(Item.shelf).selectinload(Shelf.items),
        lambda: selectinload(Item.shelf),
        lambda: joinedload(Item.shelf, innerjoin=True),
    ),
}
