"""Column types, for the codec."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql import sqltypes
from sqlalchemy.types import TypeEngine

BinaryType: type[TypeEngine[bytes]] = sqltypes._Binary
"""The base of all types of bytes; `LargeBinary` is not one of `VARBINARY`."""


def variant_for(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """What `with_variant` put in the place of a type for this dialect, or the type itself."""
    return type_._variant_mapping.get(dialect.name, type_)


def has_own_json(dialect: Dialect) -> bool:
    """Whether the engine was given a serializer or deserializer for JSON."""
    return any(getattr(dialect, f"_json_{part}", None) for part in ("serializer", "deserializer"))


def formatted_digits(type_: sqltypes.Numeric[Any]) -> int:
    """The digits to which a float from a database without decimal numbers is formatted."""
    digits: int = type_._effective_decimal_return_scale
    return digits
