"""Whose listeners are there: a user's may want, or change, what the cache would not expect."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.orm import Mapper

_OWN = ("sqlalchemy.ext.mutable", "sqlalchemy.orm.descriptor_props")


def only_own_listeners(listeners: Any) -> bool:
    """Are these only listeners of SQLAlchemy's Mutable types and composites?

    They don't look at the query that an object came from. A user's listener may: it gets the real
    one, from SQLAlchemy's own loading.
    """
    if not listeners:
        return True
    return all(getattr(listener, "__module__", "") in _OWN for listener in listeners)


def may_change_what_was_sent(mappers: Collection[Mapper[Any]], objects: int) -> bool:
    """Can a user's listener have changed objects of a flush after their SQL was sent?

    Such a change stays in the object and never reaches the database. A listener may change any
    object: one that comes before the SQL of its own comes after that of others.

    Args:
        mappers: The classes of the objects of the flush.
        objects: How many objects there are.
    """
    for mapper in mappers:
        heard = mapper.dispatch
        if heard.after_insert or heard.after_update or heard.after_delete:
            return True
        if objects > 1 and (heard.before_insert or heard.before_update or heard.before_delete):
            return True
        if not only_own_listeners(mapper.class_manager.dispatch.refresh_flush):
            return True
    return False
