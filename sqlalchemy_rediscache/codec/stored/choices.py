"""Booleans, enumerations and UUIDs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.types import Enum

from sqlalchemy_rediscache.codec.drivers import asyncpg_uuid
from sqlalchemy_rediscache.codec.inexact import INEXACT
from sqlalchemy_rediscache.codec.stored.backends import Backend, Rule, Target, inexact


def boolean_rule(target: Target) -> Rule:
    """Truth values: exact; whatever else is taken for one is not."""
    return lambda value: value if type(value) is bool else INEXACT


def enum_rule(target: Target) -> Rule:
    """Enumerations: members, or texts that are listed."""
    type_ = target.type_
    if not _kept_labels(type_, target.backend):
        return inexact
    kind = type_.enum_class
    if kind is None:
        known = frozenset(type_.enums)
        return lambda value: value if type(value) is str and value in known else INEXACT
    members = kind.__members__

    def rule(value: Any) -> Any:
        # A member given by its name is written as well, but is not what a read gives.
        name = getattr(value, "name", None)
        return value if type(value) is kind and members.get(name) is value else INEXACT

    return rule


def _kept_labels(type_: Enum, backend: Backend) -> bool:
    labels = type_.enums
    if len(set(labels)) != len(labels):
        return False
    # MySQL drops trailing spaces of labels, and its character set may not have all of them.
    return backend is not Backend.MYSQL or all(
        label.isascii() and label == label.rstrip() for label in labels
    )


def uuid_rule(target: Target) -> Rule:
    """UUIDs: exact, as the class that the driver gives; texts only in the canonical form."""
    type_ = target.type_
    if not type_.as_uuid:
        return _canonical_text
    native = type_.native_uuid and target.dialect.supports_native_uuid
    if not (native and target.dialect.driver == "asyncpg"):
        return lambda value: value if type(value) is UUID else INEXACT
    driver_class = asyncpg_uuid()

    def rule(value: Any) -> Any:
        if type(value) is driver_class:
            return value
        return driver_class(value.bytes) if type(value) is UUID else INEXACT

    return rule


def _canonical_text(value: Any) -> Any:
    return value if type(value) is str and str(UUID(value)) == value else INEXACT
