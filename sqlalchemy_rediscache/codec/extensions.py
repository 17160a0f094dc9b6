"""The extension types: values that msgpack has no form for."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID, SafeUUID

from msgpack import ExtType, Timestamp, unpackb
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange

from sqlalchemy_rediscache.codec import moments
from sqlalchemy_rediscache.codec.drivers import DriverType
from sqlalchemy_rediscache.errors import DecodeError

# Extension codes. They are part of the stored format: a change of meaning needs another
# `LAYOUT` in fingerprint.py.
_DATETIME = 1
_DECIMAL = 2
_UUID = 3
_DATE = 4
_TIME = 5
_TIMEDELTA = 6
_BIG_INT = 7
_ZONED_DATETIME = 8
_ZONED_TIME = 9
_TUPLE = 10
_SET = 11
_ADDRESS = 12
_RANGE = 13
_MULTIRANGE = 14

MAX_ITEMS = 1 << 14
"""The most items that a list or dict of a value may have.

msgpack makes room for the claimed length of an array before it reads the items, so that nested
claims multiply; this bounds the product.
"""

UNICODE_ERRORS = "surrogatepass"
"""Texts in JSON may hold lone surrogates."""

NESTED_LEVELS = 6
"""How deep extension values (tuples, ranges) may hold one another; each level nests a decoder."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 (as in the comparison below)
_DAY = 86_400

_ADDRESSES: tuple[type, ...] = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)

_new = tuple.__new__
"""Makes an ExtType, a named tuple, without its checks, which take longer than to pack it."""

Encoder = Callable[[Any], Any]
Decoder = Callable[[bytes], Any]
Hook = Callable[[int, bytes], Any]


def encoders_of(
    pack: Callable[[list[Any]], bytes] | None, extra: tuple[DriverType, ...]
) -> Mapping[type, Encoder]:
    """What to hand to msgpack for each exact type that it does not know.

    Args:
        pack: Packs the items of an extension value; None at the level that may hold no items.
        extra: The types of the driver.
    """
    encoders: dict[type, Encoder] = {
        datetime: _encode_datetime,
        Decimal: lambda value: _new(ExtType, (_DECIMAL, str(value).encode())),
        # As value.bytes, which is a property in Python, but for what it calls.
        UUID: lambda value: _new(ExtType, (_UUID, value.int.to_bytes(16, "big"))),
        date: lambda value: _new(ExtType, (_DATE, moments.pack_date(value))),
        time: _encode_time,
        timedelta: lambda value: _new(ExtType, (_TIMEDELTA, moments.pack_timedelta(value))),
        # msgpack asks for an int only when it does not fit 64 bits.
        int: _encode_big_int,
    }
    for index, kind in enumerate(_ADDRESSES):
        encoders[kind] = _address_encoder(index)
    for known in extra:
        encoders[known.kind] = _driver_encoder(known)
    return encoders if pack is None else encoders | _container_encoders(pack)


def _container_encoders(pack: Callable[[list[Any]], bytes]) -> dict[type, Encoder]:
    return {
        tuple: lambda value: _new(ExtType, (_TUPLE, pack(list(value)))),
        set: lambda value: _new(ExtType, (_SET, pack(list(value)))),
        Range: lambda value: _new(
            ExtType, (_RANGE, pack([value.lower, value.upper, value.bounds, value.empty]))
        ),
        MultiRange: lambda value: _new(ExtType, (_MULTIRANGE, pack(list(value)))),
    }


def _address_encoder(index: int) -> Encoder:
    prefix = bytes((index,))
    return lambda value: _new(ExtType, (_ADDRESS, prefix + str(value).encode("ascii")))


def _driver_encoder(known: DriverType) -> Encoder:
    return lambda value: _new(ExtType, (known.code, known.encode(value)))


def _encode_datetime(value: datetime) -> Any:
    zone = value.tzinfo
    if value.fold == 0:
        if zone is None:
            return _new(ExtType, (_DATETIME, moments.text_of_datetime(value)))
        if zone is timezone.utc:  # noqa: UP017 (the identity that msgpack gives back)
            since = value - _EPOCH
            return Timestamp(since.days * _DAY + since.seconds, since.microseconds * 1000)
    return _new(ExtType, (_ZONED_DATETIME, moments.pack_zoned_datetime(value)))


