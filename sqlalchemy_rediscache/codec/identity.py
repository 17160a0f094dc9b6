"""Primary keys as text (ASCII, as bytes) at the end of a Redis key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Column, Dialect
from sqlalchemy.sql import sqltypes
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from sqlalchemy_rediscache.codec.columns import (
    declared_type,
    decorated_type,
    is_decorator,
    overrides,
)
from sqlalchemy_rediscache.codec.drivers import asyncpg_uuid
from sqlalchemy_rediscache.codec.stored.backends import Backend, backend_of
from sqlalchemy_rediscache.codec.stored.numbers import integer_limits
from sqlalchemy_rediscache.errors import ConfigurationError
from sqlalchemy_rediscache.private.types import BinaryType

Part = Callable[[Any], bytes | None]
"""The text of one key value; None for a value that is not of the expected exact type."""

# None of these three can be in a quoted part: quote() leaves letters, digits and "_.-~" (the last
# is replaced), and writes "%" only before two hexadecimal digits.
_SEPARATOR: Final = b","
_HASH: Final = b"~"
_EMPTY: Final = b"%"

_MAX_BYTES: Final = 200
"""Longer parts are replaced by a digest."""

_SAFE = re.compile(rf"[A-Za-z0-9_.-]{{1,{_MAX_BYTES}}}")

_PADDED = (sqltypes.CHAR, sqltypes.NCHAR)


class IdentityCodec:
    """Writes the values of a primary key as text: equal texts mean the same key.

    Args:
        columns: The primary key columns in the order of the identity's values.
        dialect: The dialect of the database.

    Raises:
        ConfigurationError: The values of a key column are of a type whose equality in the
            database is not that of their text (numbers with fractions, moments).

    Attributes:
        negative_ok: Whether two different texts always mean two different rows to the database.
            Where not (collations that ignore case or trailing spaces), the absence of a row must
            not be remembered, and a row may be stored only under its own key as it was read.
        key: The text, as bytes, for the values of a key, in the order of the columns; None when a
            value is not of the exact type that the column gives, so that only the database can say
            what it means. A write with such a value may concern any key of the region.
    """

    negative_ok: bool
    key: Callable[[Sequence[Any]], bytes | None]

    def __init__(self, columns: Sequence[Column[Any]], dialect: Dialect) -> None:
        backend = backend_of(dialect)
        parts: list[Part] = []
        self.negative_ok = True
        for column in columns:
            part, distinct = _part(column.type, dialect, backend, str(column))
            parts.append(part)
            self.negative_ok = self.negative_ok and distinct
        self.key = _single(parts[0]) if len(parts) == 1 else _composite(tuple(parts))

    def token(self, identity: Sequence[Any]) -> str | None:
        """What `key` gives, as a str."""
        key = self.key(identity)
        return None if key is None else key.decode("ascii")


def exact_text(column: Column[Any], dialect: Dialect) -> Part | None:
    """What writes a column's values as text, when equal texts and equal values are the same thing.

    None for types whose equality is not that of their text, and for collations that the database
    compares in another way.
    """
    try:
        part, distinct = _part(column.type, dialect, backend_of(dialect), str(column))
    except ConfigurationError:
        return None
    return part if distinct else None


def _single(part: Part) -> Callable[[Sequence[Any]], bytes | None]:
    if part is _integer_text:
        # The commonest key of all is spared a call.
        def integer_key(identity: Sequence[Any]) -> bytes | None:
            (value,) = identity
            return b"%d" % value if type(value) is int else None

        return integer_key

    def key(identity: Sequence[Any]) -> bytes | None:
        (value,) = identity
        return part(value)

    return key


def _composite(parts: tuple[Part, ...]) -> Callable[[Sequence[Any]], bytes | None]:
    def key(identity: Sequence[Any]) -> bytes | None:
        texts = []
        for part, value in zip(parts, identity, strict=True):
            text = part(value)
            if text is None:
                return None
            texts.append(text)
        return _SEPARATOR.join(texts)

    return key


def _part(
    type_: TypeEngine[Any], dialect: Dialect, backend: Backend, column: str
) -> tuple[Part, bool]:
    """The part of one column, and whether its different texts are always different values."""
    declared = declared_type(type_, dialect)
    if is_decorator(declared):
        return _decorated(declared, dialect, backend, column)
    if overrides(declared, "bind_processor", "bind_expression"):
        raise _unsupported(declared, column)
    for kind, make in _PARTS:
        if isinstance(declared, kind):
            return make(declared, backend, dialect), _is_distinct(declared, backend)
    raise _unsupported(declared, column)


def _unsupported(type_: TypeEngine[Any], column: str) -> ConfigurationError:
    return ConfigurationError(
        f"the primary key column {column} is of type {type_!r}: two values that the database takes "
        "for equal may be written differently, so its rows can't be found by key in Redis; "
        "use an integer, text, UUID, date, boolean, binary or enumeration key, or leave the model "
        "out of the cache"
    )


def _integer_text(value: Any) -> bytes | None:
    return b"%d" % value if type(value) is int else None


def _integer(type_: sqltypes.Integer, backend: Backend, dialect: Dialect) -> Part:
    if backend is not Backend.MYSQL:
        return _integer_text
    # Without its strict mode this database stores the nearest number that fits.
    low, high = integer_limits(type_, backend)

    def bounded(value: Any) -> bytes | None:
        return b"%d" % value if type(value) is int and low <= value <= high else None

    return bounded


def _boolean_text(value: Any) -> bytes | None:
    return (b"t" if value else b"f") if type(value) is bool else None


def _date_text(value: Any) -> bytes | None:
    return value.isoformat().encode() if type(value) is date else None


def _uuid(type_: sqltypes.Uuid[Any], backend: Backend, dialect: Dialect) -> Part:
    if not type_.as_uuid:
        return _uuid_text
    kinds: tuple[type, ...] = (UUID,)
    if dialect.driver == "asyncpg":
        kinds += (asyncpg_uuid(),)

    def text(value: Any) -> bytes | None:
        # As value.hex, which is a property in Python, but for what it calls.
        return b"%032x" % value.int if type(value) in kinds else None

    return text


def _uuid_text(value: Any) -> bytes | None:
    if type(value) is not str:
        return None
    try:
        known = UUID(value)
    except ValueError:
        return None
    return known.hex.encode() if str(known) == value else None


def _enumeration(type_: Enum, backend: Backend, dialect: Dialect) -> Part:
    kind = type_.enum_class
    if kind is None:
        known = frozenset(type_.enums)
        return lambda value: _escape(value) if type(value) is str and value in known else None
    members = kind.__members__

    def text(value: Any) -> bytes | None:
        if type(value) is not kind or members.get(value.name) is not value:
            return None
        return _escape(value.name)

    return text


def _text(type_: sqltypes.String, backend: Backend, dialect: Dialect) -> Part:
    # A longer value is an error to PostgreSQL, unless only spaces are too many: it drops those.
    limit = type_.length if backend is Backend.POSTGRESQL else None

    def text(value: Any) -> bytes | None:
        if type(value) is not str or (limit is not None and len(value) > limit):
            return None
        return _escape(value)

    return text


def _is_distinct(type_: TypeEngine[Any], backend: Backend) -> bool:
    """Whether different texts of a part are always different values to the database."""
    plain = backend in (Backend.SQLITE, Backend.POSTGRESQL)
    if isinstance(type_, BinaryType):
        return plain
    if isinstance(type_, Enum) or not isinstance(type_, sqltypes.String):
        return True
    padded = backend is Backend.POSTGRESQL and isinstance(type_, _PADDED)
    folded = type_.collation is not None or type_.__visit_name__ == "CITEXT"
    return plain and not padded and not folded


def _binary(type_: Any, backend: Backend, dialect: Dialect) -> Part:
    limit: int | None = type_.length if backend is Backend.MYSQL else None

    def text(value: Any) -> bytes | None:
        if type(value) is not bytes or (limit is not None and len(value) > limit):
            return None
        text = value.hex().encode()
        return _digest(value) if len(text) > _MAX_BYTES else text or _EMPTY

    return text


def _decorated(
    type_: TypeDecorator[Any], dialect: Dialect, backend: Backend, column: str
) -> tuple[Part, bool]:
    if overrides(type_, "bind_processor", "bind_expression"):
        raise _unsupported(type_, column)
    below, distinct = _part(decorated_type(type_, dialect), dialect, backend, column)
    if not overrides(type_, "process_bind_param"):
        return below, distinct
    bind = type_.process_bind_param

    def text(value: Any) -> bytes | None:
        try:
            return below(bind(value, dialect))
        except Exception:  # noqa: BLE001 (the application's code; the database answers instead)
            return None

    return text, distinct


# The first that fits decides: special classes before those that they derive from.
_PARTS: tuple[tuple[type, Callable[[Any, Backend, Dialect], Part]], ...] = (
    (Enum, _enumeration),
    (sqltypes.Boolean, lambda *_: _boolean_text),
    (sqltypes.Integer, _integer),
    (sqltypes.Uuid, _uuid),
    (sqltypes.Date, lambda *_: _date_text),
    (BinaryType, _binary),
    (sqltypes.String, _text),
)


def _escape(value: str) -> bytes | None:
    if _SAFE.fullmatch(value):
        return value.encode()
    try:
        text = quote(value, safe="").replace("~", "%7E").encode()
    except UnicodeEncodeError:
        return None
    return _digest(value.encode()) if len(text) > _MAX_BYTES else text or _EMPTY


def _digest(value: bytes) -> bytes:
    return _HASH + blake2b(value, digest_size=32).hexdigest().encode()
