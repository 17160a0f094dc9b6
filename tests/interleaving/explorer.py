"""Runs a scenario through order after order and judges every read of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from sqlalchemy_rediscache import from_cache
from tests.interleaving.orders import Option, Orders, Redundant
from tests.interleaving.stepping import Actor, Choice, Crashed
from tests.interleaving.world import Box, Filed, Model, Row, State, World


class Wrong(AssertionError):
    """A read broke the promise; the message has the order."""


def by_box(session: Session, box: int) -> Sequence[Any]:
    """The rows of a box by a cached query."""
    statement = select(Filed).where(Filed.a == box).order_by(Filed.id)
    return session.scalars(statement.options(from_cache(ttl=60))).all()


def collection(session: Session, box: int) -> Sequence[Any]:
    """The rows of a box as its collection."""
    return session.get_one(Box, box).items


class Player:
    """What an actor of a scenario works with.

    Args:
        world: Where it is.
        actor: The actor.
        process: Whose cache it uses.
    """

    def __init__(self, world: World, process: int) -> None:
        self.world = world
        self.process = process
        self.model: Model = world.model
        self.actor: Actor = Actor(-1, "", lambda: None)
        self.kept: Any = None
        """What `prepare` left for `play`."""

    @property
    def keys(self) -> tuple[int, ...]:
        """The rows of this order."""
        return self.world.keys

    def session(self, *, snapshot: bool = False) -> Session:
        """A new session."""
        return self.world.session(self.process, snapshot=snapshot)

    def read(
        self,
        keys: Sequence[int],
        load: Callable[[], Sequence[Any]],
        since: int | None = None,
        box: int | None = None,
    ) -> None:
        """Load rows and judge what comes.

        Args:
            keys: Which rows.
            load: Loads them, gives objects in any order (None for what is not there).
            since: The number of the oldest state that may be seen; default the newest one that was
                committed when the read started.
            box: Only the rows whose `a` is this are loaded.
        """
        self.actor.floor = len(self.world.states) - 1
        self.actor.starting = True
        found = _rows(load())
        floor = self.actor.floor if since is None else since
        self.actor.starting = False
        got: State = {key: found.get(key) for key in keys}
        allowed = [filed(state, keys, box) for state in self.world.states[floor:]]
        self.world.stepper.note(str(list(got.values())))
        if got not in allowed:
            raise Wrong(f"{self.actor.name} read {got}, but {allowed} is what it may see")

    def see(self, key: int, load: Callable[[], Any], expected: Row) -> None:
        """Load a row that must be `expected`, whatever others do."""
        got = _rows([load()]).get(key)
        self.world.stepper.note(str(got))
        if got != expected:
            raise Wrong(f"{self.actor.name} read {got} instead of {expected}")


def filed(state: State, keys: Sequence[int], box: int | None) -> State:
    """What is seen of a state by who loads the rows of a box, or of all of them."""
    found: State = {}
    for key in keys:
        row = state[key]
        found[key] = row if box is None or (row is not None and row[0] == box) else None
    return found


def _rows(objects: Sequence[Any]) -> State:
    """The rows of objects, from what is loaded: nothing is loaded by looking."""
    found: State = {}
    for one in objects:
        if one is not None:
            loaded = inspect(one).dict
            found[loaded["id"]] = (loaded["a"], loaded["b"])
    return found


@dataclass(frozen=True)
class Role:
    """What one actor does in a scenario.

    Args:
        name: Its name in traces.
        play: What it does, step by step.
        prepare: What it did before the order begins.
        writes: Which of the rows it writes, by place; None for all of the table.
        happens: It is an event, that may happen when this is true.
        tolerates: What the database may refuse it.
    """

    name: str
    play: Callable[[Player], None]
    prepare: Callable[[Player], None] | None = None
    writes: tuple[int, ...] | None = ()
    happens: Callable[[Player], bool] | None = None
    tolerates: tuple[type[Exception], ...] = ()


@dataclass(frozen=True)
class Scenario:
    """Actors, rows, and what may go wrong.

    Args:
        name: For the report.
        roles: The actors.
        rows: How many rows there are.
        warm: They are in the cache when the order begins.
        absent: How many of them, the first, are not in the database when it begins.
        crashes: How many actors may die, at any of their steps.
        mortals: Who may die; all of them if nobody is named.
        faults: How many calls to Redis may fail, unsent or with the answer lost.
        snapshots: Transactions see one moment.
        invalidate: The model is of ``write="invalidate"``.
        filed: The model's rows are filed by their `a`, and asked for by it.
        aging: The model is of a `stale_ttl`; rows that are warm are over their time.
        remembered: The processes remember the results of their queries.
        apart: Each actor is a process with a cache object of its own.
        options: For `RedisCache`.
    """

    name: str
    roles: tuple[Role, ...]
    rows: int = 1
    warm: bool = True
    absent: int = 0
    crashes: int = 0
    mortals: tuple[str, ...] = ()
    faults: int = 0
    snapshots: bool = False
    invalidate: bool = False
    filed: bool = False
    aging: bool = False
    remembered: bool = False
    apart: bool = True
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """What was run.

    Attributes:
        orders: Orders that were run to their end.
        skipped: Orders given up, since they only swap steps that commute.
        complete: All orders that there are, up to the bound.
    """

    orders: int = 0
    skipped: int = 0
    steps: int = 0
    complete: bool = False

    def __iadd__(self, other: Tally) -> Tally:
        self.orders += other.orders
        self.skipped += other.skipped
        self.steps += other.steps
        self.complete = self.complete or other.complete
        return self

    def __str__(self) -> str:
        what = "all there are" if self.complete else "a part"
        return f"{self.orders} orders ({what}), {self.steps} steps, 0 stale reads"


class Explorer:
    """Explores one scenario in one world.

    Args:
        world: Where.
        scenario: What.
    """

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario

    def run(self, orders: Orders) -> Tally:
        """Run orders until there is none left.

        Raises:
            Wrong: A read was stale; the message shows the order.
        """
        tally = Tally()
        while orders.more():
            try:
                self._one(orders)
                tally.orders += 1
            except Redundant:
                tally.skipped += 1
            except Wrong as wrong:
                trace = "\n  ".join(self.world.stepper.trace)
                raise Wrong(
                    f"order {tally.orders + 1} of {self.scenario.name}:\n  {trace}\n  {wrong}"
                ) from None
            finally:
                self.world.stepper.abandon()
            tally.steps += self.world.stepper.clock
        tally.complete = orders.complete
        return tally

    def _one(self, orders: Orders) -> None:
        world, scenario = self.world, self.scenario
        world.reset(scenario.rows, absent=scenario.absent)
        players = [Player(world, place if scenario.apart else 0)
                   for place, _ in enumerate(scenario.roles)]  # fmt: skip
        self._prepare(players)
        actors = [
            self._actor(place, scenario.roles[place], player)
            for place, player in enumerate(players)
        ]
        world.stepper.begin(actors)
        previous, troubles = -1, 0
        self._judge(actors)
        while options := self._options(previous, troubles):
            choice = orders.choose(options)
            world.stepper.step(choice)
            troubles += choice.how != "go"
            previous = choice.actor
            self._judge(actors)
        self._look_back(players)

    def _prepare(self, players: Sequence[Player]) -> None:
        if self.scenario.warm:
            for player in players[:1]:
                with player.session() as session:
                    for key in player.keys:
                        session.get(player.model, key)
        for role, player in zip(self.scenario.roles, players, strict=True):
            for _ in range(3 if self.scenario.remembered and role.writes == () else 1):
                if role.prepare is not None:
                    role.prepare(player)
        self.world.settle(warm=self.scenario.warm)
        if self.scenario.aging:
            self.world.age_rows()

    def _actor(self, index: int, role: Role, player: Player) -> Actor:
        player.actor = Actor(index, role.name, lambda: role.play(player))
        if self.world.database.name == "sqlite":
            player.actor.holds = frozenset({"file"})
        else:
            places = range(self.scenario.rows) if role.writes is None else role.writes
            player.actor.holds = frozenset(places)
        if role.happens is not None:
            happens = role.happens
            player.actor.ready = lambda: happens(player)
        return player.actor

    def _options(self, previous: int, troubles: int) -> list[Option]:
        """What can be chosen, the actor that took the last step first."""
        scenario, stepper = self.scenario, self.world.stepper
        found = sorted(stepper.options(), key=lambda one: one[0].actor != previous)
        if troubles < scenario.crashes + scenario.faults:
            more: list[Option] = []
            for choice, op in found:
                actor = stepper.actors[choice.actor]
                if actor.is_event or not actor.steps:
                    continue
                if scenario.crashes and actor.name in (scenario.mortals or (actor.name,)):
                    more.append((Choice(choice.actor, "crash"), op))
                if scenario.faults and op.kind == "redis":
                    more += [(Choice(choice.actor, how), op) for how in ("unsent", "lost")]
            found += more
        return found

    def _judge(self, actors: Sequence[Actor]) -> None:
        for actor, role in zip(actors, self.scenario.roles, strict=True):
            error = actor.error
            if error is not None and not isinstance(error, role.tolerates):
                if isinstance(error, Wrong):
                    raise error
                trace = "\n  ".join(self.world.stepper.trace)
                raise AssertionError(f"{actor.name} failed: {error!r} after\n  {trace}") from error
            actor.error = None

    def _look_back(self, players: Sequence[Player]) -> None:
        """When all is over, every process reads what the database has, and keeps reading it."""
        world = self.world
        died = any(actor.dead for actor in world.stepper.actors)
        for expired in (False, True)[: 1 + died]:
            if expired:
                world.expire_leases()
                world.expire_locks(world.stepper.actors)
            for player in list(players[:: max(1, len(players) - 1)]) * (1 + expired):
                with player.session() as session:
                    got = {key: _rows([session.get(player.model, key)]).get(key)
                           for key in player.keys}  # fmt: skip
                if got != world.states[-1]:
                    raise Wrong(f"afterwards {got} is read, the database has {world.states[-1]}")
                if world.model is Filed:
                    self._look_into_boxes(player)

    def _look_into_boxes(self, player: Player) -> None:
        for box in (0, 1):
            for load in (by_box, collection):
                with player.session() as session:
                    got = _rows(load(session, box))
                expected = filed(self.world.states[-1], player.keys, box)
                if {key: got.get(key) for key in player.keys} != expected:
                    raise Wrong(f"afterwards box {box} has {got}, in the database {expected}")


__all__ = ["Crashed", "Explorer", "Player", "Role", "Scenario", "Tally", "Wrong"]
