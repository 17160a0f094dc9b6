"""Documents and arrays: what the database's normal form leaves as it was."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import sqltypes
from sqlalchemy.types import TypeEngine

from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import Backend, Rule, Target, inexact
from sqlalchemy_rediscache.codec.stored.texts import is_text
from sqlalchemy_rediscache.codec.wire import unwrap_mutable
from sqlalchemy_rediscache.private.types import has_own_json

_MAX_DEPTH = 64
_INT64 = 1 << 63
_MAX_DIGITS = 4000
"""Python reads an int of up to 4,300 digits from a text."""


def json_rule(target: Target) -> Rule:
    """JSON: exact for plain structures, as far as the database keeps the text that it is given."""
    dialect = target.dialect
    if has_own_json(dialect):
        return inexact
    binary = target.type_.__visit_name__ == "JSONB"
    if target.backend is Backend.SQLITE:
        return inexact if binary else _sqlite_json
    if target.backend is Backend.MYSQL:
        # MariaDB keeps the text, MySQL a normal form. Which one it is, is known once connected.
        return lambda value: _text_json(value) if getattr(dialect, "is_mariadb", 0) else INEXACT
    return _jsonb if binary else _text_json


def _text_json(value: Any) -> Any:
    plain = unwrap_mutable(value)
    return plain if _is_plain(plain, 0) else INEXACT


def _sqlite_json(value: Any) -> Any:
    # The column's affinity makes a number of a text that is one: "1.0" comes back as 1.
    if type(value) is float or (type(value) is int and not -_INT64 <= value < _INT64):
        return INEXACT
    return _text_json(value)


def _jsonb(value: Any) -> Any:
    plain = _text_json(value)
    return INEXACT if plain is INEXACT else _normal(plain)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is of JSON's own types, exactly, in a form that its text keeps."""
    kind = type(value)
    if kind is list or kind is dict:
        return depth < _MAX_DEPTH and _are_plain(value, depth + 1)
    if kind is str:
        return is_text(value)
    if kind is int:
        return bool(abs(value) < 10**_MAX_DIGITS)
    if kind is float:
        return math.isfinite(value)
    return value is None or kind is bool


def _are_plain(value: list[Any] | dict[Any, Any], depth: int) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item, depth) for item in value)
    return all(is_text(key) and _is_plain(item, depth) for key, item in value.items())


def _normal(value: Any) -> Any:
    """The normal form of PostgreSQL's JSONB: keys by length, then by bytes; decimal numbers."""
    kind = type(value)
    if kind is float:
        # Numbers with an exponent are written out and read as int; a negative zero is lost.
        exact = "e" not in repr(value) and (value != 0 or math.copysign(1, value) > 0)
        return value if exact else INEXACT
    if kind is list:
        items = [_normal(item) for item in value]
        return INEXACT if any(item is INEXACT for item in items) else items
    if kind is dict:
        return _normal_dict(value)
    return value


def _normal_dict(value: dict[str, Any]) -> Any:
    normal: dict[str, Any] = {}
    for _, key in sorted(((len(key.encode()), key.encode()), key) for key in value):
        item = _normal(value[key])
        if item is INEXACT:
            return INEXACT
        normal[key] = item
    return normal


def array_rule(target: Target, rule_of: Callable[[TypeEngine[Any]], Rule]) -> Rule:
    """Arrays of PostgreSQL: lists with one dimension, of items that are exact themselves.

    Args:
        target: The array column.
        rule_of: Gives the rule for the type of the items.
    """
    type_ = target.type_
    one_dimension = type_.dimensions in (None, 1)
    if target.backend is not Backend.POSTGRESQL or type_.as_tuple or not one_dimension:
        return inexact
    if isinstance(type_.item_type, sqltypes.JSON | postgresql.HSTORE):
        return inexact
    item_rule = rule_of(type_.item_type)

    def rule(value: Any) -> Any:
        plain = unwrap_mutable(value)
        if type(plain) is not list or any(type(item) is list for item in plain):
            return INEXACT
        items = [item_rule(item) for item in plain]
        return INEXACT if any(item is INEXACT for item in items) else items

    return rule
