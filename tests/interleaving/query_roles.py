"""What the actors do that ask for the rows of a box, and the one who moves rows between boxes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm.exc import StaleDataError

from sqlalchemy_rediscache import from_cache
from sqlalchemy_rediscache.errors import CacheUnavailable
from tests.interleaving.explorer import Player, Role, Wrong, by_box, filed
from tests.interleaving.roles import loaded
from tests.interleaving.stepping import Op
from tests.interleaving.world import Box, Filed, Tied


def mover(name: str, *, to: int, place: int = 0) -> Role:
    """Has a row's object, puts it into another box, commits."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[place].a = to
            session.commit()

    return Role(name, play, loaded, (place,), tolerates=(StaleDataError, CacheUnavailable))


def query_reader(name: str, *, box: int = 0) -> Role:
    """Asks for the rows of a box by a cached query: they are of one moment."""

    def prepare(player: Player) -> None:
        with player.session() as session:
            by_box(session, box)

    def play(player: Player) -> None:
        with player.session() as session:
            player.read(player.keys, lambda: by_box(session, box), box=box)

    return Role(name, play, prepare)


def key_reader(name: str) -> Role:
    """Asks for a row by a cached query that knows it by its key, and joins its box to it."""

    def load(session: Any, key: int) -> Any:
        statement = select(Filed, Box.id).join(Box, Filed.a == Box.id).where(Filed.id == key)
        return [item for item, _ in session.execute(statement.options(from_cache(ttl=60)))]

    def prepare(player: Player) -> None:
        with player.session() as session:
            load(session, player.keys[0])

    def play(player: Player) -> None:
        with player.session() as session:
            player.read(player.keys, lambda: load(session, player.keys[0]))

    return Role(name, play, prepare)


def joining_reader(name: str, *, box: int = 0) -> Role:
    """Asks for the rows of a box by a join: its entry lies with the boxes, not with the rows."""
    statement = select(Box.id, Filed).join(Filed, Filed.a == Box.id).where(Box.id == box)
    statement = statement.order_by(Filed.id).options(from_cache(ttl=60))

    def load(session: Any) -> Any:
        return [item for _, item in session.execute(statement)]

    def prepare(player: Player) -> None:
        with player.session() as session:
            load(session)

    def play(player: Player) -> None:
        with player.session() as session:
            player.read(player.keys, lambda: load(session), box=box)

    return Role(name, play, prepare)


def member_reader(name: str) -> Role:
    """Asks by a cached query for all rows, of which it uses the keys alone to find them."""

    def load(player: Player, session: Any) -> Any:
        first, last = player.keys[0], player.keys[-1]
        statement = select(Filed).where(Filed.id >= first, Filed.id <= last).order_by(Filed.id)
        return session.scalars(statement.options(from_cache(ttl=60))).all()

    def prepare(player: Player) -> None:
        with player.session() as session:
            load(player, session)

    def play(player: Player) -> None:
        with player.session() as session:
            player.read(player.keys, lambda: load(player, session))

    return Role(name, play, prepare)


def tying_writer(name: str, *, b: int) -> Role:
    """Writes a row and the one that is tied to it, in one transaction."""

    def prepare(player: Player) -> None:
        player.world.tie()
        loaded(player)
        session, items = player.kept
        session.expire_on_commit = False
        player.kept = session, items[0], session.get_one(Tied, player.keys[0])
        session.commit()
        session.expire_on_commit = True

    def play(player: Player) -> None:
        session, item, tied = player.kept
        with session:
            item.b = tied.c = b
            session.commit()

    return Role(name, play, prepare, (0,), tolerates=(StaleDataError, CacheUnavailable))


def tied_reader(name: str, *, alike: bool = True) -> Role:
    """Gets a row to which another is joined: both of one moment, where they are written alike."""

    def load(player: Player, session: Any) -> Any:
        tied = session.get_one(Tied, player.keys[0])
        if alike and tied.c != tied.filed.b:
            raise Wrong(f"{name} read {tied.c} beside {tied.filed.b}")
        return [tied.filed]

    def prepare(player: Player) -> None:
        player.world.tie()
        with player.session() as session:
            load(player, session)

    def play(player: Player) -> None:
        with player.session() as session:
            player.read(player.keys[:1], lambda: load(player, session))

    return Role(name, play, prepare)


def collection_reader(name: str, *, box: int = 0) -> Role:
    """Has a box from before, and looks at its collection."""

    def prepare(player: Player) -> None:
        for _ in range(2):
            session = player.session()
            found: Any = session.get_one(Box, box)
            _ = found.items
            session.expire_on_commit = False
            session.commit()
            session.expire(found, ["items"])
            for item in session:
                if item is not found:
                    session.expunge(item)
            player.kept = session, found

    def play(player: Player) -> None:
        session, found = player.kept
        with session:
            player.read(player.keys, lambda: found.items, box=box)

    return Role(name, play, prepare)


def counting_reader(name: str, *, box: int = 0) -> Role:
    """Counts the rows of a box by a cached query."""
    statement = select(func.count()).select_from(Filed).where(Filed.a == box)

    def count(player: Player) -> Any:
        with player.session() as session:
            return session.scalar(statement.options(from_cache(ttl=60)))

    def prepare(player: Player) -> None:
        count(player)

    def play(player: Player) -> None:
        world, actor = player.world, player.actor
        actor.floor = len(world.states) - 1
        actor.starting = True
        got = count(player)
        actor.starting = False
        seen = [filed(state, player.keys, box) for state in world.states[actor.floor :]]
        allowed = {sum(row is not None for row in one.values()) for one in seen}
        world.stepper.note(str(got))
        if got not in allowed:
            raise Wrong(f"{name} counted {got}, but {allowed} is what it may see")

    return Role(name, play, prepare)


def snapshot_query_reader(name: str, *, box: int = 0) -> Role:
    """Asks for the rows of a box in a transaction that sees the moment of its first statement."""

    def play(player: Player) -> None:
        world = player.world
        world.stepper.park(Op("event", "begins"))
        with player.session(snapshot=True) as session:
            # A statement that the cache has no part in begins the snapshot.
            session.execute(text("SELECT count(*) FROM box"))
            moment = world.states[-1]
            got = {one.id: (one.a, one.b) for one in by_box(session, box)}
            world.stepper.note(str(got))
            expected = filed(moment, player.keys, box)
            if {key: got.get(key) for key in player.keys} != expected:
                raise Wrong(f"{name} read {got} instead of {expected}")

    return Role(name, play)
