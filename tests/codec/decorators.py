"""Types of applications: enumerations, and decorators of every temper."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, DateTime, Dialect, Integer, LargeBinary, String, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine


class Colour(enum.Enum):
    """An enumeration with an alias."""

    RED = 1
    GREEN = "green"
    BLUE = (0, 0, 255)
    AZURE = (0, 0, 255)  # noqa: PIE796 (an alias)


class Level(enum.IntEnum):
    """An enumeration whose members are also ints."""

    LOW = 1
    HIGH = 2


class Text1(str):
    """A subclass of str that adds nothing."""

    __slots__ = ()


@dataclass(frozen=True)
class Money:
    """A value class that the codec does not know."""

    cents: int
    currency: str


class MoneyType(TypeDecorator[Money]):
    """Money as a text."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Dialect) -> str | None:
        """As "cents currency"."""
        return None if value is None else f"{value.cents} {value.currency}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> Money | None:
        """Back."""
        if value is None:
            return None
        cents, _, currency = value.partition(" ")
        return Money(int(cents), currency)


class LowerText(TypeDecorator[str]):
    """A text that is written in small letters."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """In small letters."""
        return None if value is None else value.lower()


class UtcMoment(TypeDecorator[datetime]):
    """Aware datetimes in columns without a zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC, without the zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class ListText(TypeDecorator[list[Any]]):
    """Lists as JSON text; None is an empty list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> str:
        """As JSON."""
        return json.dumps(value or [])

    def process_result_value(self, value: str | None, dialect: Dialect) -> list[Any]:
        """Back."""
        result: list[Any] = json.loads(value) if value else []
        return result


class EnumNumber(TypeDecorator[Level]):
    """Members of an IntEnum as numbers."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Level | None, dialect: Dialect) -> int | None:
        """As its number."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Level | None:
        """Back."""
        return None if value is None else Level(value)


class Guid(TypeDecorator[UUID]):
    """The type that was written before SQLAlchemy had Uuid: another type for each database."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """UUID on PostgreSQL, characters elsewhere."""
        native = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.UUID() if native else CHAR(32))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        """As its digits where the database has no UUIDs."""
        return value if value is None or dialect.name == "postgresql" else f"{value.int:032x}"

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        """Always as Python's own class."""
        return None if value is None else UUID(str(value))


class AutoText(TypeDecorator[str]):
    """A text that is long enough for every database, as SQLModel makes it."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """With a length where one is needed."""
        needed = dialect.name in ("mysql", "mariadb")
        return dialect.type_descriptor(String(255 if needed else None))


class ForgetfulMoney(MoneyType):
    """Does not give back what it was given."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Money | None:
        """Another currency."""
        money = super().process_result_value(value, dialect)
        return None if money is None else Money(money.cents, "?")


class MoneyBytes(TypeDecorator[Money]):
    """Money as bytes, as a pickling type would write it."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Dialect) -> bytes | None:
        """As bytes."""
        return None if value is None else f"{value.cents} {value.currency}".encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Money | None:
        """Fail the test: nothing from Redis may come here."""
        raise AssertionError("bytes from the cache reached process_result_value")
