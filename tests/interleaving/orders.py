"""Which orders are run: all of them, those with few switches between actors, or a random sample."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.interleaving.stepping import Choice, Op

Option = tuple[Choice, Op]


class Redundant(Exception):
    """Every way to go on leads to an order that only swaps steps that commute."""


class Orders(Protocol):
    """Chooses steps, order after order."""

    complete: bool
    """Were all the orders run that there are, up to the bound?"""

    def choose(self, options: Sequence[Option]) -> Choice:
        """The next step; the first option is to go on with the actor that took the last one."""

    def more(self) -> bool:
        """Begin the next order; False when there is none."""


@dataclass
class _Node:
    options: list[Option]
    asleep: frozenset[Option]
    switches: int
    last: int
    at: int = 0


@dataclass
class DepthFirst:
    """Every order, by going back to the last choice that has alternatives left.

    Without a bound, orders that differ only in the order of neighbours that commute are run once
    (sleep sets, after Godefroid). With one, all orders are run in which an actor that could go on
    is interrupted at most `switches` times.

    Args:
        switches: The bound, or None.
        limit: Most orders to run; the rest is left out.
    """

    switches: int | None = None
    limit: int = 1_000_000
    complete: bool = False
    _nodes: list[_Node] = field(default_factory=list)
    _depth: int = 0
    _begun: int = 0

    def choose(self, options: Sequence[Option]) -> Choice:
        """The next step."""
        if self._depth == len(self._nodes):
            self._nodes.append(self._node(options))
        node = self._nodes[self._depth]
        self._depth += 1
        if not node.options:
            raise Redundant
        choice, op = node.options[node.at]
        if (choice, op) not in options:
            raise AssertionError(f"not repeatable: {choice} {op} is not among {options}")
        return choice

    def _node(self, options: Sequence[Option]) -> _Node:
        if not self._nodes:
            return _Node(list(options), frozenset(), 0, -1)
        parent = self._nodes[-1]
        choice, op = parent.options[parent.at]
        if self.switches is None:
            earlier = parent.asleep.union(parent.options[: parent.at])
            asleep = frozenset(
                one for one in earlier
                if one[0].actor != choice.actor
                and {one[0].how, choice.how} == {"go"} and one[1].commutes(op)
            )  # fmt: skip
            return _Node([one for one in options if one not in asleep], asleep, 0, choice.actor)
        switches = parent.switches + (
            choice.actor != parent.last
            and any(one[0].actor == parent.last for one in parent.options)
        )
        current = [one for one in options if one[0].actor == choice.actor]
        others = [one for one in options if one[0].actor != choice.actor]
        allowed = current + others if switches < self.switches or not current else current
        return _Node(allowed, frozenset(), switches, choice.actor)

    def more(self) -> bool:
        """Begin the next order; False when there is none."""
        if self._begun:
            while self._nodes and self._nodes[-1].at + 1 >= len(self._nodes[-1].options):
                self._nodes.pop()
            if not self._nodes:
                self.complete = True
                return False
            self._nodes[-1].at += 1
        if self._begun == self.limit:
            return False
        self._begun += 1
        self._depth = 0
        return True


@dataclass
class Sample:
    """Random orders, different ones.

    Args:
        count: How many.
        seed: For repeating them.
    """

    count: int
    seed: int = 1
    complete: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._begun = 0

    def choose(self, options: Sequence[Option]) -> Choice:
        """The next step."""
        # Troubles are rarer than steps, else few orders would get far.
        weights = [1.0 if choice.how == "go" else 0.15 for choice, _ in options]
        return self._random.choices(options, weights)[0][0]

    def more(self) -> bool:
        """Begin the next order; False when there is none."""
        self._begun += 1
        return self._begun <= self.count


@dataclass
class Given:
    """One order, written down.

    Args:
        steps: The actors' places in the scenario, one for each step; with another word than "go"
            for how it goes, as ``(0, "unsent")``. What is left then runs in any order.
    """

    steps: Sequence[int | tuple[int, str]]
    complete: bool = False
    _left: list[int | tuple[int, str]] | None = None

    def choose(self, options: Sequence[Option]) -> Choice:
        """The next step that is written down."""
        if not self._left:
            return options[0][0]
        step = self._left.pop(0)
        wanted = Choice(step, "go") if isinstance(step, int) else Choice(*step)
        if all(choice != wanted for choice, _ in options):
            raise AssertionError(f"{wanted} is not among {options}")
        return wanted

    def more(self) -> bool:
        """Once."""
        if self._left is not None:
            return False
        self._left = list(self.steps)
        return True
