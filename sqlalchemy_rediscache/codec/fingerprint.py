"""A digest of what the packed row of a list of columns looks like."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Column, Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import Enum, TypeEngine

from sqlalchemy_rediscache.codec.columns import declared_type, decorated_type, is_decorator

LAYOUT = 1
"""The version of the stored format; another number whenever the meaning of stored bytes changes."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DIGEST_BYTES = 5


def fingerprint_of(columns: Sequence[ColumnElement[Any]], dialect: Dialect) -> str:
    """Eight characters ([a-z2-7]) that change when the packed row could mean something else.

    The same in every process that maps the same columns in the same order.

    Args:
        columns: The columns in the order of the packed values.
        dialect: The dialect and driver that the columns are read with.
    """
    lines = [f"{LAYOUT} {dialect.name} {dialect.driver}"]
    lines += [f"{_name(column, dialect)}: {_type(column.type, dialect)}" for column in columns]
    digest = blake2b("\n".join(lines).encode(errors="backslashreplace"), digest_size=_DIGEST_BYTES)
    return base64.b32encode(digest.digest()).decode("ascii").lower()


def _name(column: ColumnElement[Any], dialect: Dialect) -> str:
    if isinstance(column, Column):
        return f"{column.name} {'null' if column.nullable else 'not null'}"
    # An expression: its text with its constants; its label may be anonymous, another in each
    # process.
    try:
        compiled = column.compile(dialect=dialect)
    except CompileError:
        return type(column).__qualname__
    return _stable(f"({compiled} {sorted(compiled.params.items())})")


def _type(type_: TypeEngine[Any], dialect: Dialect) -> str:
    declared = declared_type(type_, dialect)
    kind = type(declared)
    text = _stable(f"{kind.__module__}.{kind.__qualname__} {declared!r}")
    if is_decorator(declared):
        text += f" over {_type(decorated_type(declared, dialect), dialect)}"
    elif isinstance(declared, sqltypes.ARRAY):
        text += f" of {_type(declared.item_type, dialect)}"
    elif isinstance(declared, Enum) and declared.enum_class is not None:
        members = declared.enum_class
        names = ",".join(members.__members__)
        text += f" {members.__module__}.{members.__qualname__}({names})"
    return text


def _stable(text: str) -> str:
    return _ADDRESS.sub("", text)
