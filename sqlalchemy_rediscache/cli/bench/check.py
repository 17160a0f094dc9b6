"""The check before the timing: a fast wrong answer is worth nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect

from sqlalchemy_rediscache.cli.bench.contestants import Contestant, World
from sqlalchemy_rediscache.errors import CacheError

_CHECKED_ROWS = 20


class WrongAnswer(CacheError):
    """A contestant loaded other values than the database has: report this as a bug."""


def check_answers(world: World) -> None:
    """Load some products with every contestant, twice, and compare them with the database.

    Raises:
        WrongAnswer: a value or its type differs.
    """
    for number in world.hot[:_CHECKED_ROWS]:
        expected = _values(world.no_cache, number)
        for who in (world.dogpile, world.rediscache):
            for _ in ("filling", "cached"):
                found = _values(who, number)
                if found != expected:
                    raise WrongAnswer(
                        f"{who.name} gave {found!r} for product {number}, "
                        f"the database {expected!r}; please report this"
                    )


def _values(who: Contestant, number: int) -> dict[str, tuple[type, Any]]:
    with who.factory() as session:
        loaded = session.get_one(who.product, number, options=who.options or None)
        names = inspect(who.product).column_attrs.keys()
        return {name: (type(getattr(loaded, name)), getattr(loaded, name)) for name in names}
