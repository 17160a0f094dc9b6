"""Queries that are cached without being asked for, since their model or their factory says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import (
    CacheMixin,
    CachePolicy,
    ConfigurationError,
    from_cache,
    skip_cache,
)
from tests.fix_caches import CacheMaker
from tests.integration.shown import Run, again, check, fresh
from tests.integration.stage import Stage
from tests.servers import Database


class Base(DeclarativeBase):
    """The base of these models."""


class Country(CacheMixin, Base):
    """Read by everybody, seldom written: all of its selects are cached."""

    __tablename__ = "country"
    __cache__ = CachePolicy(query_defaults=from_cache(ttl=60, tags=("geo",)), collections=False)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    towns: Mapped[list[Town]] = relationship(order_by="Town.id")


class Town(CacheMixin, Base):
    """Says nothing of queries."""

    __tablename__ = "town"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    country_id: Mapped[int | None] = mapped_column(ForeignKey("country.id"))


COUNTRIES = select(Country).order_by(Country.name)
TOWNS = select(Town).where(Town.name >= "m").order_by(Town.id)


def _populated(database: Database, cache: Any) -> Stage:
    stage = Stage(database, cache, Base.metadata)
    with stage.Plain.begin() as session:
        session.add_all([
            Country(id=1, name="fr", towns=[Town(id=1, name="nice"), Town(id=2, name="lyon")]),
            Country(id=2, name="de", towns=[Town(id=3, name="ulm")]),
        ])  # fmt: skip
    return stage


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """Countries and towns, of which nothing is cached."""
    return _populated(database, make_cache())


def _all(statement: Any) -> Run:
    return lambda session: session.execute(statement).all()


def _selects(stage: Stage, run: Run) -> int:
    return [again(stage, run)[1].selects for _ in range(4)][-1]


def test_every_select_of_a_model(stage: Stage) -> None:
    """A model whose policy says so has its selects cached, as if they had the option."""
    for statement in (
        COUNTRIES,
        select(Country.name).order_by(Country.id),
        select(func.count()).select_from(Country),
        select(Country, Town).join(Country.towns).order_by(Town.id),
    ):
        assert check(stage, _all(statement)).statements == []
        assert stage.cache.explain(statement).depends_on[-1] == "the tag 'geo'"
    with stage.Session.begin() as session:
        session.get_one(Country, 1).name = "xx"
    fresh(stage, _all(COUNTRIES))
    legacy: Run = lambda session: session.query(Country).filter(Country.name != "a").all()  # noqa: E731
    assert check(stage, legacy).statements == []


def test_what_the_statement_says_goes_before(stage: Stage) -> None:
    """skip_cache() keeps a select out; an option of its own is taken instead."""
    assert _selects(stage, _all(COUNTRIES.options(skip_cache()))) == 1
    own = COUNTRIES.options(from_cache(ttl=60))
    assert _selects(stage, _all(own)) == 0
    assert stage.cache.explain(own).depends_on == ("country: any row",)
    stage.cache.invalidate_tags("geo")
    assert again(stage, _all(own))[1].selects == 0


def test_other_models_and_loads(stage: Stage) -> None:
    """Selects of other models ask, as ever, and the policy's word on collections holds."""
    assert _selects(stage, _all(TOWNS)) == 1
    found = stage.cache.explain(TOWNS)
    assert (found.cached, found.reason) == (False, "")
    assert _selects(stage, lambda session: session.get_one(Country, 1).towns) == 0
    assert _selects(stage, _all(select(Town, Country).join(Country).order_by(Town.id))) == 1


def test_every_select_of_a_factory(database: Database, make_cache: CacheMaker) -> None:
    """A factory that was enabled so has the selects of all cached models cached, others not."""
    stage = _populated(database, make_cache())
    defaults = from_cache(ttl=60, key="f")
    factory = stage.cache.enable(sessionmaker(stage.engine), query_defaults=defaults)
    plain = stage.Session
    assert _selects(stage, _all(TOWNS)) == 1
    stage.Session = factory
    assert check(stage, _all(TOWNS)).statements == []
    assert check(stage, _all(COUNTRIES)).statements == []
    with plain.begin() as session:
        session.get_one(Town, 1).name = "new"
        session.get_one(Country, 1).name = "new"
    fresh(stage, _all(TOWNS), _all(COUNTRIES))
    stage.cache.disable(factory)
    assert _selects(stage, _all(TOWNS)) == 1


def test_a_class_of_sessions(database: Database, make_cache: CacheMaker) -> None:
    """The same for a class, until it is disabled."""

    class Own(Session):
        """A class of sessions, served by events alone."""

    stage = _populated(database, make_cache())
    stage.cache.enable(Own, query_defaults=from_cache(ttl=60))
    stage.Session = sessionmaker(stage.engine, class_=Own)
    assert check(stage, _all(TOWNS)).statements == []
    stage.cache.disable(Own)
    stage.cache.enable(Own)
    assert _selects(stage, _all(TOWNS)) == 1


def test_wrong_defaults(stage: Stage) -> None:
    """What is no from_cache() is refused, and so is another default for what is enabled."""
    for wrong in (60, "x", skip_cache(), True, {"ttl": 5}):
        value: Any = wrong
        with pytest.raises(ConfigurationError, match=r"give from_cache\(\.\.\.\), or None"):
            CachePolicy(query_defaults=value)
        with pytest.raises(ConfigurationError, match=r"give from_cache\(\.\.\.\), or None"):
            stage.cache.enable(sessionmaker(), query_defaults=value)
    with pytest.raises(ConfigurationError, match="disable"):
        stage.cache.enable(stage.Session, query_defaults=from_cache())


def test_asyncio(database: Database, make_cache: CacheMaker) -> None:
    """The same for factories of asyncio sessions."""
    _populated(database, make_cache()).cache.close()

    async def main() -> None:
        cache = make_cache(read_timeout=5, connect_timeout=5)
        engine = database.async_engine()
        factory = cache.enable(async_sessionmaker(engine), query_defaults=from_cache(ttl=60))
        try:
            for statement in (TOWNS, COUNTRIES):
                found = []
                for _ in range(4):
                    async with factory() as session:
                        await session.execute(statement)
                    found.append(cache.stats().query_hits)
                assert found[3] == found[2] + 1
        finally:
            await engine.dispose()
            await cache.aclose()

    asyncio.run(main())
