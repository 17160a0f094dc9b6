"""`CacheMixin`: how a model opts in."""

from __future__ import annotations

from typing import ClassVar

from .policy import CachePolicy


class CacheMixin:
    """Put this before the declarative base of a model to have its rows cached.

    Works with every kind of declarative model, dataclass mappings and SQLModel tables included. A
    model that can't take a mixin is registered with ``cache.register(Model, policy)`` instead.

    Subclasses inherit the mixin; a subclass of an inheritance hierarchy may set its own
    ``__cache__``, or ``__cache__ = None`` to stay out of the cache.
    """

    __cache__: ClassVar[CachePolicy | None] = CachePolicy()
