"""Polymorphic rows come back as the class they are."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import SAWarning

from sqlalchemy_rediscache.testing import audit
from tests.differential.models import Animal, Base, Car, Cat, Circle, Dog, Figure, Truck, Vehicle
from tests.fix_caches import CacheMaker
from tests.integration.stage import Stage
from tests.servers import Database


@pytest.fixture
def zoo(database: Database, make_cache: CacheMaker) -> Stage:
    """Vehicles, animals and figures."""
    stage = Stage(database, make_cache(), Base.metadata)
    with stage.Plain.begin() as session:
        session.add_all([
            Vehicle(id=1, name="v"), Car(id=2, name="c", doors=4),
            Truck(id=3, name="t", load=7, log="l"),
            Animal(id=1, name="a"), Cat(id=2, name="c", lives=9), Dog(id=3, name="d", tricks="t"),
            Figure(id=1, name="f"), Circle(id=1, name="c", radius=3),
        ])  # fmt: skip
    return stage


LOOKUPS: list[tuple[Any, int, Any]] = [
    (Vehicle, 1, Vehicle), (Vehicle, 2, Car), (Vehicle, 3, Truck), (Car, 2, Car), (Truck, 3, Truck),
    (Car, 1, None), (Car, 3, None), (Truck, 2, None),
    (Animal, 1, Animal), (Animal, 2, Cat), (Animal, 3, Dog), (Cat, 2, Cat), (Cat, 3, None),
    (Dog, 1, None), (Figure, 1, Figure), (Circle, 1, Circle), (Circle, 2, None),
]  # fmt: skip


@pytest.mark.parametrize("first", [True, False], ids=["root first", "subclass first"])
def test_the_right_class(zoo: Stage, first: bool) -> None:
    """get() of the root gives the subclass, get() of a sibling gives None, cold and warm."""
    lookups = LOOKUPS if first else list(reversed(LOOKUPS))
    for _ in range(2):
        for model, key, expected in lookups:
            with zoo.Session() as session:
                found = session.get(model, key)
                assert (None if found is None else type(found)) is expected, (model, key)


def test_columns_of_the_subclass(zoo: Stage) -> None:
    """What the root's load leaves to a second statement, and what it brings, is all there."""
    for _ in range(2):
        with zoo.Session() as session:
            car: Any = session.get(Vehicle, 2)
            truck: Any = session.get(Vehicle, 3)
            cat: Any = session.get(Animal, 2)
            assert (car.doors, truck.load, truck.log, cat.lives) == (4, 7, "l", 9)
        with zoo.Session() as session:
            assert session.get_one(Car, 2).name == "c"
            assert session.get_one(Circle, 1).radius == 3


@pytest.mark.parametrize("through", [Vehicle, Car])
def test_writes_are_seen_through_every_class(zoo: Stage, through: Any) -> None:
    """A change of the root's or the subclass's columns reaches both entries of the row."""
    zoo.warm(Vehicle, 2)
    zoo.warm(Car, 2)
    with zoo.Session.begin() as session:
        car = session.get_one(through, 2)
        car.name, car.doors = "new", 5
    for model in (Vehicle, Car):
        with zoo.Session() as session:
            found: Any = session.get(model, 2)
            assert (found.name, found.doors) == ("new", 5)
    with zoo.Session.begin() as session:
        session.delete(session.get(through, 2))
    for model in (Vehicle, Car):
        with zoo.Session() as session:
            assert session.get(model, 2) is None


@pytest.mark.parametrize("model", [Vehicle, Animal, Cat])
def test_bulk_writes_reach_all_classes(zoo: Stage, model: Any) -> None:
    """An UPDATE statement of one class of a hierarchy is seen through the others."""
    key = 2
    for one in (model, Animal, Cat, Vehicle, Car):
        zoo.warm(one, key)
    with zoo.Session.begin() as session:
        session.execute(update(model).where(model.id == key).values(name="bulk"))
    with zoo.Session() as session:
        assert session.get(Car if model is Vehicle else Cat, key).name == "bulk"  # type: ignore[union-attr]


def test_a_row_that_changes_its_class(zoo: Stage) -> None:
    """After the discriminator was changed by SQL, loads give the new class."""
    zoo.warm(Animal, 2)
    zoo.warm(Cat, 2)
    with zoo.Session.begin() as session:
        session.execute(update(Animal).where(Animal.id == 2).values(kind="dog"))
    with zoo.Session() as session:
        assert type(session.get(Animal, 2)) is Dog
    with zoo.Session() as session:
        assert session.get(Cat, 2) is None


@pytest.mark.parametrize("model", [Dog, Animal])
def test_an_object_that_says_another_class_is_not_published(zoo: Stage, model: Any) -> None:
    """A row whose object changes or brings a discriminator of another class is loaded anew."""
    zoo.warm(model, 3)
    with zoo.Session() as session:
        session.get_one(model, 3).kind = "cat"
        session.add(Dog(id=4, kind="cat"))
        with pytest.warns(SAWarning, match="incompatible polymorphic identity"):
            session.commit()
    assert audit(zoo.cache, zoo.engine) == []
    for key in (3, 4):
        with zoo.Session() as session:
            assert session.get(Dog, key) is None
            assert type(session.get(Animal, key)) is Cat


def test_a_list_of_mixed_classes(zoo: Stage) -> None:
    """Rows of several classes by a list of keys, from the cache."""
    statement = select(Animal).where(Animal.id.in_([1, 2, 3]))
    for _ in range(2):
        with zoo.Session() as session:
            found = session.scalars(statement).all()
            assert [type(one) for one in found] == [Animal, Cat, Dog]
