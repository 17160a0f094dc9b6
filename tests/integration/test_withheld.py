"""Columns with `info={"cache": False}` never reach Redis; their objects are served all the same."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import select

from sqlalchemy_rediscache import refresh_cache
from tests.integration.models import Account
from tests.integration.stage import Stage


@pytest.fixture
def accounts(stage: Stage) -> Stage:
    """Two accounts with costs."""
    with stage.Plain.begin() as session:
        session.add_all([
            Account(id=1, name="ann", cost="9999777"),
            Account(id=2, name="bob", cost="9999777"),
        ])  # fmt: skip
    return stage


def everything(client: redis.Redis) -> bytes:
    """All that is in Redis."""
    found = []
    for key in client.scan_iter():
        found += [key, *(part for pair in client.hgetall(key).items() for part in pair)]
    return b"|".join(found)


def test_it_comes_from_the_database(accounts: Stage) -> None:
    """A hit has all else; the column is loaded when it is looked at."""
    accounts.warm(Account, 1)
    with accounts.Session() as session:
        with accounts.counting() as count:
            account = session.get_one(Account, 1)
            assert account.name == "ann"
        assert count.statements == []
        with accounts.counting() as count:
            assert account.cost == "9999777"
        assert count.selects == 1


def test_it_never_reaches_redis(accounts: Stage, redis_client: redis.Redis) -> None:
    """Neither a fill nor a commit, an insert nor an update puts it there."""
    with accounts.Session.begin() as session:
        session.add(Account(id=3, name="cid", cost="9999777"))
        session.get_one(Account, 1).name = "anna"
        session.get_one(Account, 2).cost = "9999777-else"
    accounts.warm(Account, 1, 2, 3)
    assert b"9999777" not in everything(redis_client)
    with accounts.Session() as session:
        assert session.get_one(Account, 1).name == "anna"
        assert session.get_one(Account, 2).cost == "9999777-else"
        assert session.get_one(Account, 3).cost == "9999777"


def test_changed_by_others_it_is_seen_at_once(accounts: Stage) -> None:
    """Since it is not cached, even a change that nobody told the cache of is seen."""
    accounts.warm(Account, 1)
    accounts.behind("UPDATE account SET cost = 'new' WHERE id = 1")
    with accounts.Session() as session:
        assert session.get_one(Account, 1).cost == "new"


@pytest.mark.parametrize("by", ["get", "select"])
def test_refresh_cache_replaces_the_entry(accounts: Stage, by: str) -> None:
    """A refreshing statement refills the row though it returns more than the row holds."""
    accounts.warm(Account, 1)
    accounts.behind("UPDATE account SET name = 'behind' WHERE id = 1")
    with accounts.Session() as session:
        if by == "get":
            session.get(Account, 1, options=[refresh_cache()])
        else:
            session.scalars(select(Account).where(Account.id == 1).options(refresh_cache())).one()
    with accounts.counting() as count, accounts.Session() as session:
        assert session.get_one(Account, 1).name == "behind"
    assert count.statements == []


def test_a_list_of_keys_is_served(accounts: Stage) -> None:
    """Several rows by key are one round trip, too."""
    accounts.warm(Account, 1, 2)
    with accounts.counting() as count, accounts.Session() as session:
        found = session.scalars(select(Account).where(Account.id.in_([1, 2]))).all()
        assert [account.name for account in found] == ["ann", "bob"]
    assert (count.statements, count.trips) == ([], 1)
