"""Actors that stop before every call to Redis and to the database, run one step at a time.

Each actor is a greenlet of one thread, so that an order can be repeated exactly. What would block
an actor in the database (the row, or in SQLite the file, that another writer holds) is known to the
`Stepper`, which does not let it take that step before the other is done: were it wrong, the one
thread would wait for itself and the database's own lock timeout would fail the run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from greenlet import greenlet  # type: ignore[import-untyped]


class Crashed(BaseException):
    """Thrown into an actor that dies: nothing it would still do happens."""


class Op(NamedTuple):
    """The call that an actor is about to make.

    Args:
        kind: "redis", "select", "dml", "commit", "rollback", "pause" or "event".
        label: What to call it in a trace.
        starts: It is the first call of a read, whose promise begins here.
    """

    kind: str
    label: str
    starts: bool = False

    def commutes(self, other: Op) -> bool:
        """Would the two calls, of different actors, do the same in either order?"""
        kinds = {self.kind, other.kind}
        if kinds & {"event", "pause"} or (
            len({"commit"} & kinds) and (self.starts or other.starts)
        ):
            return False
        if "redis" in kinds:
            return len(kinds) == 2
        if "select" in kinds:  # a reader sees what is committed, and waits for nobody
            return "commit" not in kinds
        return False


class Choice(NamedTuple):
    """One way to go on: which actor takes its next step, and how that goes."""

    actor: int
    how: str
    """"go", "crash" (before the step), "unsent" or "lost" (a call to Redis, or its answer, is)."""


@dataclass(eq=False)
class Actor:
    """One participant of an order.

    Args:
        index: Its number.
        name: Its name in traces.
        body: What it does.
        holds: What its first write holds in the database until it commits.
        ready: For an event: may it happen now?
    """

    index: int
    name: str
    body: Callable[[], None]
    holds: frozenset[Hashable] = frozenset()
    ready: Callable[[], bool] | None = None
    op: Op | None = None
    steps: int = 0
    dead: bool = False
    holding: bool = False
    parked_at: int = 0
    starting: bool = False
    floor: int = 0
    error: BaseException | None = None
    tokens: set[bytes] = field(default_factory=set)
    connection: Any = None
    """The driver's connection that it wrote on."""
    greenlet: Any = None

    @property
    def is_event(self) -> bool:
        """Is it something that happens, not someone who reads or writes?"""
        return self.ready is not None


class Stepper:
    """Runs the actors of one order, each to its next call when it is chosen.

    Args:
        noted: Called when a read starts, gives its floor.
        hang_up: Called with the connection of a writer that died.
    """

    def __init__(self, noted: Callable[[], int], hang_up: Callable[[Any], None]) -> None:
        self.current: Actor | None = None
        self.actors: list[Actor] = []
        self.trace: list[str] = []
        self.clock = 0
        self._noted = noted
        self._hang_up = hang_up
        self._main: Any = None
        self._how = "go"

    def begin(self, actors: list[Actor]) -> None:
        """Bring every actor to its first call."""
        self._main = greenlet.getcurrent()
        self.actors, self.trace, self.clock = actors, [], 0
        for actor in actors:
            actor.greenlet = greenlet(self._body(actor), parent=self._main)
            self._resume(actor, "go")

    def _body(self, actor: Actor) -> Callable[[], None]:
        def run() -> None:
            try:
                actor.body()
            except Crashed:
                pass
            except BaseException as error:  # noqa: BLE001 - the explorer looks at it
                actor.error = error

        return run

    def park(self, op: Op) -> str:
        """Wait, within an actor, for the turn to make a call; returns how it goes."""
        actor = self.current
        if actor is None:
            return "go"
        if actor.dead:
            if op.kind == "rollback":
                return "go"
            raise Crashed
        actor.op = op._replace(starts=actor.starting)
        actor.parked_at = self.clock
        self._main.switch()
        if actor.dead:
            raise Crashed
        if actor.starting:
            actor.starting = False
            actor.floor = self._noted()
        if op.kind == "dml":
            actor.holding = True
        return self._how

    def done_writing(self) -> None:
        """The running actor's transaction ended in the database."""
        if self.current is not None:
            self.current.holding = False

    def options(self) -> list[tuple[Choice, Op]]:
        """Every actor that can go on, with its call."""
        waiting, found = [], []
        for actor in self.actors:
            if actor.op is None or self._blocked(actor):
                continue
            one = Choice(actor.index, "go"), actor.op
            if actor.op.kind == "pause" and actor.parked_at == self.clock:
                waiting.append(one)  # asking again at once would find nothing new
            else:
                found.append(one)
        return found or waiting

    def _blocked(self, actor: Actor) -> bool:
        if actor.ready is not None:
            return not actor.ready()
        assert actor.op is not None
        return (
            actor.op.kind == "dml"
            and not actor.holding
            and any(
                other.holding and other.holds & actor.holds
                for other in self.actors
                if other is not actor
            )
        )

    def step(self, choice: Choice) -> None:
        """Have an actor make its call, and run to the next one."""
        actor = self.actors[choice.actor]
        assert actor.op is not None
        self.trace.append(f"{actor.name}: {actor.op.label}" + _suffix(choice.how))
        self.clock += 1
        actor.steps += 1
        if choice.how == "crash":
            self._kill(actor)
        else:
            self._resume(actor, choice.how)

    def note(self, text: str) -> None:
        """Add what came of a step to the trace."""
        if self.current is not None and self.trace:
            self.trace[-1] += f" -> {text}"

    def _resume(self, actor: Actor, how: str) -> None:
        actor.op = None
        self._how = how
        self.current = actor
        try:
            actor.greenlet.switch()
        finally:
            self.current = None

    def _kill(self, actor: Actor) -> None:
        actor.dead = True
        self._resume(actor, "crash")
        if actor.holding:
            self._hang_up(actor.connection)
        actor.holding = False

    def abandon(self) -> None:
        """Kill whoever has not finished."""
        for actor in self.actors:
            if actor.op is not None:
                self._kill(actor)


def _suffix(how: str) -> str:
    return {"go": "", "crash": " -- CRASH before it", "unsent": " -- FAILS, not sent",
            "lost": " -- FAILS, done but no answer"}[how]  # fmt: skip
