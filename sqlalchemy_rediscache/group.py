"""`Group`: columns of a class's rows that are loaded and stored together: a field in Redis."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Column
from sqlalchemy.engine import Dialect

from .codec import ABSENT_ROW, IdentityCodec, RowCodec
from .errors import UncacheableModel
from .policy import CachePolicy

_REMEMBERED = 2_000
"""Rows of a group that are kept as they were decoded: up to 4 MiB, if all of them are long ones."""


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
            self.columns, dialect, compress_over=self.plain_bytes, max_bytes=max_bytes,
            remembered=_REMEMBERED,
        )  # fmt: skip
        self.field = f"{kind}:{self.codec.fingerprint}{only}".encode()
        self.words_field = b""
        """The field of a row's tags; b"" where they are not kept."""
        self.words: Callable[[Sequence[Any]], bytes] = _no_words
        """The tags of a row, b"" where they are not known."""
        self.negative_ms = int(policy.negative_ttl * 1000) if identity.negative_ok else 0
        try:
            self.key_places = [self.index[column] for column in keys]
            self.identity_of = _tuple_getter(self.key_places)
            self.order = operator.itemgetter(*self.key_places)
            """What rows are sorted by to be in the order of their keys."""
        except KeyError as error:
            raise UncacheableModel(
                f"the primary key column {error} is kept out of the cache, by "
                'info={"cache": False} or by its type: cache it, or don\'t register the class'
            ) from error

    def ttl_ms(self) -> int:
        """Milliseconds for a row filled now: the policy's TTL, shortened at random."""
        spread = 1.0 - self.policy.jitter * random.random()  # noqa: S311 (not a secret)
        return max(1, int(self.policy.ttl * 1000 * spread))

    def key_of(self, values: Sequence[Any]) -> bytes | None:
        """The key, as it stands in Redis, of a row that was read or decoded, from its values."""
        return self.identity.key(self.identity_of(values))

    def keys_of(self, rows: Iterable[Sequence[Any]]) -> list[bytes | None]:
        """`key_of` each of several rows."""
        key_of_value = self.identity.key_of_value
        if key_of_value is None:
            return [self.key_of(values) for values in rows]
        (place,) = self.key_places
        return [key_of_value(values[place]) for values in rows]

    def decoded(self, names: Sequence[bytes], rows: Sequence[Any]) -> list[Sequence[Any]] | None:
        """The values of rows, in their order; None unless all are there and are those named."""
        if any(row.__class__ is not bytes or row == ABSENT_ROW for row in rows):
            return None
        found = [values for values in self.codec.read_many(rows) if values is not None]
        if len(found) != len(rows) or self.keys_of(found) != list(names):
            return None
        return found


def _no_words(values: Sequence[Any]) -> bytes:
    return b""


def _tuple_getter(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes the primary key out of a row's values: called for every row that is read."""
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return operator.itemgetter(*places)
