"""Dates, times and durations as bytes, with their zones and their fold.

A zone is kept as what it is: a fixed offset (with its name, if it was given one) or a `ZoneInfo`
by its key. A zone of any other class is refused: it could not be rebuilt as an equal object.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy_rediscache.errors import DecodeError, EncodeError

_DATETIME = struct.Struct(">HBBBBBI")
_TIME = struct.Struct(">BBBI")
_DURATION = struct.Struct(">iiI")
_DATE_BYTES = 3

_FIXED = b"o"
_NAMED = b"z"
_NONE = b"n"

# Where a packed datetime has its fold and zone, and the name of the zone if it has a name.
_ZONE: Final = _DATETIME.size
_ZONE_NAME: Final = _ZONE + 2
_FIRST_NAMED: Final = b"\0" + _NAMED

_fields_of = _DATETIME.unpack_from
_make_datetime: Callable[..., datetime] = datetime


def text_of_datetime(value: datetime) -> bytes:
    """A datetime without zone and fold in the basic ISO form, which is the fastest to read back."""
    return value.isoformat().encode().translate(None, b"-:")


def pack_datetime(value: datetime) -> bytes:
    """The wall clock part of a datetime: neither zone nor fold."""
    return _DATETIME.pack(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
    )


def pack_date(value: date) -> bytes:
    """A date as its ordinal; unpacked by the hook in extensions.py."""
    return value.toordinal().to_bytes(_DATE_BYTES, "big")


def pack_time(value: time) -> bytes:
    """The wall clock part of a time: neither zone nor fold."""
    return _TIME.pack(value.hour, value.minute, value.second, value.microsecond)


def unpack_time(data: bytes) -> time:
    """The time of `pack_time`."""
    return time(*_TIME.unpack(data))


def pack_timedelta(value: timedelta) -> bytes:
    """A duration as days, seconds and microseconds."""
    return _DURATION.pack(value.days, value.seconds, value.microseconds)


def unpack_timedelta(data: bytes) -> timedelta:
    """The duration of `pack_timedelta`."""
    return timedelta(*_DURATION.unpack(data))


def pack_zoned_datetime(value: datetime) -> bytes:
    """A datetime with its zone and fold.

    Raises:
        EncodeError: The zone is of a class that can't be rebuilt.
    """
    return pack_datetime(value) + _pack_zone(value.tzinfo, value.fold)


def unpack_zoned_datetime(data: bytes) -> datetime:
    """The datetime of `pack_zoned_datetime`."""
    if data[_ZONE:_ZONE_NAME] == _FIRST_NAMED:
        # What a connection whose zone is not UTC gives for every moment. ZoneInfo keeps the zones
        # that were used last, so that this is a look-up.
        return _make_datetime(*_fields_of(data), ZoneInfo(data[_ZONE_NAME:].decode()))
    zone, fold = _unpack_zone(data[_ZONE:])
    return _make_datetime(*_fields_of(data), zone, fold=fold)


def pack_zoned_time(value: time) -> bytes:
    """A time with its zone and fold.

    Raises:
        EncodeError: The zone is of a class that can't be rebuilt.
    """
    return pack_time(value) + _pack_zone(value.tzinfo, value.fold)


def unpack_zoned_time(data: bytes) -> time:
    """The time of `pack_zoned_time`."""
    zone, fold = _unpack_zone(data[_TIME.size :])
    return unpack_time(data[: _TIME.size]).replace(tzinfo=zone, fold=fold)


def _pack_zone(zone: tzinfo | None, fold: int) -> bytes:
    prefix = b"\1" if fold else b"\0"
    if type(zone) is ZoneInfo:
        # ZoneInfo objects are equal only if identical: an object that the cache of ZoneInfo does
        # not hold (no_cache, from_file) could not be given back.
        key = zone.key
        if key and ZoneInfo(key) is zone:
            return prefix + _NAMED + key.encode()
    elif zone is None:
        return prefix + _NONE
    elif type(zone) is timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        given_name = b"" if name == timezone(offset).tzname(None) else b"=" + name.encode()
        return prefix + _FIXED + pack_timedelta(offset) + given_name
    raise EncodeError(f"the time zone {zone!r} can't be kept exactly")


def _unpack_zone(data: bytes) -> tuple[tzinfo | None, int]:
    fold, kind, rest = data[0], data[1:2], data[2:]
    if kind == _NAMED:
        return ZoneInfo(rest.decode()), fold
    if kind == _FIXED:
        offset, name = unpack_timedelta(rest[: _DURATION.size]), rest[_DURATION.size :]
        return (timezone(offset, name[1:].decode()) if name else timezone(offset)), fold
    if kind == _NONE and not rest:
        return None, fold
    raise DecodeError("unknown kind of time zone")
