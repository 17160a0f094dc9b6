"""Every entry expires; absence is remembered for a while; TTLs are spread."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqlalchemy_rediscache import CacheMixin, CachePolicy, ConfigurationError
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.servers import Database


class _Base(DeclarativeBase):
    pass


class Short(CacheMixin, _Base):
    """A TTL of its own, without jitter, and no memory of absence."""

    __tablename__ = "short"
    __cache__ = CachePolicy(ttl=100, jitter=0, negative_ttl=0)
    id: Mapped[int] = mapped_column(primary_key=True)


class Spread(CacheMixin, _Base):
    """A TTL that is shortened by up to half."""

    __tablename__ = "spread"
    __cache__ = CachePolicy(ttl=1000, jitter=0.5)
    id: Mapped[int] = mapped_column(primary_key=True)


def lifetimes(client: redis.Redis, table: str) -> list[int]:
    """The TTLs of a table's rows, in milliseconds."""
    keys = [key for key in client.scan_iter(match=f"*{{{table}@*") if not key.endswith(b"guard")]
    return [int(client.pttl(key)) for key in keys]


@pytest.fixture
def expiring(database: Database, make_cache: CacheMaker) -> Stage:
    """Ten rows of each model."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        session.add_all([Short(id=number) for number in range(10)])
        session.add_all([Spread(id=number) for number in range(10)])
    return stage


def test_a_row_lives_for_its_ttl(expiring: Stage, redis_client: redis.Redis) -> None:
    """The policy's TTL, filled or published."""
    expiring.warm(Short, 1)
    with expiring.Session.begin() as session:
        session.add(Short(id=70))
    times = lifetimes(redis_client, "short")
    assert len(times) >= 1
    assert all(60_000 < time <= 100_000 for time in times)


def test_ttls_are_spread(expiring: Stage, redis_client: redis.Redis) -> None:
    """With jitter, rows filled together don't expire together."""
    expiring.warm(Spread, *range(10))
    times = lifetimes(redis_client, "spread")
    assert len(times) == 10
    assert all(450_000 < time <= 1_000_000 for time in times)
    assert max(times) - min(times) > 10_000


def test_an_expired_row_is_read_again(expiring: Stage, redis_client: redis.Redis) -> None:
    """What Redis dropped comes from the database, and is cached again."""
    expiring.warm(Short, 1)
    for key in redis_client.scan_iter(match="*{short@*"):
        redis_client.delete(key)  # the row and its guard
    for selects in (1, 0):
        with expiring.counting() as count, expiring.Session() as session:
            assert session.get(Short, 1) is not None
        assert count.selects == selects


def test_absence_is_remembered(stage: Stage, redis_client: redis.Redis) -> None:
    """A second look for a row that does not exist is no SELECT, for as long as the policy says."""
    stage.warm(User, 99)
    with stage.counting() as count:
        stage.warm(User, 99)
    assert count.statements == []
    (time,) = lifetimes(redis_client, "users")
    assert 0 < time <= 60_000


def test_absence_is_not_remembered(expiring: Stage) -> None:
    """negative_ttl=0 asks the database each time."""
    for _ in range(2):
        with expiring.counting() as count:
            expiring.warm(Short, 99)
        assert count.selects == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"stale_ttl": 0}, {"stale_ttl": -1}, {"stale_ttl": True}, {"stale_ttl": "60"},
        {"stale_ttl": float("nan")}, {"stale_ttl": float("inf")},
        {"ttl": 0}, {"ttl": -1}, {"ttl": None}, {"ttl": "1h"}, {"ttl": float("nan")},
        {"jitter": 1}, {"jitter": -0.1}, {"negative_ttl": -1}, {"write": "behind?"},
        {"compress_over": -1}, {"region": ""}, {"region": "a{b}"},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    """A policy that can't work is an error where it is written, which names the field."""
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=name):
        CachePolicy(**wrong)  # type: ignore[arg-type]
