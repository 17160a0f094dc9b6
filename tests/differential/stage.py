"""What every rule of the differential machine stands on: two pairs of sessions."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import inspect

from tests.differential.side import InstanceEvents, Side
from tests.differential.twins import Pair, Twins
from tests.differential.values import MODELS

models = st.sampled_from(MODELS)
numbers = st.integers(0, 3)
few = st.integers(0, 9)
who = st.sampled_from([0, 0, 0, 1])
Operation = Callable[[Side, int], Any]
Rule = Callable[..., None]


class ImpossibleNowError(Exception):
    """A rule has nothing to work on (`hypothesis.assume` would give up the whole example)."""


def needs(condition: Any) -> None:
    """End the rule unless it can be done now.

    Raises:
        ImpossibleNowError: It can't.
    """
    if not condition:
        raise ImpossibleNowError


def possible(rule: Rule) -> Rule:
    """Have a rule do nothing where it can't be done."""

    @functools.wraps(rule)
    def wrapped(self: Stage, **drawn: Any) -> None:
        with contextlib.suppress(ImpossibleNowError):
            rule(self, **drawn)

    return wrapped


class Stage(RuleBasedStateMachine):
    """Two pairs of sessions; subclasses give the twins and choose how events are heard."""

    twins: ClassVar[Twins]
    as_sqlalchemy: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        # Objects in reference cycles leave an identity map when the collector runs: at one moment
        # for both sides, or their loads differ.
        gc.collect()
        gc.disable()
        self.events = InstanceEvents(as_sqlalchemy=self.as_sqlalchemy)
        self.pairs: list[Pair] = []
        self.patience = 0
        """After how many writes there is a commit, if no rule comes before."""

    def begin(self, rows: int, warm: bool, patience: int) -> None:
        """Begin with rows, in the cache or not."""
        self.patience = patience
        self.twins.reset(rows)
        if warm:
            self.twins.warm()
        self.pairs = [Pair(self.twins.cached, self.twins.plain) for _ in range(2)]

    def teardown(self) -> None:
        """End with a cache that is right."""
        try:
            for pair in self.pairs:
                pair.close()
            if self.pairs:
                self.others_look()
                self.twins.judge()
        finally:
            self.events.close()
            gc.enable()

    # -- helpers ------------------------------------------------------------------------------

    def read(self, pair: int, operation: Operation) -> None:
        """Have a pair do what writes nothing by itself (an autoflush may)."""
        self.pairs[pair].do(operation)

    def write(self, pair: int, operation: Operation) -> None:
        """Have a pair do what may write: one pair at a time, or they would wait for each other."""
        needs(not self.pairs[1 - pair].wrote)
        self.pairs[pair].do(operation)
        self.pairs[pair].writes += 1
        if self.pairs[pair].writes >= self.patience:
            self.commit_pair(pair)
            self.others_look()

    def commit_pair(self, pair: int) -> None:
        """Commit what a pair has written, if anything."""

        def operation(side: Side, _: int) -> None:
            side.savepoints = []
            side.session.commit()

        self.read(pair, operation)
        self.pairs[pair].writes = 0

    def end_reading(self, pair: int) -> None:
        """End a transaction that has written nothing: within it there is a snapshot perhaps."""
        if not self.pairs[pair].wrote:
            self.pairs[pair].do(lambda side, _: side.session.commit())

    def others_look(self) -> None:
        """Others look at what is committed."""

    def handle(self, pair: int, number: int) -> tuple[Any, Any]:
        """One of the objects that a pair has met, later ones first."""
        handles = self.pairs[pair].handles
        needs(handles)
        return handles[-1 - number % len(handles)]


def repr_of_key(instance: Any) -> str:
    """What objects are sorted by where the database gives no order."""
    return repr(inspect(instance).key) if hasattr(instance, "_sa_instance_state") else ""
