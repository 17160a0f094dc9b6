"""The benchmark's tables, mapped a second time with `CacheMixin`."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, relationship

from sqlalchemy_rediscache import CacheMixin
from sqlalchemy_rediscache.cli.bench.model import ProductColumns, SupplierColumns


class CachedBase(DeclarativeBase):
    """The registry of the models that the cache serves."""


class CachedSupplier(CacheMixin, SupplierColumns, CachedBase):
    """A supplier, served by the cache."""


class CachedProduct(CacheMixin, ProductColumns, CachedBase):
    """A product, served by the cache."""

    supplier: Mapped[CachedSupplier] = relationship()
