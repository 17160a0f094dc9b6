"""Which classes are cached, under which policy, and what shape their rows have."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, String, create_engine, func, inspect, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    registry,
    relationship,
)

from sqlalchemy_rediscache import CacheMixin, CachePolicy
from sqlalchemy_rediscache.errors import ConfigurationError, UncacheableModel
from sqlalchemy_rediscache.models import Models, mapper_of, tables_of
from sqlalchemy_rediscache.shape import Hydration, hydration_of, shape_of
from tests.private.models import Animal, Child, Dog, Kennel, Pair, Parent, Rich

DEFAULT = CachePolicy(ttl=11)


def family() -> dict[str, Any]:
    """Classes of a hierarchy with policies of their own; forgotten after the test."""

    class Base(DeclarativeBase):
        registry = registry()

    class Root(CacheMixin, Base):
        __tablename__ = "m_root"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "root"}  # noqa: RUF012

    class Heir(Root):
        __mapper_args__ = {"polymorphic_identity": "heir"}  # noqa: RUF012

    class Own(Root):
        __cache__ = CachePolicy(ttl=22)
        __mapper_args__ = {"polymorphic_identity": "own"}  # noqa: RUF012

    class Below(Own):
        __mapper_args__ = {"polymorphic_identity": "below"}  # noqa: RUF012

    class Out(Root):
        __cache__ = None
        __mapper_args__ = {"polymorphic_identity": "out"}  # noqa: RUF012

    class Plain(Base):
        __tablename__ = "m_plain"
        id: Mapped[int] = mapped_column(primary_key=True)

    return {one.__name__: one for one in (Root, Heir, Own, Below, Out, Plain)}


@pytest.mark.parametrize(
    ("name", "ttl"),
    [("Root", 11), ("Heir", 11), ("Own", 22), ("Below", 22), ("Out", None), ("Plain", None)],
)
def test_policies_are_inherited(name: str, ttl: float | None) -> None:
    """A subclass has its own policy, else its base's, else the cache's; None leaves it out."""
    models = Models(DEFAULT)
    policy = models.policy(inspect(family()[name]))
    assert (None if policy is None else policy.ttl) == ttl
    assert models.caches(inspect(family()[name])) is (ttl is not None)


def test_registered_classes() -> None:
    """A class that is registered is cached with its subclasses, before and after it was asked."""
    models, classes = Models(DEFAULT), family()
    mapper = inspect(classes["Plain"])
    assert not models.caches(mapper)
    models.register(classes["Plain"], CachePolicy(ttl=33))
    assert models.caches(mapper)
    assert models.policy(mapper) == CachePolicy(ttl=33)
    models.register(classes["Root"], CachePolicy(ttl=44))
    assert models.policy(inspect(classes["Heir"])) == CachePolicy(ttl=44)
    assert models.policy(inspect(classes["Own"])) == CachePolicy(ttl=22)
    found = {mapper.class_ for mapper in models.cached()} & set(classes.values())
    assert found == {classes[name] for name in ("Root", "Heir", "Own", "Below", "Plain")}


@pytest.mark.parametrize("wrong", [5, "Model", None, object()])
def test_what_can_not_be_registered(wrong: Any) -> None:
    """Only a class can be registered."""
    with pytest.raises(ConfigurationError):
        Models(DEFAULT).register(wrong, None)


def test_a_policy_of_another_type() -> None:
    """A `__cache__` that is no policy is an error that names the class."""
    root = family()["Heir"]
    root.__cache__ = {"ttl": 5}
    with pytest.raises(UncacheableModel, match="Heir"):
        Models(DEFAULT).policy(inspect(root))
    del root.__cache__


def test_classes_are_held_weakly() -> None:
    """A class that is no longer used is collected, registered or not."""
    models, classes = Models(DEFAULT), family()
    models.register(classes["Plain"], None)
    gone = [weakref.ref(one) for one in classes.values()]
    for one in classes.values():
        models.caches(inspect(one))
    classes["Plain"].registry.dispose()
    classes.clear()
    del one
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_mappers_and_tables() -> None:
    """A class has its own mapper, not its base's, and the tables of its whole row."""
    assert mapper_of(Dog) is inspect(Dog)
    assert mapper_of(type("Unmapped", (), {})) is None
    assert mapper_of(DeclarativeBase) is None
    assert tables_of(inspect(Dog)) == {Animal.__table__, Dog.__table__}


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine that never connects."""
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def shape(model: Any, engine: Engine) -> tuple[Any, Hydration]:
    """The shape of a class and how all of its columns become an object."""
    mapper = inspect(model)
    found = shape_of(mapper, engine.dialect)
    return found, hydration_of(mapper, {column: at for at, column in enumerate(found.columns)})


@pytest.mark.parametrize("model", [Parent, Child, Rich, Dog, Pair, Kennel])
def test_plain_classes_are_whole_and_direct(model: Any, engine: Engine) -> None:
    """Columns, composites, pure expressions and lazy relationships come from the row alone."""
    found, plan = shape(model, engine)
    assert found.whole
    assert plan.direct
    assert not plan.expired


def test_deferred_columns_are_not_in_the_row(engine: Engine) -> None:
    """A deferred column is neither selected nor expired; a withheld one is expired."""
    found, plan = shape(Rich, engine)
    names = {getattr(column, "name", "") for column in found.columns}
    assert "notes" not in names
    assert "notes" not in plan.names_loaded
    index = {column: at for at, column in enumerate(found.columns) if column.name != "secret"}
    assert hydration_of(inspect(Rich), index).expired == {"secret"}


def test_the_discriminator_is_found(engine: Engine) -> None:
    """The column that tells the class of a row has its place among the row's columns."""
    found, _ = shape(Dog, engine)
    assert found.columns[found.discriminator] is Animal.__table__.c.kind
    assert shape(Parent, engine)[0].discriminator is None


