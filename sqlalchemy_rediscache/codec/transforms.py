"""Conversions of columns whose values are not plain: members of enumerations, custom classes.

Most columns need none: the wire format keeps a value by its own type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.sql import sqltypes
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from sqlalchemy_rediscache.codec.columns import (
    declared_type,
    decorated_type,
    is_decorator,
    overrides,
)
from sqlalchemy_rediscache.codec.wire import Wire, unwrap_mutable
from sqlalchemy_rediscache.errors import DecodeError, EncodeError


@dataclass(frozen=True)
class Transform:
    """The two conversions of a column.

    Attributes:
        encode: From a value of a database read to values that the wire format knows; raises
            EncodeError or whatever the code of the application raises.
        decode: Back; raises DecodeError or whatever the code of the application raises.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def transform_of(type_: TypeEngine[Any], dialect: Dialect, wire: Wire) -> Transform | None:
    """The conversions for a type of column, None when its values need none.

    Args:
        type_: The type of the column.
        dialect: The dialect that the column is read with.
        wire: Tells which values need no conversion.
    """
    declared = declared_type(type_, dialect)
    if is_decorator(declared):
        below = transform_of(decorated_type(declared, dialect), dialect, wire)
        if overrides(declared, "process_result_value"):
            decorated = _Decorated(declared, dialect, below, wire)
            return Transform(decorated.encode, decorated.decode)
        return below
    if isinstance(declared, Enum) and declared.enum_class is not None:
        return _members(declared.enum_class.__members__)
    if isinstance(declared, sqltypes.ARRAY):
        inner = transform_of(declared.item_type, dialect, wire)
        return None if inner is None else _items(inner)
    return None


def _members(members: Mapping[str, Any]) -> Transform:
    """Members of an enumeration by their names."""
    by_name: dict[Any, Any] = {None: None, **members}

    def encode(value: Any) -> str | None:
        if value is None:
            return None
        name: str = value.name
        if members.get(name) is not value:
            raise EncodeError(f"{value!r} is not a member of the column's enumeration")
        return name

    return Transform(encode, by_name.__getitem__)


def _items(inner: Transform) -> Transform:
    """The items of an array, at any depth."""

    def convert(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def converted(value: Any) -> Any:
            value = unwrap_mutable(value)
            kind = type(value)
            if kind is list:
                return [converted(item) for item in value]
            if kind is tuple:
                return tuple(converted(item) for item in value)
            return function(value)

        return converted

    return Transform(convert(inner.encode), convert(inner.decode))


# A decorated value is kept as it is, except that a list is put in a pair to tell it from the
# other form: the value as process_bind_param writes it, to be rebuilt by process_result_value.
_DIRECT = 0
_BOUND = 1

_PLAIN = frozenset({NoneType, bool, int, float, str, bytes, Decimal, UUID, date})
"""Exact types that are kept as they are, without a trial."""


class _Decorated:
    """The values that a TypeDecorator gives."""

    def __init__(
        self, type_: TypeDecorator[Any], dialect: Dialect, below: Transform | None, wire: Wire
    ) -> None:
        self._type = type_
        self._dialect = dialect
        self._below = below
        self._wire = wire

    def encode(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        try:
            self._wire.pack(value)
        except EncodeError:
            return [_BOUND, self._bound(value)]
        is_list = type(value) is list or isinstance(value, MutableList)
        return [_DIRECT, value] if is_list else value

    def decode(self, value: Any) -> Any:
        if type(value) is not list:
            return value
        form, content = value
        if form == _BOUND:
            return self._rebuild(content)
        if form == _DIRECT and type(content) is list:
            return content
        raise DecodeError("neither form of a decorated value")

    def _bound(self, value: Any) -> Any:
        name = type(self._type).__qualname__
        stored = self._type.process_bind_param(value, self._dialect)
        if isinstance(stored, bytes):
            # Bytes are what unpicklers eat: what Redis holds must not get into one.
            raise EncodeError(f"{name} writes bytes, which are not rebuilt from what Redis holds")
        if self._below is not None:
            stored = self._below.encode(stored)
        wire = self._wire
        rebuilt = self._rebuild(wire.unpack(wire.pack(stored)))
        if type(rebuilt) is not type(value) or not bool(rebuilt == value):
            raise EncodeError(f"{name} does not give back an equal {type(value).__qualname__}")
        return stored

    def _rebuild(self, stored: Any) -> Any:
        if self._below is not None:
            stored = self._below.decode(stored)
        return self._type.process_result_value(stored, self._dialect)
