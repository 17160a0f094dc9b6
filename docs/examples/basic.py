"""First steps: a cached model, a commit, options, and what the counters say."""

# ruff: noqa: T201 - a program that shows what it does
from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Numeric, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin, CachePolicy, RedisCache, skip_cache


class Base(DeclarativeBase):
    """The application's declarative base."""


class Product(CacheMixin, Base):
    """A product; its purchase price never enters Redis."""

    __tablename__ = "product"
    __cache__ = CachePolicy(ttl=600)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    cost: Mapped[Decimal | None] = mapped_column(
        Numeric(10, 2), deferred=True, info={"cache": False}
    )


def main() -> None:
    """Run the example."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    # The deadline is generous, for machines that are busy.
    with RedisCache("embedded://", prefix="shop", read_timeout=2.0) as cache:
        Session = cache.enable(sessionmaker(engine))  # noqa: N806 - as SQLAlchemy's manual names it

        with Session.begin() as session:
            for number in (1, 2, 3):
                session.add(Product(id=number, name=f"lamp {number}", price=Decimal("19.90")))
        print("published:", cache.stats().published)

        with Session() as session:
            product = session.get_one(Product, 1)  # from Redis: no SQL
            product.price = Decimal("17.50")
            session.commit()  # lock, COMMIT, release with the new row
            print("price:", product.price)  # expired by the commit, read again from Redis

        with Session() as session:
            lamps = session.scalars(select(Product).where(Product.id.in_([1, 2, 3]))).all()
            print("lamps:", len(lamps))
        print("hits:", cache.stats().hits, "misses:", cache.stats().misses)

        with Session() as session:
            session.get(Product, 2, options=[skip_cache()])  # from the database
        with cache.bypass(), Session() as session:
            session.get(Product, 2)  # from the database
        print("hits:", cache.stats().hits)

        cache.invalidate(Product, 1)
        with Session() as session:
            session.get(Product, 1)  # loaded, and put in Redis again
        print("fills:", cache.stats().fills)
    engine.dispose()


if __name__ == "__main__":
    main()
