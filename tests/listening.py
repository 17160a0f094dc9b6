"""Listeners of SQLAlchemy's events that end with the block they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event


@contextmanager
def listening(
    target: Any, name: str, listener: Callable[..., Any], **options: Any
) -> Iterator[None]:
    """Have a listener hear an event within a block.

    Args:
        target: What the event happens to.
        name: The event.
        listener: Called when it happens.
        options: Passed to `sqlalchemy.event.listen`.
    """
    event.listen(target, name, listener, **options)
    try:
        yield
    finally:
        event.remove(target, name, listener)
