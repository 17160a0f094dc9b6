"""Value types of single database drivers, known only where that driver is in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sqlalchemy.dialects import postgresql

_ASYNCPG_UUID = 32
_ASYNCPG_BITS = 33
_BIT_STRING = 34

_BITS = frozenset("01")


@dataclass(frozen=True)
class DriverType:
    """One value type: its extension code and its form as bytes."""

    code: int
    kind: type
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def driver_types(driver: str) -> tuple[DriverType, ...]:
    """The value types that reads through this driver give beside Python's own.

    Args:
        driver: The name of the driver, `dialect.driver`.
    """
    return (*_bit_strings(), *(_asyncpg() if driver == "asyncpg" else ()))


def asyncpg_uuid() -> type:
    """The UUID class of asyncpg, which its reads give in place of `uuid.UUID`."""
    kind: type = import_module("asyncpg.pgproto.pgproto").UUID
    return kind


def _asyncpg() -> tuple[DriverType, ...]:
    uuid_type: Any = asyncpg_uuid()
    bits: Any = import_module("asyncpg").BitString

    def encode_bits(value: Any) -> bytes:
        return len(value).to_bytes(4, "big") + bytes(value.bytes)

    def decode_bits(data: bytes) -> Any:
        return bits.frombytes(data[4:], int.from_bytes(data[:4], "big"))

    return (
        DriverType(_ASYNCPG_UUID, uuid_type, lambda value: bytes(value.bytes), uuid_type),
        DriverType(_ASYNCPG_BITS, bits, encode_bits, decode_bits),
    )


def _bit_strings() -> tuple[DriverType, ...]:
    """SQLAlchemy's BitString, which 2.1 gives for the type BIT and 2.0 does not have."""
    kind: Any = getattr(postgresql, "BitString", None)
    if kind is None:
        return ()

    def decode(data: bytes) -> Any:
        text = data.decode("ascii")
        if not _BITS.issuperset(text):
            raise ValueError("not a string of bits")
        return kind(text)

    return (DriverType(_BIT_STRING, kind, lambda value: str(value).encode("ascii"), decode),)
