"""Every key format in one place.

A row lives at ``{prefix}:{layout}:{{region.bucket}}:{generation}:{primary key}``, its bucket's
guard at ``{prefix}:{layout}:{{region.bucket}}:guard``. The braces are a Redis Cluster hash tag: the
guard, its rows and the scripts that touch them meet on one slot. The region's name carries a digest
of the scope, so that two databases, two tenants or two schemas never share a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

LAYOUT = "3"
"""Changes whenever what keys or values mean changes: old and new programs then never meet."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class Place(NamedTuple):
    """Where a region of one scope keeps its keys."""

    guard: bytes
    prefix: bytes
    """What stands before ``{generation}:{primary key}`` in the key of a row."""


@dataclass(frozen=True)
class Keys:
    """Builds places for one cache.

    Args:
        prefix: What every key of the cache starts with.
    """

    prefix: str

    def place(self, region: str, scope: str) -> Place:
        """The place of a region in a scope (see `scope_digest`)."""
        tag = f"{self.prefix}:{LAYOUT}:{{{region_name(region)}@{scope}.0}}:"
        return Place(f"{tag}guard".encode(), tag.encode())

    def guards(self, region: str) -> str:
        """The pattern that the guards of a region match, in every scope."""
        return f"{self.prefix}:{LAYOUT}:{{{region_name(region)}@*}}:guard"

    @staticmethod
    def place_of(guard: bytes) -> Place:
        """The place that a guard is the guard of."""
        return Place(guard, guard.removesuffix(b"guard"))

    def named_tags(self) -> Place:
        """The place of the tags that the application names: one for all databases and tenants."""
        return self.place("tags-by-name", scope_digest(("named",)))

    def everything(self) -> str:
        """The pattern that all keys of the cache match."""
        return f"{self.prefix}:{LAYOUT}:*"


def region_name(name: str) -> str:
    """`name` with what could disturb a key replaced, kept distinct by a digest."""
    if _PLAIN.issuperset(name):
        return name
    plain = "".join(char if char in _PLAIN else "_" for char in name)
    return f"{plain}-{_digest([name])}"


def scope_digest(parts: Iterable[object]) -> str:
    """A short name for database, tenant, schema map and shard, in that order."""
    return _digest(repr(part) for part in parts)


def _digest(parts: Iterable[str]) -> str:
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(joined, digest_size=5).hexdigest()
