"""`Group`: columns of a class's rows that are loaded and stored together: a field in Redis."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column
from sqlalchemy.engine import Dialect

from .codec import IdentityCodec, RowCodec
from .early import Loads
from .errors import DecodeError, UncacheableModel
from .policy import CachePolicy
from .row import Row

_REMEMBERED = 2_000
"""How many rows of a group are kept as they were decoded: up to 4 MiB, if all are long ones."""

_LONGEST_REMEMBERED = 512
"""Bytes of such a row: with its values it takes some 2 KiB of memory."""


class Group:
    """A field of a row's hash, and how its value becomes columns.

    Args:
        kind: What the field's name starts with: ``row`` for what a plain load returns, ``grp`` for
            deferred columns.
        columns: The columns, primary key among them.
        keys: The primary key's columns.
        identity: Writes primary keys as text.
        dialect: Whose values these are.
        policy: How long they stay.
        only: Sets apart what the same columns mean for other classes or tables.
        max_bytes: Larger rows are not stored.

    Raises:
        UncacheableModel: A primary key column is not among the columns.
    """

    def __init__(
        self,
        kind: str,
        columns: Sequence[Any],
        keys: Sequence[Column[Any]],
        identity: IdentityCodec,
        dialect: Dialect,
        policy: CachePolicy,
        only: str,
        max_bytes: int,
    ) -> None:
        self.columns = tuple(columns)
        self.index = {column: place for place, column in enumerate(self.columns)}
        self.identity = identity
        self.policy = policy
        over = policy.compress_over
        self.plain_bytes = max_bytes if over is None else min(over, max_bytes)
        """A row of no more bytes is stored as it is packed."""
        self.codec = RowCodec(
            self.columns, dialect, compress_over=self.plain_bytes, max_bytes=max_bytes
        )
        self._remembering: Callable[[bytes], Row] = self._row
        if self.codec.shareable:
            self._remembering = lru_cache(_REMEMBERED)(self._row)
        self.field = f"{kind}:{self.codec.fingerprint}{only}".encode()
        self.words_field = b""
        """The field of a row's tags; b"" where they are not kept."""
        self.words: Callable[[Sequence[Any]], bytes] = _no_words
        """The tags of a row, b"" where they are not known."""
        self.negative_ms = int(policy.negative_ttl * 1000) if identity.negative_ok else 0
        self.loads = Loads(int((policy.stale_ttl or 0) * 1000))
        """When to load a row that is there."""
        try:
            self.key_places = [self.index[column] for column in keys]
            self.identity_of = _tuple_getter(self.key_places)
        except KeyError as error:
            raise UncacheableModel(
                f"the primary key column {error} is kept out of the cache, by "
                'info={"cache": False} or by its type: cache it, or don\'t register the class'
            ) from error

    def ttl_ms(self) -> int:
        """Milliseconds for a row stored now: its TTL, shortened at random, and its stale TTL."""
        spread = 1.0 - self.policy.jitter * random.random()  # noqa: S311 (not a secret)
        return max(1, int(self.policy.ttl * 1000 * spread)) + self.loads.stale_ms

    def key_of(self, values: Sequence[Any]) -> bytes | None:
        """The key, as it stands in Redis, of a row that was read or decoded, from its values."""
        return self.identity.key(self.identity_of(values))

    def read(self, blob: bytes) -> Row:
        """The row in the bytes of a value.

        One that is read often is decoded once: its bytes say all about it, so that what is
        remembered of them can't be out of date.

        Raises:
            DecodeError: The bytes are not a row of these columns.
        """
        if len(blob) > _LONGEST_REMEMBERED:
            return self._row(blob)
        return self._remembering(blob)

    def read_many(self, blobs: Sequence[Any], names: Sequence[bytes]) -> list[Row] | None:
        """The rows of these keys; None unless all are there, decode, and are those named."""
        try:
            short = max(map(len, blobs), default=0) <= _LONGEST_REMEMBERED
            found = list(map(self._remembering if short else self._row, blobs))
        except (DecodeError, TypeError):  # the latter: a state in the place of bytes
            return None
        return found if [row.key for row in found] == list(names) else None

    def _row(self, blob: bytes) -> Row:
        return self.row(self.codec.decode(blob))

    def row(self, values: Sequence[Any]) -> Row:
        """The row of values that were decoded, or loaded, in the order of the columns."""
        identity = self.identity_of(values)
        return Row(values, self.identity.key(identity), identity)


def _no_words(values: Sequence[Any]) -> bytes:
    return b""


def _tuple_getter(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes the primary key out of a row's values: called for every row that is read."""
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return operator.itemgetter(*places)
