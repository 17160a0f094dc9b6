"""The rows of the benchmark: made from their number, so that every run has the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, insert, text

from sqlalchemy_rediscache.cli.bench.model import PlainBase, PlainProduct, PlainSupplier

_STATUSES = ("draft", "listed", "sold_out", "discontinued")
_COUNTRIES = ("DE", "FR", "JP", "BR", "KE")
_EPOCH = dt.datetime(2021, 3, 1, 9, 30, tzinfo=dt.UTC)
_CHUNK = 5_000


def supplier_row(number: int) -> dict[str, Any]:
    """Return the values of supplier `number` (1 and up)."""
    return {
        "id": number,
        "name": f"Supplier {number} and daughters",
        "country": _COUNTRIES[number % len(_COUNTRIES)],
        "rating": number % 6,
    }


def product_row(number: int, suppliers: int) -> dict[str, Any]:
    """Return the values of product `number` (1 and up), of one of `suppliers` suppliers."""
    created = _EPOCH + dt.timedelta(minutes=number, microseconds=number * 7 % 1_000_000)
    return {
        "id": number,
        "uid": UUID(int=(0x5EED << 96) + number * 0x9E3779B97F4A7C15 % (1 << 64)),
        "supplier_id": 1 + number % suppliers,
        "name": f"Adjustable reading lamp no. {number}",
        "price": Decimal(1999 + number % 50_000) / 100,
        "active": number % 7 != 0,
        "stock": number % 500,
        "status": _STATUSES[number % len(_STATUSES)],
        "description": f"Lamp {number}: brass arm, linen shade, 3 m of cloth-covered cable."
        if number % 4
        else None,
        "released_on": created.date() if number % 3 else None,
        "created_at": created,
        "updated_at": created + dt.timedelta(days=90) if number % 2 else None,
    }


def create_tables(engine: Engine) -> None:
    """Create the two tables, empty; those that an interrupted run left behind are dropped."""
    PlainBase.metadata.drop_all(engine)
    PlainBase.metadata.create_all(engine)


def drop_tables(engine: Engine) -> None:
    """Drop the two tables."""
    PlainBase.metadata.drop_all(engine)


def fill_tables(engine: Engine, products: int, suppliers: int) -> Iterator[int]:
    """Insert the rows in chunks; yield the number of products inserted so far after each."""
    with engine.begin() as connection:
        rows = [supplier_row(number) for number in range(1, suppliers + 1)]
        connection.execute(insert(PlainSupplier), rows)
    for start in range(1, products + 1, _CHUNK):
        stop = min(start + _CHUNK, products + 1)
        with engine.begin() as connection:
            rows = [product_row(number, suppliers) for number in range(start, stop)]
            connection.execute(insert(PlainProduct), rows)
        yield stop - 1
    if engine.dialect.name == "postgresql":
        # Without statistics the planner may change its mind in the middle of the run.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM ANALYZE {PlainProduct.__tablename__}"))
            connection.execute(text(f"VACUUM ANALYZE {PlainSupplier.__tablename__}"))
