"""Lookups by key that load more than a row, by joins: where they are cached, and what ends them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    foreign,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)

from sqlalchemy_rediscache import CacheMixin, CachePolicy, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.shown import Run, check, fresh
from tests.integration.stage import Stage
from tests.servers import Database


class Base(DeclarativeBase):
    """Base of the models here."""


class Shelf(CacheMixin, Base):
    """Loads what is on it by a join."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    jars: Mapped[list[Jar]] = relationship(lazy="joined", order_by="Jar.id")


class Jar(CacheMixin, Base):
    """Loads nothing by itself."""

    __tablename__ = "jar"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    name: Mapped[str] = mapped_column(String(20))
    shelf: Mapped[Shelf] = relationship(viewonly=True)


class Label(CacheMixin, Base):
    """Loads the jar that it is on by a join."""

    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    jar_id: Mapped[int] = mapped_column(ForeignKey("jar.id"))
    jar: Mapped[Jar] = relationship(lazy="joined")


class Seal(CacheMixin, Base):
    """The same by an inner join: without a jar it would not be found."""

    __tablename__ = "seal"
    id: Mapped[int] = mapped_column(primary_key=True)
    jar_id: Mapped[int] = mapped_column(ForeignKey("jar.id"))
    jar: Mapped[Jar] = relationship(lazy="joined", innerjoin=True)


class Stamp(CacheMixin, Base):
    """As a seal, and its policy asks for all of its selects."""

    __tablename__ = "stamp"
    __cache__ = CachePolicy(query_defaults=from_cache(ttl=60))
    id: Mapped[int] = mapped_column(primary_key=True)
    jar_id: Mapped[int] = mapped_column(ForeignKey("jar.id"))
    jar: Mapped[Jar] = relationship(lazy="joined", innerjoin=True)


