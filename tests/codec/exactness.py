"""What "the same value" means: equal, of the same Python type, at every depth, bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy.dialects.postgresql import Range


def identical(left: Any, right: Any) -> bool:
    """Whether nothing in Python could tell the two values apart (but their identity).

    Args:
        left: A value, possibly of nested lists, tuples, dicts, sets, ranges.
        right: Another.
    """
    if type(left) is not type(right):
        return False
    for kinds, compare in _COMPARISONS:
        if isinstance(left, kinds):
            return compare(left, right)
    return bool(left == right)


def _dicts(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    # The order of the keys is seen by whoever iterates.
    return _sequences(list(left), list(right)) and _sequences(
        list(left.values()), list(right.values())
    )


def _sequences(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(map(identical, left, right))


def _floats(left: float, right: float) -> bool:
    return struct.pack(">d", left) == struct.pack(">d", right)


def _decimals(left: Decimal, right: Decimal) -> bool:
    return left.as_tuple() == right.as_tuple()


def _moments(left: Any, right: Any) -> bool:
    return (
        bool(left.replace(tzinfo=None) == right.replace(tzinfo=None))
        and left.fold == right.fold
        and type(left.tzinfo) is type(right.tzinfo)
        and bool(left.tzinfo == right.tzinfo)
        and left.tzname() == right.tzname()
    )


def _ranges(left: Range[Any], right: Range[Any]) -> bool:
    return (
        identical(left.lower, right.lower)
        and identical(left.upper, right.upper)
        and (left.bounds, left.empty) == (right.bounds, right.empty)
    )


_COMPARISONS: tuple[tuple[Any, Callable[[Any, Any], bool]], ...] = (
    (float, _floats),
    (Decimal, _decimals),
    ((datetime, time), _moments),
    (dict, _dicts),
    ((list, tuple), _sequences),
    (Range, _ranges),
)
