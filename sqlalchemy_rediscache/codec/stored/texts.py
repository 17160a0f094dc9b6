"""Texts and bytes: lengths, padding, character sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.sql import sqltypes

from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import Backend, Rule, Target, inexact

_PADDED = (sqltypes.CHAR, sqltypes.NCHAR)

# What the types compile to: SQLAlchemy derives types from String that do not keep a text as it is.
_TEXTS = frozenset(
    {
        *("string", "text", "unicode", "unicode_text", "CITEXT"),
        *("VARCHAR", "NVARCHAR", "CHAR", "NCHAR"),
        *("TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT"),
    }
)

_MYSQL_BYTES: Final[Mapping[str, int]] = {
    "TINY": 255,
    "MEDIUM": (1 << 24) - 1,
    "LONG": (1 << 32) - 1,
}
_MYSQL_USUAL_BYTES = (1 << 16) - 1
_MYSQL_SPECIAL = ("ascii", "unicode", "binary", "national")


def text_rule(target: Target) -> Rule:
    """Texts: exact if they fit and nothing pads them, in a character set that holds them."""
    type_ = target.type_
    if type_.__visit_name__ not in _TEXTS:
        return inexact
    if target.backend is Backend.MYSQL:
        return _mysql_text(target)
    if target.backend is Backend.POSTGRESQL:
        if isinstance(type_, _PADDED):
            width = type_.length or 1
            return lambda value: value if is_text(value) and len(value) == width else INEXACT
        limit = type_.length
        if limit is not None:
            return lambda value: value if is_text(value) and len(value) <= limit else INEXACT
    return lambda value: value if is_text(value) else INEXACT


def is_text(value: Any) -> bool:
    """Whether a value is exactly a str, of characters that every database can store."""
    if type(value) is not str or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _mysql_text(target: Target) -> Rule:
    type_ = target.type_
    if any(getattr(type_, flag, False) for flag in _MYSQL_SPECIAL):
        return inexact
    limit = type_.length
    max_bytes = _mysql_max_bytes(type_)
    any_character = holds_any_character(target)
    padded = isinstance(type_, _PADDED)
    width = type_.length or 1

    def rule(value: Any) -> Any:
        if not is_text(value) or not (any_character or value.isascii()):
            return INEXACT
        if (limit is not None and len(value) > limit) or len(value.encode()) > max_bytes:
            return INEXACT
        # Trailing spaces of a CHAR are dropped on reading, or added, as the server is set.
        if padded and (len(value) != width or value.endswith(" ")):
            return INEXACT
        return value

    return rule


def holds_any_character(target: Target) -> bool:
    """Whether a text column of MySQL or MariaDB is declared to hold all of Unicode.

    The server's default character set may be another, and without its strict mode it replaces
    characters.
    """
    settings = [getattr(target.type_, name, None) for name in ("charset", "collation")]
    if not any(settings) and target.table is not None:
        settings = [
            value
            for option, value in target.table.kwargs.items()
            if option.lower().endswith(("charset", "character_set", "collate"))
        ]
    return any(str(value).lower().startswith("utf8mb4") for value in settings if value)


def _mysql_max_bytes(type_: sqltypes.TypeEngine[Any]) -> int:
    name = type(type_).__name__
    return next(
        (size for prefix, size in _MYSQL_BYTES.items() if name.startswith(prefix)),
        _MYSQL_USUAL_BYTES,
    )


def binary_rule(target: Target) -> Rule:
    """Bytes: exact if they fit; MySQL's BINARY is padded."""
    type_ = target.type_
    length: int | None = getattr(type_, "length", None)
    if target.backend is not Backend.MYSQL:
        return lambda value: value if type(value) is bytes else INEXACT
    max_bytes = _mysql_max_bytes(type_)
    if isinstance(type_, sqltypes.BINARY):
        width = length or 1
        return lambda value: value if type(value) is bytes and len(value) == width else INEXACT
    limit = max_bytes if length is None else min(length, max_bytes)
    return lambda value: value if type(value) is bytes and len(value) <= limit else INEXACT