class Note(CacheMixin, Base):
    """May be on a jar, or on one that there is not: no foreign key."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    jar_id: Mapped[int | None]
    jar: Mapped[Jar | None] = relationship(
        lazy="joined", primaryjoin=lambda: foreign(Note.jar_id) == Jar.id
    )


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """Two shelves with jars, of which nothing is cached."""
    stage = Stage(database, make_cache(), Base.metadata)
    with stage.Session.begin() as session:
        session.add_all(Shelf(id=n, name=f"shelf {n}") for n in (1, 2))
        session.flush()
        session.add_all(Jar(id=n, shelf_id=1 + n % 2, name=f"jar {n}") for n in range(1, 6))
        session.flush()
        session.add_all(Label(id=n, jar_id=n) for n in (1, 2))
        session.add_all(Stamp(id=n, jar_id=n) for n in (1, 2))
        session.add_all(Seal(id=n, jar_id=n) for n in (1, 2))
        session.add_all(Note(id=n, jar_id=jar) for n, jar in ((1, 1), (2, None), (3, 9)))
    return stage


def _shelf(session: Session, number: int) -> Any:
    shelf = session.get(Shelf, number)
    return shelf and (shelf.name, [jar.name for jar in shelf.jars])


def _on_jar(session: Session, model: Any, number: int) -> Any:
    found = session.get(model, number)
    return found and (found.jar_id, found.jar and found.jar.name)


SERVED: dict[str, Run] = {
    "get": lambda session: _shelf(session, 1),
    "absent": lambda session: _shelf(session, 9),
    "select": lambda session: session.scalars(select(Shelf).where(Shelf.id == 1)).unique().all(),
    "get with an option": lambda session: session.get_one(
        Jar, 1, options=[joinedload(Jar.shelf).selectinload(Shelf.jars), from_cache(ttl=60)]
    ),
    "many-to-one": lambda session: _on_jar(session, Label, 1),
    "many-to-one, absent": lambda session: _on_jar(session, Label, 9),
    "many-to-one, an option": lambda session: session.get_one(
        Jar, 1, options=[joinedload(Jar.shelf).lazyload(Shelf.jars)]
    ),
    "many-to-one, none": lambda session: _on_jar(session, Note, 2),
    "many-to-one, some": lambda session: _on_jar(session, Note, 1),
    "inner join, asked for": lambda session: (
        session.get_one(Seal, 1, options=[from_cache(ttl=60)]).jar.name
    ),
    "inner join, by policy": lambda session: _on_jar(session, Stamp, 1),
    "many-to-one of all": lambda session: session.scalars(
        select(Note).where(Note.id < 3).order_by(Note.id).options(from_cache(ttl=60))
    ).all(),
}


@pytest.mark.parametrize("name", SERVED)
def test_it_is_served_and_follows_writes(stage: Stage, name: str) -> None:
    """What is joined is loaded, without SQL, and is never older than the last commit."""
    run = SERVED[name]
    assert check(stage, run).statements == []
    with stage.Session.begin() as session:
        session.get_one(Jar, 1).name = "new"
        session.add(Jar(id=7, shelf_id=1, name="more"))
        session.get_one(Shelf, 1).name = "renamed"
    fresh(stage, run)
    with stage.Session.begin() as session:
        session.delete(session.get_one(Jar, 4))
        for model in (Label, Stamp, Seal, Note):
            one: Any = session.get_one(model, 1)
            one.jar_id = 2
    fresh(stage, run)
    assert check(stage, run).statements == []


def test_a_write_to_another_row_ends_nothing(stage: Stage) -> None:
    """A shelf with its jars depends on that shelf and on the jars that are on it."""
    run: Run = lambda session: _shelf(session, 1)  # noqa: E731
    check(stage, run)
    with stage.Session.begin() as session:
        session.get_one(Jar, 1).name = "on shelf 2"
        session.get_one(Shelf, 2).name = "renamed"
    assert check(stage, run).statements == []
    misses = stage.cache.stats().query_misses
    fresh(stage, run)
    assert stage.cache.stats().query_misses == misses


def test_a_write_to_the_joined_row_is_seen_and_ends_nothing_else(stage: Stage) -> None:
    """A label depends on itself and on its jar; its entry stays, whatever is written to the jar."""
    run: Run = lambda session: _on_jar(session, Label, 1)  # noqa: E731
    check(stage, run)
    fills = stage.cache.stats().query_fills
    for number in (2, 1):
        with stage.Session.begin() as session:
            session.get_one(Jar, number).name = f"new {number}"
        fresh(stage, run)
        assert check(stage, run).statements == []
    assert stage.cache.stats().query_fills == fills
    with stage.Session.begin() as session:
        session.execute(update(Jar).where(Jar.shelf_id > 0).values(name="all"))
    fresh(stage, run)


def test_a_row_that_refers_to_nothing_is_not_kept(stage: Stage) -> None:
    """What it refers to may be made at any time."""
    run: Run = lambda session: _on_jar(session, Note, 3)  # noqa: E731
    assert check(stage, run).selects == 1
    with stage.Session.begin() as session:
        session.add(Jar(id=9, shelf_id=1, name="made"))
    fresh(stage, run)
    assert check(stage, run).statements == []
    with stage.Session.begin() as session:
        session.delete(session.get_one(Jar, 9))
    fresh(stage, run)
    assert check(stage, run).selects == 1


UNASKED: dict[str, Run] = {
    "inner join": lambda session: _on_jar(session, Seal, 1),
    "list": lambda session: session.scalars(select(Label).where(Label.id.in_([1, 2]))).all(),
    "joins of two steps": lambda session: session.get_one(
        Label, 1, options=[joinedload(Label.jar).joinedload(Jar.shelf)]
    ),
}


@pytest.mark.parametrize("name", UNASKED)
def test_what_any_write_would_end_is_not_cached_unasked(stage: Stage, name: str) -> None:
    """An entry that depends on all rows of a table, and lists of keys, have to be asked for."""
    assert check(stage, UNASKED[name]).selects == 1
    stats = stage.cache.stats()
    assert stats.query_fills == 0
    assert stats.reasons["eager"] == stats.bypassed > 0


def test_explain_says_so(stage: Stage) -> None:
    """It tells what is cached as rows from what loads more, and what would help."""
    explain = stage.cache.explain
    assert explain(select(Jar).where(Jar.id == 1)).how == "rows"
    assert explain(select(Jar).where(Jar.id == 1).options(selectinload(Jar.shelf))).how == "rows"
    shelf = explain(select(Shelf).where(Shelf.id == 1))
    assert (shelf.how, shelf.depends_on) == ("query", ("shelf: id = 1", "jar: shelf_id = 1"))
    label = explain(select(Label).where(Label.id == 1))
    assert label.how == "query"
    assert label.depends_on == ("label: id = 1", "jar: the rows that are joined")
    seal = explain(select(Seal).where(Seal.id == 1))
    assert (seal.cached, seal.reason) == (False, "eager")
    assert "selectin" in seal.why
    assert seal.depends_on == ("seal: id = 1", "jar: any row")
    assert explain(select(Seal).where(Seal.id == 1).options(from_cache())).how == "query"
    assert explain(select(Stamp).where(Stamp.id == 1)).how == "query"
    assert explain(select(Shelf).where(Shelf.id.in_([1, 2]))).reason == "eager"