def test_names_are_given_when_every_value_is_an_attribute(engine: Engine) -> None:
    """The fast way to fill an object is open when each value is one attribute's, in order."""
    _, plan = shape(Parent, engine)
    assert plan.names == ("id", "name", "boss_id")
    assert shape(Dog, engine)[1].names is None or len(shape(Dog, engine)[1].names or ()) > 0


@pytest.mark.parametrize(
    ("prop", "whole", "direct"),
    [
        (lambda t: column_property(func.lower(t.c.name, type_=String)), True, True),
        (lambda t: column_property(func.coalesce(t.c.name, "x")), True, True),
        (lambda t: column_property(func.random()), False, True),
        (lambda t: column_property(func.now()), False, True),
        (lambda t: column_property(select(func.count(Pair.left)).scalar_subquery()), False, True),
        (lambda t: relationship("Odd", remote_side=t.c.id, lazy="select"), True, True),
        (lambda t: relationship("Odd", remote_side=t.c.id, lazy="raise"), True, True),
        (lambda t: relationship("Odd", remote_side=t.c.id, lazy="selectin"), True, False),
        (lambda t: relationship("Odd", remote_side=t.c.id, lazy="immediate"), True, False),
    ],
    ids=["lower", "coalesce", "random", "now", "subquery", "lazy", "raise", "selectin",
         "immediate"],
)  # fmt: skip
def test_what_a_property_does_to_a_shape(
    prop: Any, whole: bool, direct: bool, engine: Engine
) -> None:
    """What can't come from the row makes a class not whole, what loads more not direct."""

    class Base(DeclarativeBase):
        registry = registry()

    class Odd(Base):
        __tablename__ = "odd"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        up_id: Mapped[int | None]

    from sqlalchemy import ForeignKeyConstraint  # noqa: PLC0415

    table: Any = Odd.__table__
    table.append_constraint(ForeignKeyConstraint(["up_id"], ["odd.id"]))
    inspect(Odd).add_property("added", prop(table))
    found, plan = shape(Odd, engine)
    assert (found.whole, plan.direct) == (whole, direct)
    Base.registry.dispose()
