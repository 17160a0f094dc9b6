"""The tables that the benchmark reads and writes, mapped without the cache.

The columns stand in plain mixins so that the same two tables can be mapped twice: here for the
contestants that know nothing of the cache, and in `cached_model` for the one that does.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SUPPLIER_TABLE = "rediscache_bench_supplier"
PRODUCT_TABLE = "rediscache_bench_product"


class SupplierColumns:
    """The columns of a supplier: the far end of the many-to-one."""

    __tablename__ = SUPPLIER_TABLE

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    country: Mapped[str] = mapped_column(String(2))
    rating: Mapped[int]


class ProductColumns:
    """The 12 columns of a product, of the types that an ordinary table has."""

    __tablename__ = PRODUCT_TABLE

    id: Mapped[int] = mapped_column(primary_key=True)
    supplier_id: Mapped[int] = mapped_column(ForeignKey(f"{SUPPLIER_TABLE}.id"))
    uid: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(80))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    active: Mapped[bool]
    stock: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    description: Mapped[str | None] = mapped_column(Text)
    released_on: Mapped[dt.date | None]
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))


class PlainBase(DeclarativeBase):
    """The registry of the models that the cache does not know."""


class PlainSupplier(SupplierColumns, PlainBase):
    """A supplier, mapped without the cache."""


class PlainProduct(ProductColumns, PlainBase):
    """A product, mapped without the cache."""

    supplier: Mapped[PlainSupplier] = relationship()
