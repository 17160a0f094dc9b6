"""Mappers that are not whole.

SQLAlchemy gives a class its mapper, and a base class its subclass, before it makes the rest of the
mapper. Where that fails the half is left behind, for as long as somebody holds the class: the
traceback of the error does, and a base class, for good. SQLAlchemy goes on to read and write
through all others.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Mapper


def is_whole(mapper: Mapper[Any]) -> bool:
    """Is a mapper made to its end? The primary key comes last."""
    return hasattr(mapper, "primary_key")


def with_subclasses(mapper: Mapper[Any]) -> list[Mapper[Any]]:
    """A mapper and those of the classes below it, as far as they are whole."""
    return [one for one in mapper.self_and_descendants if is_whole(one)]
