"""What a query is called: the same in every process, and for every order of the list of an IN."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.orm import Session

from sqlalchemy_rediscache import from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, populated
from tests.integration.shown import Run, again, check, fresh, outcome, warmed
from tests.integration.stage import Stage
from tests.servers import Database

ROOT = Path(__file__).parents[2]
CACHED = from_cache(ttl=60)

PROGRAM = """
import sys
from sqlalchemy import create_engine, select, tuple_
from sqlalchemy.orm import sessionmaker
from sqlalchemy_rediscache import RedisCache, from_cache
from tests.integration.library import Author, Book

cache = RedisCache(sys.argv[1], prefix="t", connect_timeout=5, read_timeout=5)
factory = cache.enable(sessionmaker(create_engine(sys.argv[2])))
names = {"ann", "bob", "cid", "dot", "eve", "fay", "gus"}
pairs = {(1, "one"), (2, "two"), (3, "three")}
statements = [
    select(Author).where(Author.email.in_({name + "@x" for name in names})).order_by(Author.id),
    select(Author.name).where(Author.name.not_in(names)).order_by(Author.id),
    select(Book.id).where(tuple_(Book.id, Book.title).in_(pairs)).order_by(Book.id),
    select(Author.id).where(Author.country.in_({"fr", None, "de"})).order_by(Author.id),
]
for statement in statements:
    statement = statement.options(from_cache(ttl=60))
    print(cache.explain(statement).key)
    for _ in range(3):
        with factory() as session:
            session.execute(statement).all()
print(cache.stats().query_misses)
cache.close()
"""


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library, of which nothing is cached."""
    return populated(database, make_cache())


def _all(statement: Any) -> Run:
    return lambda session: session.execute(statement).all()


def test_sets_of_texts_in_two_processes(stage: Stage, redis_url: str) -> None:
    """A Python set in an IN makes the same key, and is served, whatever the hash seed."""

    def run(seed: str) -> list[str]:
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM, redis_url, stage.database.url],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return found.stdout.split()

    *keys, misses = run("1")
    assert len(set(keys)) == 4
    assert int(misses) >= 4
    for seed in ("2", "3"):
        assert run(seed) == [*keys, "0"]


def test_the_order_of_an_in_is_no_matter(stage: Stage) -> None:
    """Lists, tuples and sets of the same values are one query; other values are another."""

    def read(session: Session, values: Any) -> list[str]:
        statement = select(Book.title).where(Book.author_id.in_(values)).order_by(Book.id)
        return list(session.scalars(statement.options(CACHED)))

    warmed(stage, lambda session: read(session, [1, 2]))
    for values in ([2, 1], (2, 1), {1, 2}, [1, 2, 2, 1]):
        found, count = again(stage, lambda session, one=values: read(session, one))  # type: ignore[misc]
        assert (found, count.statements) == (outcome(stage, lambda s: read(s, [1, 2])), [])
    assert again(stage, lambda session: read(session, [1, 3]))[1].selects == 1
    with stage.Session.begin() as session:
        session.get_one(Book, 3).author_id = 1
    fresh(stage, *[lambda s, one=v: read(s, one) for v in ([2, 1], {1, 2})])


def test_values_given_with_the_call(stage: Stage) -> None:
    """A list for an expanding parameter is ordered; a parameter used elsewhere, too, is not."""
    who: Any = bindparam("who", expanding=True)
    listed = select(Book.id).where(Book.author_id.in_(who)).order_by(Book.id).options(CACHED)
    for values in ([1, 2], [2, 1], {2, 1}, []):
        given = {"who": list(values)}
        assert check(stage, lambda s, one=given: s.scalars(listed, one).all()).statements == []  # type: ignore[misc]
    assert stage.cache.stats().query_fills == 2


def test_pairs_and_mixed_types(stage: Stage) -> None:
    """Lists of pairs, of texts and NULL, and of numbers that equal each other are told apart."""
    pairs = [(2, "two"), (1, "one")]
    for listed in (pairs, pairs[::-1]):
        statement = select(Book.id).where(tuple_(Book.id, Book.title).in_(listed))
        check(stage, _all(statement.order_by(Book.id).options(CACHED)))
    keys = {
        stage.cache.explain(select(Author.id).where(Author.country.in_(values)).options(CACHED)).key
        for values in (["a", "b"], ["b", "a"], ["b", "a", None], ["a", "b", "c"])
    }
    assert len(keys) == 3
    assert stage.cache.stats().query_fills == 1
