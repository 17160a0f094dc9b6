"""What the actors of the scenarios do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, literal, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from sqlalchemy_rediscache.errors import CacheUnavailable
from tests.interleaving.explorer import Player, Role
from tests.interleaving.stepping import Op

Change = Callable[[Any], None]


def loaded(player: Player) -> None:
    """The rows, loaded into a session before the order begins."""
    session = player.session()
    player.kept = session, [session.get(player.model, key) for key in player.keys]
    # Not in the rollback of a transaction: the objects would be expired by it.
    session.expire_on_commit = False
    session.commit()
    session.expire_on_commit = True


def writer(
    name: str, *, a: int | None = None, b: int | None = None, rows: int = 1, first: int = 0
) -> Role:
    """Has objects of some rows, changes columns, commits."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            for item in items[first : first + rows]:
                if a is not None:
                    item.a = a
                if b is not None:
                    item.b = b
            session.commit()

    refused = (StaleDataError, CacheUnavailable)
    return Role(name, play, loaded, tuple(range(first, first + rows)), tolerates=refused)


def loading_writer(name: str, *, a: int) -> Role:
    """Loads the row itself, then changes it: what it loads may be old when it writes."""

    def play(player: Player) -> None:
        with player.session() as session:
            item: Any = session.get(player.model, player.keys[0])
            if item is not None:
                item.a = a
                session.commit()

    return Role(name, play, writes=(0,), tolerates=(StaleDataError, OperationalError))


def assigner(name: str, *, b: int) -> Role:
    """Changes `b`, and assigns to `a` the value that it has."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[0].a = 0
            items[0].b = b
            session.commit()

    return Role(name, play, loaded, (0,))


def refreshing_writer(name: str, *, a: int) -> Role:
    """Commits, then looks at its object, which the commit expired."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[0].a = a
            session.commit()

            def load() -> list[Any]:
                _ = items[0].a
                return [items[0]]

            player.read(player.keys[:1], load)

    return Role(name, play, loaded, (0,))


def own_reader(name: str, *, a: int) -> Role:
    """Writes, and looks at what it wrote before it commits."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[0].a = a
            session.flush()
            session.expire(items[0])

            def load() -> Any:
                _ = items[0].a
                return items[0]

            player.see(player.keys[0], load, (a, 0))
            session.commit()

    return Role(name, play, loaded, (0,))


def returning_writer(name: str, *, a: int) -> Role:
    """Writes, and rolls back."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[0].a = a
            session.flush()
            session.rollback()

    return Role(name, play, loaded, (0,))


def savepoint_writer(name: str, *, a: int, b: int) -> Role:
    """Writes `a` in a savepoint that it rolls back, `b` outside, commits."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            items[0].b = b
            session.flush()
            with session.begin_nested() as savepoint:
                items[0].a = a
                session.flush()
                savepoint.rollback()
            session.commit()

    return Role(name, play, loaded, (0,))


def releasing_writer(name: str, *, a: int, b: int, commits: bool) -> Role:
    """Writes `a` in a savepoint that it releases, `b` after it, and commits or rolls back.

    On SQLite the driver commits `a` by the release.
    """

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            with session.begin_nested():
                items[0].a = a
            items[0].b = b
            session.flush()
            if commits:
                session.commit()
            else:
                session.rollback()

    return Role(name, play, loaded, (0,))


def inserter(name: str, *, a: int) -> Role:
    """Makes the row, which is not there."""

    def play(player: Player) -> None:
        with player.session() as session:
            session.add(player.model(id=player.keys[0], a=a, b=0))
            session.commit()

    return Role(name, play, writes=(0,))


def bulk_inserter(name: str, *, a: int, place: int = 0) -> Role:
    """Makes the row, which is not there, by one INSERT that gives its key."""

    def play(player: Player) -> None:
        with player.session() as session:
            session.execute(insert(player.model), [{"id": player.keys[place], "a": a, "b": 0}])
            session.commit()

    return Role(name, play, writes=(place,))


def keyless_inserter(name: str, *, a: int, place: int = 0, back: bool = False) -> Role:
    """Makes a row by one INSERT whose key only the database knows; may roll `back`."""

    def play(player: Player) -> None:
        key = literal(player.keys[place] - 1) + 1
        with player.session() as session:
            session.execute(insert(player.model).values(id=key, a=a, b=0))
            if back:
                session.rollback()
            else:
                session.commit()

    return Role(name, play, writes=(place,))


def own_absence_reader(name: str, *, a: int) -> Role:
    """Makes a row whose key only the database knows, and looks for it before it commits."""

    def play(player: Player) -> None:
        key = player.keys[0]
        with player.session() as session:
            session.execute(insert(player.model).values(id=literal(key - 1) + 1, a=a, b=0))
            player.see(key, lambda: session.get(player.model, key), (a, 0))
            session.commit()

    return Role(name, play, writes=(0,))


def deleter(name: str) -> Role:
    """Deletes the row."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            session.delete(items[0])
            session.commit()

    return Role(name, play, loaded, (0,), tolerates=(StaleDataError, ObjectDeletedError))


