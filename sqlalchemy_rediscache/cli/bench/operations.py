"""The operations that are timed. Each opens a session, does its work and closes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from operator import attrgetter
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from sqlalchemy_rediscache import RedisCache, from_cache
from sqlalchemy_rediscache.cli.bench.contestants import Contestant

_supplier = attrgetter("supplier")
_name = attrgetter("name")


def get_one(who: Contestant, ids: Iterator[int]) -> Callable[[], object]:
    """Return: new session, `session.get` of the next of `ids`, close."""
    factory, product, options = who.factory, who.product, who.options or None

    def operation() -> object:
        with factory() as session:
            return session.get(product, next(ids), options=options)

    return operation


def select_in(who: Contestant, id_lists: Iterator[Sequence[int]]) -> Callable[[], object]:
    """Return: new session, all products of the next list of ids by one IN, close."""
    factory, product, options = who.factory, who.product, who.options

    def operation() -> object:
        with factory() as session:
            statement = select(product).where(product.id.in_(next(id_lists)))
            return session.scalars(statement.options(*options)).all()

    return operation


def select_range(who: Contestant, starts: Iterator[int]) -> Callable[[], object]:
    """Return: new session, 100 products of a range of keys in their order, close."""
    factory, product, options = who.factory, who.product, who.query_options

    def operation() -> object:
        start = next(starts)
        with factory() as session:
            statement = select(product).where(product.id.between(start, start + 99))
            statement = statement.order_by(product.id).options(*options)
            return session.scalars(statement).all()

    return operation


def aggregate(who: Contestant, suppliers: Iterator[int]) -> Callable[[], object]:
    """Return: new session, how many products a supplier has and what they cost, close."""
    factory, product, options = who.factory, who.product, who.query_options

    def operation() -> object:
        with factory() as session:
            statement = select(func.count(), func.sum(product.price))
            statement = statement.where(product.supplier_id == next(suppliers))
            return session.execute(statement.options(*options)).one()

    return operation


def by_unique_key(who: Contestant, uids: Iterator[UUID]) -> Callable[[], object]:
    """Return: new session, the product with the next unique id, close."""
    factory, product, options = who.factory, who.product, who.options

    def operation() -> object:
        with factory() as session:
            statement = select(product).where(product.uid == next(uids)).options(*options)
            return session.scalars(statement).one()

    return operation


def name_query(
    cache: RedisCache, who: Contestant, suppliers: Iterator[int]
) -> Callable[[], object]:
    """Return: what the cache does to name a query and its tags; the statement is there already."""
    product, queries = who.product, cache._hooks.queries
    engine = cache._services.engine(who.factory.kw["bind"])
    states: list[Any] = []
    for number in range(1, 11):
        statement = select(product).where(product.supplier_id == number, product.active)
        statement = statement.order_by(product.id).limit(20).options(from_cache())
        states.append(SimpleNamespace(statement=statement, parameters=None))
    option = from_cache()

    def operation() -> object:
        return queries.named(states[next(suppliers) - 1], engine, option, None)

    return operation


def session_and_command(who: Contestant, command: Callable[[], object]) -> Callable[[], object]:
    """Return: new session that begins a transaction, one bare command of Redis, close.

    What a session that is served by Redis costs at least, before anything is made of the answer.
    """
    factory = who.factory

    def operation() -> object:
        with factory() as session:
            session.begin()
            return command()

    return operation


def statement_and_command(
    who: Contestant, uids: Iterator[UUID], command: Callable[[], object]
) -> Callable[[], object]:
    """Return: the same, and the statement of `by_unique_key` is made, but not executed."""
    factory, product = who.factory, who.product

    def operation() -> object:
        with factory() as session:
            session.begin()
            select(product).where(product.uid == next(uids))
            return command()

    return operation


def begin_and_command(
    who: Contestant, command: Callable[[], object], stack: ExitStack
) -> Callable[[], int]:
    """Return: commit a session that stays open, time its next transaction's begin and a command.

    What the refresh of an object after a commit costs at least.
    """
    session = stack.enter_context(who.factory())

    def operation() -> int:
        session.commit()
        start = perf_counter_ns()
        session.begin()
        command()
        return perf_counter_ns() - start

    return operation


def lazy_supplier(who: Contestant, ids: Iterator[int]) -> Callable[[], int]:
    """Return: new session, load a product, time the load of its supplier, close.

    The product is not loaded by `session.get`: SQLAlchemy compiles a statement once whatever
    user-defined options it has, so that this one would inherit the option of the get case, and
    dogpile's lazy load would go to the database.
    """
    factory, product, options = who.factory, who.product, who.lazy_options

    def operation() -> int:
        with factory() as session:
            statement = select(product).where(product.id == next(ids)).options(*options)
            loaded = session.scalars(statement).one()
            start = perf_counter_ns()
            _supplier(loaded)
            return perf_counter_ns() - start

    return operation


def refresh_after_commit(
    who: Contestant, ids: Sequence[int], stack: ExitStack
) -> Callable[[], int]:
    """Return: commit a session that stays open, time the refresh of one of its objects."""
    session = stack.enter_context(who.factory())
    kept = itertools.cycle([session.get(who.product, number) for number in ids])

    def operation() -> int:
        session.commit()
        loaded = next(kept)
        start = perf_counter_ns()
        _name(loaded)
        return perf_counter_ns() - start

    return operation


def refresh_in_transaction(
    who: Contestant, ids: Sequence[int], stack: ExitStack
) -> Callable[[], int]:
    """Return: expire one object of an open transaction, time its refresh."""
    session = stack.enter_context(who.factory())
    kept = itertools.cycle([session.get(who.product, number) for number in ids])

    def operation() -> int:
        loaded = next(kept)
        session.expire(loaded)
        start = perf_counter_ns()
        _name(loaded)
        return perf_counter_ns() - start

    return operation


def update_one(who: Contestant, ids: Iterator[int]) -> Callable[[], object]:
    """Return: new session, load a product, change one column, commit, close."""
    factory, product = who.factory, who.product

    def operation() -> None:
        with factory() as session:
            loaded: Any = session.get(product, next(ids))
            loaded.stock += 1
            session.commit()

    return operation


def commit_one(
    who: Contestant, ids: Iterator[int], clock: Callable[[], int] = perf_counter_ns
) -> Callable[[], int]:
    """Return: the same, but measure the commit with its flush only, by the difference of `clock`.

    Args:
        who: the contestant.
        ids: products to update.
        clock: any counter: nanoseconds, or round trips to Redis.
    """
    factory, product = who.factory, who.product

    def operation() -> int:
        with factory() as session:
            loaded: Any = session.get(product, next(ids))
            loaded.stock += 1
            start = clock()
            session.commit()
            return clock() - start

    return operation


def flush_many(
    who: Contestant, ids: Sequence[int], clock: Callable[[], int] = perf_counter_ns
) -> Callable[[], int]:
    """Return: new session, load all `ids`, change each, measure flush and commit, close."""
    factory, product = who.factory, who.product

    def operation() -> int:
        with factory() as session:
            statement = select(product).where(product.id.in_(ids))
            loaded = session.scalars(statement).all()
            for each in loaded:
                each.stock += 1
            start = clock()
            session.flush()
            session.commit()
            return clock() - start

    return operation
