"""`Refusal`: why a statement's result can't be cached."""

from __future__ import annotations

from dataclasses import dataclass

from ..stats import Reason


@dataclass(frozen=True)
class Refusal:
    """The result of a statement can't be cached.

    Args:
        reason: Why, for people to read.
        name: The same in one word, for counters.
    """

    reason: str
    name: Reason