def bulk_writer(name: str, *, a: int, rows: int = 1, first: int = 0, by_key: bool = False) -> Role:
    """Changes rows by one UPDATE through the session, without objects.

    The cache knows which rows only where the statement names them `by_key`.
    """

    def play(player: Player) -> None:
        keys = player.keys[first : first + rows]
        listed = player.model.id.in_(keys)
        named = listed if by_key else listed | player.model.id.is_(None)
        with player.session() as session:
            session.execute(
                update(player.model).where(named).values(a=a),
                execution_options={"synchronize_session": False},
            )
            session.commit()

    return Role(name, play, writes=tuple(range(first, first + rows)))


def reader(name: str, *, times: int = 1, place: int = 0) -> Role:
    """Reads a row by `get`, each time in a new session."""

    def play(player: Player) -> None:
        key = player.keys[place]
        for _ in range(times):
            with player.session() as session:
                player.read((key,), lambda one=session: [one.get(player.model, key)])  # type: ignore[misc]

    return Role(name, play)


def selecting_reader(name: str) -> Role:
    """Reads a row by `select().where()`."""

    def play(player: Player) -> None:
        key = player.keys[0]
        with player.session() as session:
            statement = select(player.model).where(player.model.id == key)
            player.read((key,), lambda: session.scalars(statement).all())

    return Role(name, play)


def batch_reader(name: str) -> Role:
    """Reads all rows by one IN: they must be of one moment."""

    def play(player: Player) -> None:
        with player.session() as session:
            statement = select(player.model).where(player.model.id.in_(player.keys))
            player.read(player.keys, lambda: session.scalars(statement).all())

    return Role(name, play)


def expired_reader(name: str) -> Role:
    """Has an object from before, expired by a commit, and looks at it."""

    def play(player: Player) -> None:
        session, items = player.kept
        with session:
            session.commit()
            session.expire_all()

            def load() -> list[Any]:
                _ = items[0].a
                return [items[0]]

            player.read(player.keys[:1], load)

    return Role(name, play, loaded, tolerates=(ObjectDeletedError,))


def snapshot_reader(name: str, *, rows: int) -> Role:
    """Reads every row in a transaction that sees one moment: the one of its first statement."""

    def play(player: Player) -> None:
        world = player.world
        world.stepper.park(Op("event", "begins"))
        with player.session(snapshot=True) as session:
            # A statement that the cache has no part in begins the snapshot.
            session.execute(text(f"SELECT count(*) FROM {player.model.__tablename__}"))
            moment = len(world.states) - 1
            for place in range(rows):
                key = player.keys[place]
                expected = world.states[moment][key]
                player.see(key, lambda one=key: session.get(player.model, one), expected)  # type: ignore[misc]

    return Role(name, play)


def early_snapshot_reader(name: str) -> Role:
    """Begins its snapshot by the very read that may fill."""

    def play(player: Player) -> None:
        with player.session(snapshot=True) as session:
            key = player.keys[0]
            player.read((key,), lambda: [session.get(player.model, key)])

    return Role(name, play)


def emptier(name: str) -> Role:
    """Has all rows of the model taken out of the cache: a new generation for writers in flight."""

    def play(player: Player) -> None:
        cache = player.world.caches[player.process % len(player.world.caches)]
        cache.invalidate(player.model)

    def prepare(player: Player) -> None:
        with player.session() as session:  # the cache object must know the engine
            session.get(player.model, player.keys[0])

    return Role(name, play, prepare)


def outsider(name: str, *, a: int) -> Role:
    """Writes past the cache, as another program does, and then invalidates the row."""

    def play(player: Player) -> None:
        world, key = player.world, player.keys[0]
        world.stepper.park(Op("event", "COMMIT past the cache"))
        world.write(f"UPDATE {player.model.__tablename__} SET a = {a} WHERE id = {key}")
        cache = world.caches[player.process % len(world.caches)]
        cache.invalidate(player.model, key)

    return Role(name, play, loaded)
