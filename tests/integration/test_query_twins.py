"""Two classes whose tables have one name, in two databases: queries of one don't know the other."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_rediscache import CacheMixin, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.shown import again, fresh, warmed
from tests.integration.stage import Stage
from tests.servers import Database


class _One(DeclarativeBase):
    pass


class _Other(DeclarativeBase):
    pass


class Owner(CacheMixin, _One):
    """Whose the things are."""

    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)


class Thing(CacheMixin, _One):
    """Asked for by its owner."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))


class OtherThing(CacheMixin, _Other):
    """Of another program part, with another database: its table is called as the other's."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(index=True)


@pytest.mark.databases("sqlite")
def test_tables_of_one_name(
    two_databases: tuple[Database, Database], make_cache: CacheMaker
) -> None:
    """A write leaves the other queries of its class served, whatever other classes there are."""
    cache = make_cache()
    stage = Stage(two_databases[0], cache, _One.metadata)
    other = Stage(two_databases[1], cache, _Other.metadata)
    with stage.Plain.begin() as session:
        session.add_all([Owner(id=1), Owner(id=2)])
        session.flush()
        session.add_all([Thing(id=n, name="n", owner_id=n) for n in (1, 2)])
    with other.Plain.begin() as session:
        session.add_all([OtherThing(id=n, size=n) for n in (1, 2)])

    def of_first(session: Session) -> object:
        statement = select(Thing).where(Thing.owner_id == 1)
        return session.scalars(statement.options(from_cache(ttl=60))).all()

    def of_second(session: Session) -> object:
        statement = select(OtherThing).where(OtherThing.size == 1)
        return session.scalars(statement.options(from_cache(ttl=60))).all()

    warmed(stage, of_first)
    warmed(other, of_second)
    with stage.Session.begin() as session:
        session.get_one(Thing, 2).name = "changed"
    with other.Session.begin() as session:
        session.get_one(OtherThing, 2).size = 3
    for own, run in ((stage, of_first), (other, of_second)):
        _, count = again(own, run)
        assert count.statements == []
    with stage.Session.begin() as session:
        session.get_one(Thing, 2).owner_id = 1
    with other.Session.begin() as session:
        session.get_one(OtherThing, 2).size = 1
    fresh(stage, of_first)
    fresh(other, of_second)
