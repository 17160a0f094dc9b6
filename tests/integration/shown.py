"""Results as values that can be compared: types, keys, order, and what objects have loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, inspect
from sqlalchemy.orm import Session

from tests.integration.stage import Count, Stage

Run = Callable[[Session], Any]
"""Runs a query in a session and gives its result, fetched."""


def shown(value: Any, seen: frozenset[Any] = frozenset()) -> Any:
    """A value that is equal for equal results.

    Of an object: its class, its key, what is loaded of it and what is not, and its state.
    """
    if isinstance(value, Row):
        return ("row", tuple(value._fields), [shown(one, seen) for one in value])
    if isinstance(value, list | tuple):
        return (type(value).__name__, [shown(one, seen) for one in value])
    if isinstance(value, dict):
        return {key: shown(one, seen) for key, one in value.items()}
    state = inspect(value, raiseerr=False)
    if state is None or not hasattr(state, "session"):
        return (type(value).__name__, value)
    key = (type(value).__name__, state.identity)
    if key in seen:
        return key
    loaded = {name: shown(one, seen | {key}) for name, one in sorted(state.dict.items())
              if name != "_sa_instance_state"}  # fmt: skip
    flags = (
        state.persistent,
        state.modified,
        sorted(state.unloaded),
        sorted(state.expired_attributes),
    )
    return (*key, loaded, flags)


def outcome(stage: Stage, run: Run, *, plain: bool = False) -> Any:
    """What a query gives in a session of its own."""
    factory = stage.Plain if plain else stage.Session
    with factory() as session:
        return shown(run(session))


def warmed(stage: Stage, run: Run) -> None:
    """Have the cache hold a query and the rows of its result."""
    for _ in range(3):
        outcome(stage, run)


def again(stage: Stage, run: Run) -> tuple[Any, Count]:
    """What a query gives in a session of its own, and what that took."""
    with stage.counting() as count:
        found = outcome(stage, run)
    return found, count


def check(stage: Stage, run: Run) -> Count:
    """A query gives the same without the cache, cold and warm; what the warm one took."""
    expected = outcome(stage, run, plain=True)
    assert outcome(stage, run) == expected, "cold"
    for _ in range(2):
        # A transaction that has a snapshot fills little: what leads from one to the next takes
        # several.
        assert outcome(stage, run) == expected, "not cold any more"
    found, count = again(stage, run)
    assert found == expected, "warm"
    return count


def fresh(stage: Stage, *runs: Run) -> None:
    """Each query gives what the database gives now."""
    for run in runs:
        assert outcome(stage, run) == outcome(stage, run, plain=True)


def hits(stage: Stage) -> int:
    """How many queries were served so far."""
    return stage.cache.stats().query_hits
