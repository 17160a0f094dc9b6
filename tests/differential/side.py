"""One side of the comparison: a session, and everything about it that the other must share."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, RowMapping, event, inspect
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import InstanceState, PassiveFlag, Session, sessionmaker
from sqlalchemy.orm.exc import FlushError, StaleDataError

from tests.differential.models import Base, Product

_LIFECYCLE = (
    "transient_to_pending", "pending_to_transient", "pending_to_persistent",
    "loaded_as_persistent", "persistent_to_transient", "persistent_to_deleted",
    "deleted_to_persistent", "deleted_to_detached", "persistent_to_detached",
    "detached_to_persistent",
)  # fmt: skip
_BROKEN = (DBAPIError, StaleDataError, FlushError)
_WITHHELD = {"cost"}
_ADDRESS = re.compile("0x[0-9a-f]+")


class Side:
    """A factory, the session it made last, and what happened in it.

    Args:
        factory: Cached or not.
    """

    def __init__(self, factory: sessionmaker[Any]) -> None:
        self._factory = factory
        self.events: list[Any] = []
        self._alive: list[Any] = []
        self.session: Session
        self.savepoints: list[Any] = []
        self.open(expire_on_commit=True)

    def open(self, *, expire_on_commit: bool) -> None:
        """Begin with a new session."""
        self.session = self._factory(expire_on_commit=expire_on_commit)
        self.session.info["side"] = self
        self.savepoints = []
        for name in _LIFECYCLE:
            event.listen(self.session, name, self._lifecycle(name))
        event.listen(self.session, "before_flush", lambda *_: self.events.append("flush"))
        event.listen(
            self.session, "after_transaction_create", lambda *_: self.events.append("begin")
        )
        event.listen(self.session, "after_transaction_end", lambda *_: self.events.append("end"))

    def _lifecycle(self, name: str) -> Callable[[Session, Any], None]:
        def happened(session: Session, instance: Any) -> None:
            self._alive.append(instance)  # or the collector would decide what is in the session
            self.events.append((name, *_name(instance)))

        return happened

    def run(self, operation: Callable[[Side], Any]) -> tuple[Any, list[Any]]:
        """Do something; what came of it, and the objects among that."""
        self.events.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found: list[Any] = []
            try:
                outcome = self._shown(operation(self), found)
            except Exception as error:  # noqa: BLE001 - any, to be compared
                outcome = ("raised", type(error).__name__)
                if isinstance(error, _BROKEN) or not self.session.is_active:
                    self.savepoints = []
                    self.session.rollback()
                elif isinstance(error, InvalidRequestError):
                    outcome += (_ADDRESS.sub("", str(error))[:80],)
        warned = [type(one.message).__name__ for one in caught]
        return (outcome, warned, self._happened()), found

    def _happened(self) -> dict[str, list[Any]]:
        """What happened to each object, in order; which comes first, sets of objects decide."""
        found: dict[str, list[Any]] = {"session": []}
        # A flush that deletes looks at related objects in the order of sets: which of them is
        # refreshed by the row of another changes from run to run.
        deleted = any(one[0] == "persistent_to_deleted" for one in self.events)
        if deleted:
            self.session.expire_all()
        for one in self.events:
            if deleted and one[0] in ("refresh", "expire"):
                continue
            if isinstance(one, str):
                found["session"].append(one)
            else:
                *what, name, key = one
                found.setdefault(f"{name} {key}", []).append(what)
        for name, events in found.items():
            if name.endswith(" None"):  # several objects perhaps
                events.sort(key=repr)
        return found

    def _shown(self, value: Any, found: list[Any]) -> Any:
        if isinstance(value, Base):
            self._alive.append(value)
            found.append(value)
            return _name(value)
        if isinstance(value, Row):
            return ["row", list(value._fields), [self._shown(one, found) for one in value]]
        if isinstance(value, RowMapping):
            return ["mapping", [(key, self._shown(one, found)) for key, one in value.items()]]
        if isinstance(value, list | tuple):
            return [self._shown(one, found) for one in value]
        return type(value).__name__, _ADDRESS.sub("", repr(value))

    def seen(self) -> dict[str, Any]:
        """The state of the session and of every object in it."""
        session = self.session
        return {
            "objects": {
                repr(key): self._object(state)
                for state in session.identity_map.all_states()
                if (key := state.key) is not None
            },
            "new": sorted(type(one).__name__ for one in session.new),
            "dirty": sorted(_name(one)[1] for one in session.dirty),
            "deleted": sorted(_name(one)[1] for one in session.deleted),
            "active": (session.is_active, session.in_transaction(),
                       session.in_nested_transaction()),
        }  # fmt: skip

    def _object(self, state: InstanceState[Any]) -> dict[str, Any]:
        hidden = _WITHHELD if isinstance(state.obj(), Product) else set()
        values = {
            name: self._value(value)
            for name, value in state.dict.items()
            if not name.startswith("_sa_") and name not in hidden
        }
        # not of composites: to ask for their history loads them
        names = {*state.mapper.column_attrs.keys(), *state.mapper.relationships.keys()} - hidden
        histories = {
            name: state.get_history(name, PassiveFlag.PASSIVE_NO_INITIALIZE) for name in names
        }
        changed = {
            name: repr(self._shown(list(history.sum()), []))
            for name, history in histories.items()
            if history.has_changes()
        }
        return {
            "class": type(state.obj()).__name__,
            "values": values,
            "unloaded": sorted(state.unloaded - hidden),
            "expired": sorted(state.expired_attributes - hidden),
            "changed": changed,
            "modified": state.modified,
            "persistent": (state.persistent, state.pending, state.deleted),
            "path": _ADDRESS.sub("", repr(state.load_path)),
            "options": len(state.load_options),
        }

    def _value(self, value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], Base):
            return sorted(map(repr, map(_name, value)))  # no order was asked for
        if isinstance(value, Base):
            return _name(value)
        return type(value).__name__, _ADDRESS.sub("", repr(value))


def _name(instance: Any) -> tuple[str, str]:
    return type(instance).__name__, repr(inspect(instance).key)


class InstanceEvents:
    """Has instance events of all models written down by the side that they happen in.

    Args:
        as_sqlalchemy: Pass for a listener of SQLAlchemy's own (of composites and Mutable types).
            The cache builds objects by itself only where there are no others.
    """

    def __init__(self, *, as_sqlalchemy: bool) -> None:
        listeners: list[tuple[str, Callable[..., None]]] = [
            ("load", self._load), ("refresh", self._refresh), ("expire", self._expire)
        ]  # fmt: skip
        self._listening: list[tuple[str, Any]] = []
        for name, method in listeners:
            self._listen(name, method, as_sqlalchemy)

    def _listen(self, name: str, method: Callable[..., None], as_sqlalchemy: bool) -> None:
        def listener(state: InstanceState[Any], *context: Any) -> None:
            method(state, *context)

        if as_sqlalchemy:
            listener.__module__ = "sqlalchemy.ext.mutable"
        event.listen(Base, name, listener, propagate=True, raw=True)
        self._listening.append((name, listener))

    def close(self) -> None:
        """Stop listening."""
        for name, listener in self._listening:
            event.remove(Base, name, listener)

    @staticmethod
    def _note(state: InstanceState[Any], *what: Any) -> None:
        session = state.session
        side = None if session is None else session.info.get("side")
        if side is not None:
            side.events.append((*what, state.class_.__name__, repr(state.key)))

    def _load(self, state: InstanceState[Any], context: Any) -> None:
        self._note(state, "load")

    def _refresh(self, state: InstanceState[Any], context: Any, names: Any) -> None:
        # SQLAlchemy also tells of refreshes that loaded nothing, by a second row of one object:
        # in a flush, how many there are depends on the order of its sets.
        empty = names is not None and not any(name in state.dict for name in names)
        if state.class_ is not Product and not empty:
            self._note(state, "refresh", None if names is None else sorted(names))

    def _expire(self, state: InstanceState[Any], names: Any) -> None:
        if state.class_ is not Product:
            self._note(state, "expire", None if names is None else sorted(names))
