"""Types of applications: enumerations, and decorators of every temper."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Integer, LargeBinary, String, Text
from sqlalchemy.types import TypeDecorator


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
