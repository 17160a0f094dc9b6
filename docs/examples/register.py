"""Models that can't take the mixin: an imperative mapping, registered with a policy."""

# ruff: noqa: T201 - a program that shows what it does
from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, create_engine
from sqlalchemy.orm import registry, relationship, sessionmaker

from sqlalchemy_rediscache import CachePolicy, RedisCache

mapper_registry = registry()


class Country:
    """A class that knows of neither SQLAlchemy nor the cache."""

    code: str
    name: str

    def __init__(self, code: str, name: str) -> None:
        """Name a country."""
        self.code = code
        self.name = name


class City:
    """A city of one country."""

    id: int
    name: str
    country: Country

    def __init__(self, name: str, country: Country) -> None:
        """Name a city."""
        self.name = name
        self.country = country


country_table = Table(
    "country",
    mapper_registry.metadata,
    Column("code", String(2), primary_key=True),
    Column("name", String(80), nullable=False),
)
city_table = Table(
    "city",
    mapper_registry.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("country_code", ForeignKey("country.code"), nullable=False),
)
mapper_registry.map_imperatively(Country, country_table)
mapper_registry.map_imperatively(City, city_table, properties={"country": relationship(Country)})


def main() -> None:
    """Run the example."""
    engine = create_engine("sqlite://")
    mapper_registry.metadata.create_all(engine)
    # The deadline is generous, for machines that are busy.
    with RedisCache("embedded://", prefix="atlas", read_timeout=2.0) as cache:
        cache.register(Country, CachePolicy(ttl=86_400))  # countries seldom change
        Session = cache.enable(sessionmaker(engine))  # noqa: N806 - as SQLAlchemy's manual names it

        with Session.begin() as session:
            session.add(City("Lima", Country("PE", "Peru")))

        with Session() as session:
            city = session.get_one(City, 1)  # City is not cached: from the database
            print(city.name, "in", city.country.name)
        for _ in range(2):
            with Session() as session:
                print(session.get_one(Country, "PE").name, "- hits:", cache.stats().hits)
    engine.dispose()


if __name__ == "__main__":
    main()
