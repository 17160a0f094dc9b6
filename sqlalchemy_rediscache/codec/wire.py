"""Python values as msgpack, each with its exact type.

What msgpack has a form for (None, bool, int, float, str, bytes, list, dict) it keeps; every other
known type has an extension code (extensions.py). The type of the *value* decides, never that of
the column: SQLite keeps a text in an integer column, and so does the cache. A value of any other
type, subclasses included, is refused.

Invariants of decoding, for bytes that anybody may have written: no code from the data runs, memory
stays within a small multiple of the input, recursion is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgpack import ExtType, Packer, Timestamp
from sqlalchemy.ext.mutable import MutableDict, MutableList, MutableSet

from sqlalchemy_rediscache.codec.drivers import DriverType, driver_types
from sqlalchemy_rediscache.codec.extensions import (
    MAX_ITEMS,
    NESTED_LEVELS,
    UNICODE_ERRORS,
    Decoder,
    encoders_of,
    hook_of,
    unpacker,
)
from sqlalchemy_rediscache.errors import EncodeError

_BUFFER_BYTES = 2048
_KEPT_BYTES = 1 << 16
"""A packer's buffer grows with what it packs; one that has packed more than this is not kept."""

_UNCHECKED = frozenset({dict, list, bytearray, memoryview, ExtType, Timestamp})
"""Exact types that msgpack would take without asking, and that need a look."""


class Wire:
    """Packs and unpacks values; made for one database driver.

    Args:
        driver: The name of the driver (`dialect.driver`): some have value types of their own.
        max_items: The most items that a list may claim on decoding.
        max_pairs: The most pairs that a dict may claim on decoding.

    Attributes:
        unpack: Unpacks one value; raises whatever msgpack and the extension types raise.
    """

    unpack: Decoder

    def __init__(self, driver: str, *, max_items: int = MAX_ITEMS, max_pairs: int = MAX_ITEMS):
        extra = driver_types(driver)
        self._max_items = max_items
        self._max_pairs = max_pairs
        self._pack = self._packer(extra, NESTED_LEVELS)
        self.unpack = unpacker(hook_of(max_pairs, extra), max_items, max_pairs)

    def pack(self, value: Any) -> bytes:
        """Pack one value.

        Raises:
            EncodeError: A value in it is of a type that would not come back as it is, or is too
                long or too deep.
        """
        try:
            self._check(value)
            return self._pack(value)
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(f"{type(value).__name__}: {error}") from error

    def pack_row(self, values: list[Any]) -> bytes:
        """Pack the values of a row as an array; errors are those of msgpack or EncodeError."""
        if not _UNCHECKED.isdisjoint(map(type, values)):
            for value in values:
                self._check(value)
        return self._pack(values)

    def _packer(self, extra: tuple[DriverType, ...], levels: int) -> Callable[[Any], bytes]:
        """Pack values that hold as many levels of extension values as `hook_of` decodes."""
        encoders = encoders_of(self._packer(extra, levels - 1) if levels else None, extra)
        max_items = self._max_items if levels == NESTED_LEVELS else MAX_ITEMS

        def check(value: Any) -> None:
            if type(value) in _UNCHECKED:
                _check(value, max_items, self._max_pairs)

        def encoded(value: Any) -> Any:
            encoder = encoders.get(type(value))
            if encoder is not None:
                return encoder(value)
            plain = unwrap_mutable(value)
            if plain is value:
                raise EncodeError(f"values of type {_name(type(value))} can't be kept exactly")
            check(plain)
            encoder = encoders.get(type(plain))
            return plain if encoder is None else encoder(plain)

        pack = _pooled(encoded)
        if levels == NESTED_LEVELS:
            return pack

        def pack_nested(value: Any) -> bytes:
            check(value)
            return pack(value)

        return pack_nested

    def _check(self, value: Any) -> None:
        if type(value) in _UNCHECKED:
            _check(value, self._max_items, self._max_pairs)


def _pooled(default: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    """Pack with packers that are made once: making one takes as long as packing some rows.

    Args:
        default: What to pack in place of a value of a type that msgpack does not know.
    """
    # list.pop and list.append are atomic, so that no packer has two users: neither two threads nor
    # a value and a value inside it share a buffer.
    free: list[Packer] = []

    def pack(value: Any) -> bytes:
        try:
            packer = free.pop()
        except IndexError:
            packer = Packer(
                strict_types=True,
                default=default,
                unicode_errors=UNICODE_ERRORS,
                buf_size=_BUFFER_BYTES,
            )
        # After an error the buffer holds a part of the value: that packer is dropped.
        packed: bytes = packer.pack(value)
        if len(packed) <= _KEPT_BYTES:
            free.append(packer)
        return packed

    return pack


def unwrap_mutable(value: Any) -> Any:
    """The dict, list or set that a mutation tracking wrapper holds; anything else as it is."""
    if isinstance(value, MutableDict):
        return dict(value)
    if isinstance(value, MutableList):
        return list(value)
    if isinstance(value, MutableSet):
        return set(value)
    return value


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _check(value: Any, max_items: int, max_pairs: int) -> None:
    """Refuse what msgpack would pack as something else, at any depth of lists and dicts."""
    kind = type(value)
    items: Iterable[Any]
    if kind is dict:
        _check_length(value, max_pairs)
        if not all(type(key) is str for key in value):
            raise EncodeError("a dict with keys other than str can't be kept exactly")
        items = value.values()
    elif kind is list:
        _check_length(value, max_items)
        items = value
    else:
        raise EncodeError(f"values of type {_name(kind)} can't be kept exactly")
    for item in items:
        if type(item) in _UNCHECKED:
            _check(item, max_items, max_pairs)


def _check_length(value: dict[Any, Any] | list[Any], limit: int) -> None:
    if len(value) > limit:
        raise EncodeError(f"more than {limit} items in one {type(value).__name__}")
