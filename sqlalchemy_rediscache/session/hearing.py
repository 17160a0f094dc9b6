"""Which engines a cache listens to."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine

from .. import private

Listener = tuple[str, Callable[..., Any]]


class Hearing:
    """Has listeners hear what engines send, each of them once.

    They are for events of the dialect, which cost a statement 0.5 us. One listener for an event of
    the engine would make each of its connections join its listeners with the engine's, 30 us.

    Args:
        listeners: The names of events, and who hears them.
        around: Called right before each COMMIT, of the engines for which `hear_commits` asks.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        around: Callable[[Any], Callable[[bool], None] | None],
    ) -> None:
        self._listeners = listeners
        self._around = around
        self._heard: weakref.WeakSet[Dialect] = weakref.WeakSet()
        self._used: weakref.WeakSet[Dialect] = weakref.WeakSet()

    def use(self, engine: Any) -> None:
        """Sessions of the cache may use an engine: from now on all that it sends is heard."""
        if not isinstance(engine, Engine) or engine.dialect in self._used:
            return  # the former: an application's tests stand something in for it
        self._used.add(engine.dialect)
        self.hear(engine)

    def hear(self, engine: Any) -> None:
        """Listen to an engine; once is enough for all that share its dialect."""
        if not isinstance(engine, Engine) or engine.dialect in self._heard:
            return
        self._heard.add(engine.dialect)
        for name, listener in self._listeners:
            event.listen(engine.dialect, name, listener)

    def hear_commits(self, dialect: Dialect) -> None:
        """Hear every COMMIT of a dialect's engines, at the last moment before it is sent.

        Others than those of connections that have written matter seldom, and cost each of them.
        """
        if dialect in self._heard:
            private.around_commits(dialect, self._around)

    def forget(self, engine: Engine) -> None:
        """Stop listening to an engine that no session of the cache may use."""
        if engine.dialect not in self._used:
            self._unhear(engine.dialect)

    def close(self) -> None:
        """Stop listening to all engines."""
        # By the dialect and not by the engine it was met with, which may be gone before it: one
        # made by `execution_options()` shares the dialect of an engine that goes on.
        for dialect in list(self._heard):
            self._unhear(dialect)
        self._used.clear()

    def _unhear(self, dialect: Dialect) -> None:
        self._heard.discard(dialect)
        private.not_around_commits(dialect, self._around)
        for name, listener in self._listeners:
            if event.contains(dialect, name, listener):
                event.remove(dialect, name, listener)
