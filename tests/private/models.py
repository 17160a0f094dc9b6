"""Mappings that show each thing that the package relies on; none is cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Integer, MetaData, String, Table, func, inspect
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    composite,
    deferred,
    mapped_column,
    relationship,
)


class Base(DeclarativeBase):
    """The base of these models."""

    metadata = MetaData()


@dataclass
class Point:
    """A composite value."""

    x: int
    y: int


class Parent(Base):
    """What others refer to."""

    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("parent.id"))
    boss: Mapped[Parent | None] = relationship(remote_side="Parent.id")
    children: Mapped[list[Child]] = relationship(back_populates="parent")


class Child(Base):
    """Refers to a parent."""

    __tablename__ = "child"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("parent.id"))
    parent: Mapped[Parent | None] = relationship(back_populates="children")


class Rich(Base):
    """Attributes of every kind that is loaded with the row."""

    __tablename__ = "rich"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    secret: Mapped[str | None] = mapped_column(String(40), info={"cache": False})
    data: Mapped[Any] = mapped_column(MutableDict.as_mutable(JSON))
    px: Mapped[int]
    py: Mapped[int]
    at: Mapped[Point] = composite("px", "py")
    notes: Mapped[str | None] = deferred(mapped_column(String(200)))


inspect(Rich).add_property(
    "loud", column_property(func.upper(Rich.__table__.c.name, type_=String(40)))
)


class Animal(Base):
    """The root of a joined hierarchy."""

    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str | None] = mapped_column(String(40))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("parent.id"))
    owner: Mapped[Parent | None] = relationship()
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """A class with a table of its own beside its base's."""

    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Kennel(Base):
    """Refers to a class of a hierarchy."""

    __tablename__ = "kennel"
    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[int] = mapped_column(ForeignKey("animal.id"))
    animal: Mapped[Animal] = relationship()


class Pair(Base):
    """A composite primary key."""

    __tablename__ = "pair"
    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(40))


plain_table = Table(
    "plain", Base.metadata, Column("id", Integer, primary_key=True), Column("n", Integer)
)
