"""Keys, policies, counters and views: small parts without a server."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy.dialects import mysql, oracle, postgresql, sqlite

from sqlalchemy_rediscache import CachePolicy
from sqlalchemy_rediscache.errors import ConfigurationError
from sqlalchemy_rediscache.keys import LAYOUT, Keys, region_name, scope_digest
from sqlalchemy_rediscache.session.view import View, view_of
from sqlalchemy_rediscache.stats import Counters, Stats


def test_a_place_is_one_slot() -> None:
    """Guard and rows of a region share a hash tag; prefix and layout begin every key."""
    place = Keys("shop").place("product", "5c09e")
    assert place.prefix == f"shop:{LAYOUT}:{{product@5c09e.0}}:".encode()
    assert place.guard == place.prefix + b"guard"
    assert Keys("shop").everything() == f"shop:{LAYOUT}:*"


@pytest.mark.parametrize(
    "name", ["a b", "a{b}", "a:b", "ünïcode", "a*", "", "sch.ta ble", "a\nb", "a\x00"]
)
def test_odd_names_make_plain_keys(name: str) -> None:
    """What could disturb a key is replaced, and names that look alike then stay apart."""
    made = region_name(name)
    assert not set(made) & set("{}:*? \n\x00")
    assert made.isascii()
    assert name == "" or made != region_name(name + " ")


def test_plain_names_are_kept() -> None:
    """A table's usual name is readable in its keys."""
    assert region_name("public.order_item-2") == "public.order_item-2"
    assert region_name("a b") != region_name("a:b") != region_name("a_b")


def test_scopes_are_apart() -> None:
    """Database, tenant and schemas each make another scope, in their own place."""
    scopes = [
        scope_digest(parts)
        for parts in [("db", None, None), ("db", "t", None), ("db", None, "t"), ("db2", None, None),
                      ("db", 1, None), ("db", "1", None), ("dbNone", None), ("db", None)]
    ]  # fmt: skip
    assert len(set(scopes)) == len(scopes)
    assert scopes[0] == scope_digest(("db", None, None))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl", 0), ("ttl", -1), ("ttl", float("inf")), ("ttl", float("nan")), ("ttl", None),
        ("ttl", "60"), ("ttl", True), ("jitter", -0.1), ("jitter", 1), ("jitter", "x"),
        ("negative_ttl", -1), ("negative_ttl", None), ("write", "behind"), ("write", None),
        ("compress_over", -1), ("region", ""), ("region", "a b"), ("region", "{x}"),
    ],
)  # fmt: skip
def test_policies_refuse(field: str, value: Any) -> None:
    """A field outside of its range is an error that names the field and what to give."""
    with pytest.raises(ConfigurationError, match=rf"{field}=.*: give "):
        CachePolicy(**{field: value})


@pytest.mark.parametrize(
    "fields",
    [{}, {"ttl": 0.5}, {"jitter": 0}, {"jitter": 0.9}, {"negative_ttl": 0}, {"write": "invalidate"},
     {"compress_over": None}, {"compress_over": 0}, {"region": "shop.v2"}],
)  # fmt: skip
def test_policies_accept(fields: dict[str, Any]) -> None:
    """Every field has its range, its default, and can't be changed afterwards."""
    policy = CachePolicy(**fields)
    assert {name: getattr(policy, name) for name in fields} == fields
    with pytest.raises(AttributeError):
        policy.ttl = 1  # type: ignore[misc]


def test_counters_are_exact_under_threads() -> None:
    """Nothing that several threads count is lost."""
    counters = Counters()

    def work() -> None:
        for _ in range(5000):
            counters.add("hits")
            counters.add("misses", 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.read() == Stats(hits=20_000, misses=40_000)


def test_what_is_counted_has_a_name() -> None:
    """A misspelled counter is an error, not a new counter."""
    with pytest.raises(KeyError):
        Counters().add("hit")


def test_ratios() -> None:
    """The hit ratio is that of rows looked up, and 0 before anything was."""
    assert Stats().hit_ratio == 0.0
    assert Stats(hits=3, misses=1).hit_ratio == 0.75
    assert Stats(fills=2, published=3).stores == 5


@pytest.mark.parametrize(
    ("dialect", "level", "expected"),
    [
        (postgresql, None, View.LATEST),
        (oracle, None, View.LATEST),
        (mysql, None, View.SNAPSHOT),
        (sqlite, None, View.SNAPSHOT),
        (postgresql, "READ COMMITTED", View.LATEST),
        (postgresql, "REPEATABLE READ", View.SNAPSHOT),
        (postgresql, "repeatable read", View.SNAPSHOT),
        (postgresql, "SERIALIZABLE", View.CLOSED),
        (postgresql, "AUTOCOMMIT", View.CLOSED),
        (mysql, "READ COMMITTED", View.LATEST),
        (mysql, "READ UNCOMMITTED", View.CLOSED),
        (mysql, "SERIALIZABLE", View.CLOSED),
        (sqlite, "SERIALIZABLE", View.SNAPSHOT),
        (sqlite, "READ UNCOMMITTED", View.CLOSED),
        (sqlite, "AUTOCOMMIT", View.CLOSED),
        (postgresql, "SOMETHING NEW", View.CLOSED),
    ],
)
def test_views_of_isolation_levels(dialect: Any, level: str | None, expected: View) -> None:
    """Each level is what its transactions see of others' commits; the unknown is closed."""
    assert view_of(dialect.dialect(), level) is expected
