"""Events that nobody does: time that passes, a server that restarts."""

from __future__ import annotations

from collections.abc import Callable

from tests.interleaving.explorer import Player, Role
from tests.interleaving.stepping import Op


def _event(name: str, label: str, does: Callable[[Player], None],
           may: Callable[[Player], bool]) -> Role:  # fmt: skip
    def play(player: Player) -> None:
        player.world.stepper.park(Op("event", label))
        does(player)

    return Role(name, play, happens=may)


def redis_restarts() -> Role:
    """Redis loses everything at any moment, once."""
    return _event("redis", "RESTARTS EMPTY", lambda player: player.world.restart_redis(),
                  lambda player: True)  # fmt: skip


def leases_expire() -> Role:
    """The leases that are out expire at any moment, once, their readers alive."""
    return _event("time", "leases expire", lambda player: player.world.expire_leases(),
                  lambda player: player.world.has_leases())  # fmt: skip


def rows_age() -> Role:
    """The time of the rows that are there is over at any moment, once."""
    return _event("time", "rows age", lambda player: player.world.age_rows(),
                  lambda player: player.world.has_young_rows())  # fmt: skip


def locks_expire() -> Role:
    """The locks of writers that died expire at any moment after that."""

    def may(player: Player) -> bool:
        return any(one.dead and one.tokens for one in player.world.stepper.actors)

    def happen(player: Player) -> None:
        player.world.expire_locks(player.world.stepper.actors)

    return _event("time", "the locks of the dead expire", happen, may)
