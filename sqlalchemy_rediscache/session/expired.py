"""Expired attributes from the cache: after a commit, the first access to an object's columns.

SQLAlchemy asks the class's ``expired_attribute_loader``; ours stands before it, knows no cache of
its own, and asks the session whether one serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.base import PassiveFlag

from .. import private


class ExpiredLoader:
    """Stands before a class's own loader of expired attributes."""

    def __init__(self, original: Callable[[Any, Any, Any], Any]) -> None:
        self.original = original

    def __call__(self, state: InstanceState[Any], names: set[str], passive: PassiveFlag) -> None:
        """Load attributes of an object."""
        session: Session | None = state.session
        binding = getattr(session, "_rediscache_binding", None)
        if (
            session is not None
            and binding is not None
            and names
            and binding.load_expired(session, state, names, passive)
        ):
            return
        self.original(state, names, passive)


def install(mapper: Mapper[Any]) -> None:
    """Put an `ExpiredLoader` before the class's loader; once is enough for all caches."""
    loader = private.expired_loader(mapper)
    if not isinstance(loader, ExpiredLoader):
        private.set_expired_loader(mapper, ExpiredLoader(loader))
