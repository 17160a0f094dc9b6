"""`Row`: a row as it was decoded, with what is made of it again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Row(list[Any]):
    """The values of a row, in the order of its group's columns.

    Where the values allow it, all who read the same bytes get the same object: it is never changed.

    Args:
        values: The values.
        key: The row's key, as it stands in Redis; None for a value that has no text.
        identity: The primary key's values.

    Attributes:
        attributes: The values by the attributes of an object; None until one is made.
    """

    __slots__ = ("attributes", "identity", "key")

    def __init__(self, values: Iterable[Any], key: bytes | None, identity: tuple[Any, ...]) -> None:
        super().__init__(values)
        self.key = key
        self.identity = identity
        self.attributes: dict[str, Any] | None = None
