"""The tables of the demo: airports of the world and reports about their runways.

Every table name starts with `rediscache_demo_`, so that the demo can share a database with other
tables: it creates and drops nothing else.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum as PythonEnum

from sqlalchemy import Double, Enum, ForeignKey, Index, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin

TABLE_PREFIX = "rediscache_demo_"


class Status(PythonEnum):
    """Whether an airport can be used right now."""

    OPEN = "open"
    LIMITED = "limited"
    CLOSED = "closed"


class Condition(PythonEnum):
    """What covers a runway."""

    DRY = "dry"
    WET = "wet"
    FROST = "frost"
    SLUSH = "slush"
    DRY_SNOW = "dry snow"
    WET_SNOW = "wet snow"
    STANDING_WATER = "standing water"
    ICE = "ice"
    WET_ICE = "wet ice"


class Braking(PythonEnum):
    """How well an aircraft brakes on a runway, as its pilot reports it."""

    GOOD = "good"
    GOOD_TO_MEDIUM = "good to medium"
    MEDIUM = "medium"
    MEDIUM_TO_POOR = "medium to poor"
    POOR = "poor"
    NIL = "nil"


class Base(DeclarativeBase):
    """The declarative base of the demo's models."""


class Country(CacheMixin, Base):
    """A country, by its ISO 3166-1 code, with figures about its airports."""

    __tablename__ = f"{TABLE_PREFIX}country"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    airport_count: Mapped[int]
    highest_ft: Mapped[float] = mapped_column(Double)


class Subdivision(CacheMixin, Base):
    """A state, province or region of a country."""

    __tablename__ = f"{TABLE_PREFIX}subdivision"
    __table_args__ = (UniqueConstraint("country_code", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    country_code: Mapped[str] = mapped_column(ForeignKey(Country.code))
    name: Mapped[str] = mapped_column(String(80))

    country: Mapped[Country] = relationship()


class Timezone(CacheMixin, Base):
    """A time zone of the IANA database, for example `America/Argentina/Salta`."""

    __tablename__ = f"{TABLE_PREFIX}timezone"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    area: Mapped[str] = mapped_column(String(32))
    place: Mapped[str] = mapped_column(String(64))


class Airport(CacheMixin, Base):
    """An airport, with its current status, which runway reports update in place.

    `revision` grows by one with each update of the row; SQLAlchemy puts the revision that was
    read into the WHERE clause of the UPDATE, so no two commits give a row the same revision.
    """

    __tablename__ = f"{TABLE_PREFIX}airport"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    icao: Mapped[str] = mapped_column(String(4), unique=True)
    iata: Mapped[str | None] = mapped_column(String(3), unique=True)
    lid: Mapped[str | None] = mapped_column(String(8), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    city: Mapped[str | None] = mapped_column(String(80))
    latitude: Mapped[float] = mapped_column(Double)
    longitude: Mapped[float] = mapped_column(Double)
    elevation_ft: Mapped[float] = mapped_column(Double)
    country_code: Mapped[str] = mapped_column(ForeignKey(Country.code), index=True)
    subdivision_id: Mapped[int | None] = mapped_column(ForeignKey(Subdivision.id))
    timezone_name: Mapped[str] = mapped_column(ForeignKey(Timezone.name))
    status: Mapped[Status] = mapped_column(Enum(Status, native_enum=False, length=16))
    status_since: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column()

    country: Mapped[Country] = relationship()
    subdivision: Mapped[Subdivision | None] = relationship()
    timezone: Mapped[Timezone] = relationship()

    __mapper_args__ = {"version_id_col": revision}  # noqa: RUF012 - read once, when the class is mapped


class RunwayReport(Base):
    """What somebody saw on a runway. Only written by the demo, so it has no cache mixin."""

    __tablename__ = f"{TABLE_PREFIX}runway_report"
    __table_args__ = (Index(f"{TABLE_PREFIX}report_by_time", "airport_id", "observed_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    airport_id: Mapped[int] = mapped_column(ForeignKey(Airport.id))
    observed_at: Mapped[datetime]
    runway: Mapped[str] = mapped_column(String(3))
    condition: Mapped[Condition] = mapped_column(Enum(Condition, native_enum=False, length=32))
    braking: Mapped[Braking] = mapped_column(Enum(Braking, native_enum=False, length=32))
    depth_mm: Mapped[int] = mapped_column(SmallInteger)
    reporter: Mapped[str] = mapped_column(String(40))
