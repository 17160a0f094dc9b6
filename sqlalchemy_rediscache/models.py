"""Which mapped classes are cached, under which policy, and what their tables mean to each other."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.orm import Mapper

from . import private
from .errors import ConfigurationError, UncacheableModel
from .mixin import CacheMixin
from .policy import CachePolicy

logger = logging.getLogger("sqlalchemy_rediscache")

_MAPPED = "after_mapper_constructed"


class Models:
    """The classes that one cache serves: those with the mixin, and those that were registered.

    Classes are held weakly: tests and plugins map the same names again and again.

    Args:
        default: The policy of a model that declares none.
    """

    def __init__(self, default: CachePolicy) -> None:
        self._default = default
        self._registered: weakref.WeakKeyDictionary[type, CachePolicy | None] = (
            weakref.WeakKeyDictionary()
        )
        self._token = object()
        self._asked: weakref.WeakSet[Mapper[Any]] = weakref.WeakSet()
        weakref.finalize(self, forget, self._token, self._asked).atexit = False
        self._lock = threading.Lock()
        self._refused: weakref.WeakSet[type] = weakref.WeakSet()
        self._announced: weakref.WeakSet[type] = weakref.WeakSet()
        self.version: object = object()
        """Replaced whenever a registration may have changed an earlier answer."""
        self.is_told: Callable[[], bool] = lambda: True
        """Is it still told of classes that are mapped?"""

    def doubt(self) -> None:
        """Count earlier answers for nothing if classes may have been mapped in silence.

        Whoever clears all listeners of SQLAlchemy's mappers, as its own tests do, clears this one.
        """
        if not self.is_told():
            self.version = object()

    def register(self, model: type, policy: CachePolicy | None) -> None:
        """Have a class cached (and its subclasses), or, with None as its policy, left out.

        Raises:
            ConfigurationError: `model` is not a class.
        """
        if not isinstance(model, type):
            raise ConfigurationError(f"register() takes a mapped class, not {model!r}")
        with self._lock:
            self._registered[model] = policy
            self.version = object()

    def default_policy(self) -> CachePolicy:
        """The policy of a model that declares none."""
        return self._default

    def policy(self, mapper: Mapper[Any]) -> CachePolicy | None:
        """The policy of a mapped class, None where it is not cached."""
        for base in mapper.class_.__mro__:
            if base in self._registered:
                return self._registered[base]
            if base is CacheMixin:
                break
            declared = base.__dict__.get("__cache__", self)
            if declared is not self and issubclass(base, CacheMixin):
                return self._validated(mapper, declared)
        return self._default if issubclass(mapper.class_, CacheMixin) else None

    def caches(self, mapper: Mapper[Any]) -> bool:
        """Is a mapped class cached, as far as its policy says? Cheap: asked for every statement."""
        info = mapper.class_manager.info
        known = info.get(self._token)
        if known is None or known[0] is not self.version:
            self._asked.add(mapper)
            known = info[self._token] = (self.version, self.policy(mapper) is not None)
        return known[1]

    @staticmethod
    def _validated(mapper: Mapper[Any], declared: object) -> CachePolicy | None:
        if declared is None or isinstance(declared, CachePolicy):
            return declared
        raise UncacheableModel(
            f"{mapper.class_.__name__}.__cache__ is {declared!r}: give a CachePolicy, or None to "
            "leave the class out of the cache"
        )

    def refuse(self, mapper: Mapper[Any], reason: UncacheableModel) -> None:
        """Leave a class out whose region can't be compiled, and say so once."""
        if mapper.class_ not in self._refused:
            self._refused.add(mapper.class_)
            # its text alone: an error holds the session that met it, for as long as it is kept
            logger.warning("%s stays out of the cache: %s", mapper.class_.__name__, str(reason))

    def announce(self, mapper: Mapper[Any], left_out: dict[str, str]) -> None:
        """Say once which columns of a class can't be cached, by their type."""
        if left_out and mapper.class_ not in self._announced:
            self._announced.add(mapper.class_)
            listed = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            logger.warning(
                "%s is cached without columns that can't be stored exactly, which are loaded from "
                "the database when they are used (%s)",
                mapper.class_.__name__,
                listed,
            )

    def cached(self) -> Iterator[Mapper[Any]]:
        """The mappers of all classes that are cached and mapped now."""
        seen: set[type] = set()
        with self._lock:
            pending: list[type] = [CacheMixin, *self._registered]
        while pending:
            model = pending.pop()
            if model in seen:
                continue
            seen.add(model)
            pending.extend(model.__subclasses__())
            mapper = mapper_of(model)
            if mapper is not None and self.policy(mapper) is not None:
                yield mapper


def forget(token: object, mappers: weakref.WeakSet[Mapper[Any]]) -> None:
    """Take what was remembered under a token off the classes: its owner is gone."""
    for mapper in mappers:
        mapper.class_manager.info.pop(token, None)


def mapper_of(model: type) -> Mapper[Any] | None:
    """The mapper of a class itself (not of a base), None where it is not mapped."""
    manager = model.__dict__.get("_sa_class_manager")
    if manager is None or not manager.is_mapped:
        return None
    mapper: Mapper[Any] = manager.mapper
    return mapper if private.is_whole(mapper) else None


def tables_of(mapper: Mapper[Any]) -> frozenset[Table]:
    """Every table whose rows the mapper's objects are made of."""
    return frozenset(table for table in mapper.tables if isinstance(table, Table))


def on_mapped(models: Models) -> Callable[[], None]:
    """Have `models` told of every class mapped from now on; returns what ends that.

    When its mapper is whole, and not before: until then it is not among those that are cached.
    """
    known = weakref.ref(models)

    def mapped(mapper: Any, class_: Any) -> None:
        alive = known()
        if alive is not None:
            alive.version = object()

    def is_told() -> bool:
        return event.contains(Mapper, _MAPPED, mapped)

    event.listen(Mapper, _MAPPED, mapped)
    models.is_told = is_told

    def end() -> None:
        if is_told():
            event.remove(Mapper, _MAPPED, mapped)

    return end
