"""INSERT of rows whose keys the database makes, into tables of many kinds."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, func, insert, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_rediscache import CacheMixin, CachePolicy, from_cache
from tests.differential.models import Animal, Base, Car, Cat, Circle, Dog, Figure, Truck, Vehicle
from tests.fix_caches import CacheMaker
from tests.integration.library import Book, Tag, book_tag, populated
from tests.integration.looks import Looks
from tests.integration.stage import Stage
from tests.servers import Database


def five() -> Any:
    """A key that only the database knows."""
    return literal(2) + 3


# -- inheritance ------------------------------------------------------------------------------


@pytest.fixture
def zoo(database: Database, make_cache: CacheMaker) -> Stage:
    """Vehicles, animals and figures."""
    stage = Stage(database, make_cache(), Base.metadata)
    with stage.Plain.begin() as session:
        session.add_all([
            Vehicle(id=1, name="v"), Car(id=2, name="c", doors=4),
            Truck(id=3, name="t", load=7, log="l"), Cat(id=2, name="c", lives=9),
            Animal(id=1, name="a"), Figure(id=1, name="f"), Circle(id=1, name="c", radius=3),
        ])  # fmt: skip
    return stage


VEHICLES: Any = Vehicle.__table__
TRUCKS: Any = Truck.__table__
ZOO: tuple[Any, ...] = (Vehicle, Car, Truck, Animal, Cat, Dog, Figure, Circle)


def animals(session: Session) -> dict[str, Any]:
    """Every class by keys that are there or not, and how many there are."""
    found: dict[str, Any] = {}
    for model in ZOO:
        for key in (1, 2, 3, 5):
            one = session.get(model, key)
            found[f"{model.__name__} {key}"] = one and (type(one).__name__, one.name)
        count = select(func.count()).select_from(model).options(from_cache())
        found[f"{model.__name__}s"] = session.scalar(count)
    return found


in_zoo = Looks(animals)

INHERITED: dict[str, tuple[Any, int]] = {
    # Rows that are there are not loaded again: absences of 2 and 1 keys each, and counts.
    "root of joined tables": (insert(VEHICLES).values(id=five(), kind="vehicle", name="n"), 10),
    "root of one table": (insert(Animal).values(id=five(), kind="animal", name="n"), 13),
    "subclass of one table": (insert(Cat).values(id=five(), kind="cat", name="n", lives=1), 13),
    "root of concrete tables": (insert(Figure).values(id=five(), name="n"), 5),
    "concrete subclass": (insert(Circle).values(id=five(), name="n", radius=1), 4),
}


@pytest.mark.parametrize("way", INHERITED)
def test_a_hierarchy(zoo: Stage, way: str) -> None:
    """A new row of the root, or of a subclass in its table, is seen through every class."""
    in_zoo.warmed(zoo)
    statement, most = INHERITED[way]
    with zoo.Session.begin() as session:
        session.connection().execute(statement)
    count = in_zoo.right(zoo)
    assert 0 < count.selects <= most, count.statements


def test_a_subclass_with_a_table_of_its_own(zoo: Stage) -> None:
    """A row there may belong to one of the root that is cached: the region is emptied."""
    zoo.behind("INSERT INTO vehicle (id, kind, name) VALUES (5, 'truck', 'half')")
    in_zoo.warmed(zoo)
    with zoo.Session.begin() as session:
        session.connection().execute(insert(TRUCKS).values(id=five(), load=8, log="l"))
    in_zoo.right(zoo)
    with zoo.Session() as session:
        truck: Any = session.get_one(Vehicle, 5)
        assert truck.load == 8


# -- keys and regions of several kinds --------------------------------------------------------


class Other(DeclarativeBase):
    """The base of these models."""


class House(CacheMixin, Other):
    """Has rooms."""

    __tablename__ = "house"
    id: Mapped[int] = mapped_column(primary_key=True)


class Room(CacheMixin, Other):
    """Its key is in part another's, in part its own."""

    __tablename__ = "room"
    house_id: Mapped[int] = mapped_column(ForeignKey("house.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))


class Whole(CacheMixin, Other):
    """A table that two classes are mapped to, under two names of regions."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Part(CacheMixin, Other):
    """The other one."""

    __table__ = Whole.__table__
    __cache__ = CachePolicy(region="parts")


class Word(CacheMixin, Other):
    """Its key may be written in several ways, for some databases."""

    __tablename__ = "word"
    text: Mapped[str] = mapped_column(String(20), primary_key=True)
    size: Mapped[int | None] = mapped_column(index=True)


@pytest.fixture
def town(database: Database, make_cache: CacheMaker) -> Stage:
    """Houses, rooms, things and words."""
    stage = Stage(database, make_cache(), Other.metadata)
    with stage.Plain.begin() as session:
        session.add_all([House(id=1), House(id=2), Whole(id=1, name="one")])
        session.flush()
        session.add_all(
            [Room(house_id=1, number=1, kind="a"), Room(house_id=2, number=1, kind="b")]
        )
        session.add(Word(text="cat", size=3))
    return stage


def places(session: Session) -> dict[str, Any]:
    """All rows by key, those that are not there, and what queries know of keys."""
    found: dict[str, Any] = {}
    for house in (1, 2):
        for number in (1, 5):
            room = session.get(Room, (house, number))
            found[f"room {house}, {number}"] = room and room.kind
        by = select(Room.kind).where(Room.house_id == house).order_by(Room.number)
        found[f"rooms of {house}"] = list(session.scalars(by.options(from_cache())))
    by = select(Room.kind).where(Room.number == 5).order_by(Room.kind)
    found["rooms 5"] = list(session.scalars(by.options(from_cache())))
    for model in (Whole, Part):
        for key in (1, 5):
            one: Any = session.get(model, key)
            found[f"{model.__name__} {key}"] = one and one.name
    return found


def words(session: Session) -> dict[str, Any]:
    """Words that are there or not, and those of a size."""
    found: dict[str, Any] = {}
    for text in ("cat", "dog", "DOG"):
        word = session.get(Word, text)
        found[text] = word and word.size
    long = select(Word.text).where(Word.size == 3).order_by(Word.text)
    found["of three"] = list(session.scalars(long.options(from_cache())))
    return found


THINGS: Any = Whole.__table__
in_town, in_dictionary = Looks(places), Looks(words)


def test_a_key_that_is_known_in_part(town: Stage) -> None:
    """Queries by the part that is known end, and by the other one; not by another's."""
    in_town.warmed(town)
    with town.Session.begin() as session:
        session.execute(insert(Room).values(house_id=1, number=five(), kind="new"))
    count = in_town.right(town)
    # the absences of both houses' rooms, the rooms of the house, the rooms of the number
    assert count.selects == 4, count.statements


def test_a_part_of_the_key_that_is_anothers(town: Stage) -> None:
    """Where that is not known all queries by tags end, and the rows stay."""
    in_town.warmed(town)
    with town.Session.begin() as session:
        values = {"house_id": literal(0) + 1, "number": five(), "kind": "new"}
        session.execute(insert(Room).values(values))
    count = in_town.right(town)
    assert count.selects == 5, count.statements


def test_two_regions_of_one_table(town: Stage) -> None:
    """A row that is new through one class is new through the other."""
    in_town.warmed(town)
    with town.Session.begin() as session:
        session.execute(insert(Whole).values(id=five(), name="new"))
    most = 3 + town.is_sqlite  # whose snapshots are served of what they knew before
    assert 0 < in_town.right(town).selects <= most


@pytest.mark.every_database
def test_a_key_of_several_forms(town: Stage) -> None:
    """A new row whose key the database takes for another text's is seen under both."""
    for _ in range(3):
        in_dictionary.counted(town)
    with town.Session.begin() as session:
        session.execute(insert(Word), [{"text": "dog", "size": 3}])
    in_dictionary.right(town)


@pytest.mark.databases("mariadb")
@pytest.mark.parametrize("key", [0, None])
def test_a_key_that_the_database_makes_another_of(town: Stage, key: Any) -> None:
    """0 and NULL are no keys of an AUTO_INCREMENT column."""
    town.behind("ALTER TABLE thing MODIFY id INTEGER AUTO_INCREMENT, AUTO_INCREMENT = 5")
    in_town.warmed(town)
    with town.Session.begin() as session:
        session.connection().execute(insert(THINGS), [{"id": key, "name": "new"}])
    in_town.right(town)
    with town.Session() as session:
        assert session.get_one(Whole, 5).name == "new"


def test_rows_between_two_classes_of_a_select(database: Database, make_cache: CacheMaker) -> None:
    """Which rows a SELECT gives is not known: all collections end, no row of either class."""
    stage = populated(database, make_cache())

    def look(session: Session) -> dict[str, Any]:
        found = {f"{one}": [tag.name for tag in session.get_one(Book, one).tags] for one in (1, 4)}
        return {**found, "tag": session.get_one(Tag, 1).name}

    looks = Looks(look)
    looks.warmed(stage)
    with stage.Session.begin() as session:
        chosen = select(literal(4), Tag.id).where(Tag.id < 3)
        session.execute(insert(book_tag).from_select(["book_id", "tag_id"], chosen))
    assert looks.right(stage).selects == 2
