"""Parameters of queries whose values have no form of their own: members of enums, own types."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Dialect, Enum, Integer, TypeDecorator, bindparam, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqlalchemy_rediscache import CacheMixin, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.shown import Run, again, check, fresh
from tests.integration.stage import Stage
from tests.servers import Database

CACHED = from_cache(ttl=60)


class Status(enum.Enum):
    """What has become of an order; stored by its name."""

    OPEN = 1
    PAID = 2
    SENT = 3


class Way(enum.StrEnum):
    """How it is sent; stored by its value."""

    POST = "by post"
    SHIP = "by ship"


@dataclass(frozen=True)
class Money:
    """An amount, which the database has in cents."""

    cents: int


class Cents(TypeDecorator[Money]):
    """Money as a number."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        """Give the database cents; a plain number is an amount of whole units."""
        if value is None:
            return None
        return value.cents if isinstance(value, Money) else int(value) * 100

    def process_result_value(self, value: int | None, dialect: Dialect) -> Money | None:
        """Make money of cents."""
        return None if value is None else Money(value)


class Base(DeclarativeBase):
    """Base of the models here."""


class Order(CacheMixin, Base):
    """A row that enums and money tell apart."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[Status] = mapped_column(Enum(Status), index=True)
    way: Mapped[Way] = mapped_column(
        Enum(Way, values_callable=lambda members: [one.value for one in members], length=20)
    )
    price: Mapped[Money | None] = mapped_column(Cents)


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """Six orders, of which nothing is cached."""
    stage = Stage(database, make_cache(), Base.metadata)
    ways = [Way.POST, Way.SHIP]
    with stage.Session.begin() as session:
        session.add_all(
            Order(id=n, status=list(Status)[n % 3], way=ways[n % 2], price=Money(n * 100))
            for n in range(1, 7)
        )
    return stage


def _scalars(*where: Any) -> Run:
    statement = select(Order.id).where(*where).order_by(Order.id).options(CACHED)
    return lambda session: session.scalars(statement).all()


CONDITIONS: dict[str, tuple[Any, ...]] = {
    "member": (Order.status == Status.OPEN,),
    "member by value": (Order.way == Way.SHIP,),
    "list of members": (Order.status.in_([Status.SENT, Status.OPEN]),),
    "set of members": (Order.way.in_({Way.SHIP, Way.POST}),),
    "not": (Order.status != Status.PAID, Order.way == Way.POST),
    "own type": (Order.price == Money(300),),
    "own type, list": (Order.price.in_([Money(300), Money(100)]),),
    "own type, more": (Order.price > Money(300), Order.id < 6),
    "both": (Order.price > Money(100), Order.status == Status.OPEN),
    "null": (Order.price.is_(None),),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_query_is_served_and_follows_writes(stage: Stage, condition: str) -> None:
    """It gives what the database gives, before and after its rows change."""
    run = _scalars(*CONDITIONS[condition])
    assert check(stage, run).selects == 0
    with stage.Session.begin() as session:
        order = session.get_one(Order, 3)
        order.status, order.way, order.price = Status.PAID, Way.SHIP, Money(500)
    fresh(stage, run)
    with stage.Session.begin() as session:
        changed = {"status": Status.OPEN, "way": Way.POST, "price": Money(300)}
        session.execute(update(Order).where(Order.id == 4).values(changed))
    fresh(stage, run)
    assert check(stage, run).selects == 0


def test_another_member_is_another_query(stage: Stage) -> None:
    """Queries of one form are told apart by what is sent for their values."""
    for status in Status:
        assert check(stage, _scalars(Order.status == status)).selects == 0
    assert again(stage, _scalars(Order.status == Status.OPEN))[1].statements == []
    keys = {
        stage.cache.explain(select(Order.id).where(condition).options(CACHED)).key
        for condition in (
            Order.status == Status.OPEN, Order.status == Status.PAID,
            Order.price == Money(3), Order.price == Money(4),
        )
    }  # fmt: skip
    assert len(keys) == 4


def test_a_member_and_its_name(stage: Stage) -> None:
    """SQLAlchemy sends the same for both: either is served, whichever came first."""
    wanted: Any = bindparam("wanted", type_=Order.status.type)
    statement = select(Order.id).where(Order.status == wanted).order_by(Order.id).options(CACHED)
    for value in (Status.OPEN, "OPEN", Status.OPEN):
        given = {"wanted": value}
        assert check(stage, lambda s, one=given: s.scalars(statement, one).all()).selects == 0  # type: ignore[misc]


def test_what_is_sent_for_a_value_is_not_taken_for_the_value(stage: Stage) -> None:
    """300 means 300 units, and is not what `Money(300)` is sent as, which is 3 of them."""
    for value in (Money(300), 300, Money(500), 5, 3):
        condition = Order.price == value
        assert check(stage, _scalars(condition)).selects == 0


def test_a_set_of_members_makes_one_key(stage: Stage) -> None:
    """Order and repetition in the list of an IN don't matter."""
    one, other = [Status.OPEN, Status.SENT], (Status.SENT, Status.OPEN, Status.OPEN)
    keys = {
        stage.cache.explain(
            select(Order.id).where(Order.status.in_(members)).options(CACHED)
        ).key
        for members in (one, other, set(one))
    }  # fmt: skip
    assert len(keys) == 1
    assert "" not in keys


def test_what_can_not_be_sent_is_the_databases_to_refuse(stage: Stage) -> None:
    """A value that its type refuses goes to the database, and fails there as without a cache."""
    wanted = bindparam("wanted", object(), Order.status.type)
    statement = select(Order.id).where(Order.status == wanted).options(CACHED)
    errors = []
    for factory in (stage.Plain, stage.Session):
        with factory() as session, pytest.raises(StatementError) as caught:
            session.execute(statement).all()
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert stage.cache.explain(statement).reason == "parameter"
