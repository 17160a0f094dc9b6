"""One database row as one bytes value."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from secrets import token_bytes
from typing import Any, Final

from sqlalchemy import Column, Dialect
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeEngine

from sqlalchemy_rediscache.codec.columns import (
    declared_type,
    decorated_type,
    is_decorator,
    is_foreign,
    overrides,
    uncacheable,
)
from sqlalchemy_rediscache.codec.extensions import MAX_ITEMS
from sqlalchemy_rediscache.codec.fingerprint import fingerprint_of
from sqlalchemy_rediscache.codec.inexact import Inexact
from sqlalchemy_rediscache.codec.stored import stored_rule
from sqlalchemy_rediscache.codec.transforms import transform_of
from sqlalchemy_rediscache.codec.wire import Wire
from sqlalchemy_rediscache.errors import (
    ConfigurationError,
    DecodeError,
    EncodeError,
    EntryTooLarge,
)
from sqlalchemy_rediscache.private.types import BinaryType

# The first byte tells the form of a value: an array header of msgpack (a row as it is), the "x"
# that every zlib stream of this module starts with, or the nil of msgpack.
ABSENT_ROW: Final = b"\xc0"
"""The value that says "this row does not exist"; no row is encoded as this."""

_COMPRESSED = b"x"
_COMPRESSION_LEVEL = 1

_SHORT_ARRAY = 15
_BATCH = 64
"""How many rows are unpacked by one call of msgpack."""

_BATCH_ITEMS = 2 * _BATCH
_MARK_BYTES = 8
_UNSIGNED_64 = b"\xcf"
_FLAT_TYPES = (
    sqltypes.String,
    sqltypes.Integer,
    sqltypes.Numeric,
    sqltypes.Float,
    sqltypes.Boolean,
    sqltypes.Date,
    sqltypes.DateTime,
    sqltypes.Time,
    sqltypes.Uuid,
    sqltypes.Interval,
    BinaryType,
)


class RowCodec:
    """Packs the values of a list of columns and unpacks them, exactly.

    Args:
        columns: The columns, in the order of the values.
        dialect: The dialect that they are read with.
        compress_over: Compress rows of more bytes than this; None never does.
        max_bytes: Refuse rows of more bytes than this, packed or unpacked.

    Raises:
        ConfigurationError: A column is `uncacheable`.

    Attributes:
        shareable: Nobody can change the values, and they depend on nothing but the bytes.
        fingerprint: Eight characters that change when the packed row could mean something else.
        stored_rules: `stored` for each column, as a function of the value.
    """

    shareable: bool
    fingerprint: str
    stored_rules: Sequence[Callable[[Any], Any | Inexact]]

    def __init__(
        self,
        columns: Sequence[Column[Any] | ColumnElement[Any]],
        dialect: Dialect,
        *,
        compress_over: int | None = 1024,
        max_bytes: int = 1 << 20,
    ) -> None:
        for column in columns:
            reason = uncacheable(column, dialect)
            if reason is not None:
                raise ConfigurationError(
                    f'column {column} can\'t be cached ({reason}); give it info={{"cache": False}}'
                )
        self.fingerprint = fingerprint_of(columns, dialect)
        self._count = len(columns)
        self._header = _array_header(self._count)
        self._compress_over = max_bytes if compress_over is None else min(compress_over, max_bytes)
        self._max_bytes = max_bytes
        flat = all(_is_flat(column.type, dialect) for column in columns)
        self._wire = _wire(len(columns), dialect, flat=flat)
        self.shareable = flat
        self._unpack = self._wire.unpack
        secret = token_bytes(_MARK_BYTES)
        self._mark = _UNSIGNED_64 + secret
        self._mark_value = int.from_bytes(secret, "big")
        transforms = [
            (index, transform_of(column.type, dialect, self._wire))
            for index, column in enumerate(columns)
        ]
        self._encoders = [(index, t.encode) for index, t in transforms if t is not None]
        self._decoders = [(index, t.decode) for index, t in transforms if t is not None]
        self.stored_rules = tuple(stored_rule(column, dialect) for column in columns)

    def encode(self, values: Sequence[Any]) -> bytes:
        """Pack a row.

        Args:
            values: What a database read gave for each column, in their order.

        Raises:
            EncodeError: A value could not be given back exactly, or the row is too large.
        """
        row = list(values)
        if len(row) != self._count:
            raise EncodeError(f"{len(row)} values for {self._count} columns")
        try:
            for index, encode in self._encoders:
                row[index] = encode(row[index])
            packed = self._wire.pack_row(row)
        except EncodeError:
            raise
        except Exception as error:
            # Whatever a TypeDecorator or msgpack does not take, the row is not cached.
            raise EncodeError(f"{type(error).__name__}: {error}") from error
        if len(packed) <= self._compress_over:
            return packed
        if len(packed) > self._max_bytes:
            raise EntryTooLarge(f"the row has {len(packed)} bytes, more than {self._max_bytes}")
        compressed = zlib.compress(packed, _COMPRESSION_LEVEL)
        return compressed if len(compressed) < len(packed) else packed

    def decode(self, blob: bytes) -> list[Any]:
        """Unpack a row.

        Args:
            blob: What `encode` made, or anything else.

        Returns:
            A value for each column, equal and of the same type as a database read gave.

        Raises:
            DecodeError: The bytes are not a row of these columns. No other error is raised,
                whatever the bytes are.
        """
        try:
            # The header fixes both that it is an array and how many values it has.
            if not blob.startswith(self._header) or len(blob) > self._max_bytes:
                blob = self._plain(blob)
            values: list[Any] = self._unpack(blob)
            for index, decode in self._decoders:
                values[index] = decode(values[index])
        except DecodeError:
            raise
        except Exception as error:
            # Anybody may have written these bytes: whatever goes wrong is a miss.
            raise DecodeError(f"{type(error).__name__}: {error}") from error
        return values

    def decode_many(self, blobs: Sequence[bytes]) -> list[list[Any] | None]:
        """Unpack several rows, which takes less time than one by one.

        Args:
            blobs: What `encode` made, or anything else.

        Returns:
            For each of them what `decode` gives, None where that would be a DecodeError. Nothing is
            raised, whatever the bytes are.
        """
        rows: list[list[Any] | None] = []
        for start in range(0, len(blobs), _BATCH):
            batch = blobs[start : start + _BATCH]
            try:
                rows += self._decode_batch(batch)
            except Exception:  # noqa: BLE001 (one is not a row; which one, is seen one by one)
                rows += map(self._decode_or_none, batch)
        return rows

    def _decode_batch(self, blobs: Sequence[bytes]) -> list[list[Any]]:
        """Unpack at most `_BATCH` rows as one array; raise whatever if one of them is not a row.

        Between any two rows stands a number that nobody who writes to Redis knows. So it can be
        read only where it was put: if every second value read is that number, each row was read
        from its own bytes, all of them, and none has swallowed a part of its neighbours.
        """
        header, mark = self._header, self._mark
        plain = [blob if blob.startswith(header) else self._plain(blob) for blob in blobs]
        packed = mark.join(plain)
        if len(packed) > self._max_bytes and max(map(len, plain)) > self._max_bytes:
            raise DecodeError("one of the rows is too large")
        marks = len(plain) - 1
        values = self._unpack(_array_header(len(plain) + marks) + packed)
        if values[1::2] != [self._mark_value] * marks:
            raise DecodeError("one of the rows has too few bytes or too many")
        rows: list[list[Any]] = values[::2]
        for index, decode in self._decoders:
            for row in rows:
                row[index] = decode(row[index])
        return rows

    def _decode_or_none(self, blob: bytes) -> list[Any] | None:
        try:
            return self.decode(blob)
        except DecodeError:
            return None

    def _plain(self, blob: bytes) -> bytes:
        """The packed row in the bytes of a value; DecodeError if there is none."""
        if len(blob) > self._max_bytes:
            raise DecodeError(f"{len(blob)} bytes, more than {self._max_bytes}")
        if blob.startswith(_COMPRESSED):
            blob = _decompress(blob, self._max_bytes)
        if not blob.startswith(self._header):
            raise DecodeError(f"not a row of {self._count} columns")
        return blob

    def stored(self, index: int, value: Any) -> Any:
        """What the database gives back for a value that is written to a column.

        Args:
            index: The position of the column.
            value: The Python value as the application set it.

        Returns:
            The value that a read will give, or `INEXACT` when that is not known for certain.
        """
        return self.stored_rules[index](value)


def _array_header(count: int) -> bytes:
    return bytes((0x90 | count,)) if count <= _SHORT_ARRAY else b"\xdc" + count.to_bytes(2, "big")


def _decompress(blob: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    data = stream.decompress(blob, limit)
    if not stream.eof or stream.unused_data or stream.unconsumed_tail:
        raise DecodeError("not one compressed row, or too large")
    return data


def _wire(count: int, dialect: Dialect, *, flat: bool) -> Wire:
    if flat:
        # Nothing in these rows is a list or dict: a hostile value may claim no more items than a
        # row or a batch of rows has.
        return Wire(dialect.driver, max_items=max(_BATCH_ITEMS, count), max_pairs=0)
    return Wire(dialect.driver, max_items=max(MAX_ITEMS, count))


def _is_flat(type_: TypeEngine[Any], dialect: Dialect) -> bool:
    declared = declared_type(type_, dialect)
    if is_decorator(declared):
        return not overrides(declared, "process_result_value", "result_processor") and _is_flat(
            decorated_type(declared, dialect), dialect
        )
    return isinstance(declared, _FLAT_TYPES) and not is_foreign(declared)
