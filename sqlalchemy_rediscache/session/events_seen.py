"""Which listeners a direct load may call by itself, and which need SQLAlchemy's own loading."""

from __future__ import annotations

from typing import Any

_OWN = ("sqlalchemy.ext.mutable", "sqlalchemy.orm.descriptor_props")


def only_own_listeners(listeners: Any) -> bool:
    """Are these only listeners of SQLAlchemy's Mutable types and composites?

    They don't look at the query that an object came from. A user's listener may: it gets the real
    one, from SQLAlchemy's own loading.
    """
    if not listeners:
        return True
    return all(getattr(listener, "__module__", "") in _OWN for listener in listeners)