def _encode_time(value: time) -> Any:
    if value.tzinfo is None and value.fold == 0:
        return _new(ExtType, (_TIME, moments.pack_time(value)))
    return _new(ExtType, (_ZONED_TIME, moments.pack_zoned_time(value)))


def _encode_big_int(value: int) -> Any:
    data = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    return _new(ExtType, (_BIG_INT, data))


def _decode_address(data: bytes) -> Any:
    return _ADDRESSES[data[0]](data[1:].decode("ascii"))


def _decode_big_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def unpacker(hook: Hook, max_items: int, max_pairs: int) -> Decoder:
    """Make a function that unpacks one value; it raises whatever msgpack and the hook raise.

    Args:
        hook: Decodes the extension values.
        max_items: The most items that a list may claim.
        max_pairs: The most pairs that a dict may claim.
    """

    def unpack(data: bytes) -> Any:
        # Keywords that are written out take a fifth of the time of keywords from a dict.
        # 3: timestamps as datetime in UTC.
        return unpackb(
            data,
            ext_hook=hook,
            max_array_len=max_items,
            max_map_len=max_pairs,
            timestamp=3,
            unicode_errors=UNICODE_ERRORS,
        )

    return unpack


def hook_of(max_pairs: int, extra: tuple[DriverType, ...]) -> Hook:
    """The decoder of extension values, which knows the decoders of the values inside them."""
    flat: dict[int, Decoder] = {
        _TIME: moments.unpack_time,
        _TIMEDELTA: moments.unpack_timedelta,
        _BIG_INT: _decode_big_int,
        _ZONED_DATETIME: moments.unpack_zoned_datetime,
        _ZONED_TIME: moments.unpack_zoned_time,
        _ADDRESS: _decode_address,
    } | {known.code: known.decode for known in extra}
    hook = _hook(flat)
    for _ in range(NESTED_LEVELS):
        # Rows without lists may hold sets: items of extension values have the limit of values.
        hook = _hook(flat | _containers(unpacker(hook, MAX_ITEMS, max_pairs)))
    return hook


def _containers(unpack: Decoder) -> dict[int, Decoder]:
    def items(data: bytes) -> list[Any]:
        values = unpack(data)
        if type(values) is not list:
            raise DecodeError("an extension value that should hold items does not")
        return values

    def range_of(data: bytes) -> Range[Any]:
        lower, upper, bounds, empty = items(data)
        if bounds not in ("()", "[)", "(]", "[]") or type(empty) is not bool:
            raise DecodeError("not the bounds of a range")
        return Range(lower, upper, bounds=bounds, empty=empty)

    return {
        _TUPLE: lambda data: tuple(items(data)),
        _SET: lambda data: set(items(data)),
        _RANGE: range_of,
        _MULTIRANGE: lambda data: MultiRange(items(data)),
    }


def _hook(decoders: Mapping[int, Decoder]) -> Hook:
    """Decode the four commonest types in place: a call costs as much as the work."""
    # Variables of this function are faster than names of the module.
    parse = datetime.fromisoformat
    # A context of its own: the caller's may take malformed digits for a NaN without an error.
    context = Context(traps=[InvalidOperation])
    decimal, uuid_class, new, unknown = Decimal, UUID, object.__new__, SafeUUID.unknown
    set_int, set_safe = UUID.__dict__["int"].__set__, UUID.__dict__["is_safe"].__set__
    from_bytes, from_ordinal = int.from_bytes, date.fromordinal

    def hook(code: int, data: bytes) -> Any:
        if code == 3 and len(data) == 16:  # noqa: PLR2004 (_UUID)
            # As UUID(bytes=data), without its checks of every other argument: a third of the time.
            value = new(uuid_class)
            set_int(value, from_bytes(data, "big"))
            set_safe(value, unknown)
            return value
        if code == 2:  # noqa: PLR2004 (_DECIMAL)
            return decimal(data.decode(), context)
        if code == 4:  # noqa: PLR2004 (_DATE)
            return from_ordinal(from_bytes(data, "big"))
        if code == 1:  # _DATETIME
            return parse(data.decode())
        return decoders[code](data)

    return hook
