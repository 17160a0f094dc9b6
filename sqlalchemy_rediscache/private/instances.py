"""Objects of a session: made of values without a load, and what SQLAlchemy knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.instrumentation import ClassManager

OWN_STATE = "_sa_instance_state"
"""The first of an object's attributes: what SQLAlchemy knows of it."""


def add_instances(
    session: Session,
    mapper: Mapper[Any],
    load_path: Any,
    expired: frozenset[str],
    rows: Iterable[tuple[tuple[Any, ...], dict[str, Any]]],
    options: tuple[Any, ...] = (),
) -> list[Any]:
    """Persistent objects of this session, in the state in which a load leaves them.

    Measured with 12 columns: 1.5 us each, against 9 us with ``make_transient_to_detached`` and
    ``add``, which fire other events and leave Mutable and composite attributes broken.

    Args:
        session: The session; none of the objects is in it yet.
        mapper: The class of all of them.
        load_path: What they remember of how they were loaded.
        expired: Attributes whose values are not there.
        rows: Identity key and attributes of each, `OWN_STATE` among them, with any value.
        options: Those of the statement, which they hand on to what they load.
    """
    manager: Any = mapper.class_manager
    identity_map: Any = session.identity_map
    states, instance_dict, session_id = identity_map._dict, identity_map._wr, session.hash_key
    on_load = manager.dispatch.load or None
    on_persistent = session.dispatch.loaded_as_persistent or None
    state: Any
    plain, kind, new = _made_plainly(manager), manager.class_, manager.class_.__new__
    made = []
    for key, values in rows:
        if plain:  # new_instance(), without its calls: a quarter of the time of an object
            instance = new(kind)
            instance.__dict__ = attributes = values.copy()
            attributes[OWN_STATE] = state = InstanceState(instance, manager)
        else:
            instance = manager.new_instance()
            state = instance._sa_instance_state
            attributes = instance.__dict__
            attributes.update(values)
            attributes[OWN_STATE] = state
        state.key = key
        if key[2] is not None:
            state.identity_token = key[2]
        state.session_id = session_id
        states[key] = state
        state._instance_dict = instance_dict
        state.load_path = load_path
        if options:
            state.load_options = options
        if expired:
            state.expired_attributes.update(expired)
        if on_load is not None:
            on_load(state, None)
        if on_persistent is not None:
            on_persistent(session, state)
        if state.modified:
            state._commit_all(attributes, identity_map)
        made.append(instance)
    return made


def _made_plainly(manager: Any) -> bool:
    """Are a class's objects made as SQLAlchemy does it where nobody has a say?

    ``sqlalchemy.ext.instrumentation`` may bring other states, a class its own ``__setattr__``.
    """
    own_setattr: Any = manager.class_.__setattr__
    return (
        type(manager) is ClassManager
        and manager._state_constructor is InstanceState
        and own_setattr is object.__setattr__
    )


def none_present(session: Session, keys: Sequence[Any]) -> bool:
    """Is no object with any of these identity keys in the session?"""
    identity_map: Any = session.identity_map
    present: bool = identity_map._dict.keys().isdisjoint(keys)
    return present


def mapper_of_instance(instance: Any) -> Mapper[Any]:
    """The mapper of an object's class."""
    return instance._sa_instance_state.manager.mapper  # type: ignore[no-any-return]


def loaded_as_its_class(state: InstanceState[Any]) -> bool:
    """Was an object loaded as what its class is, not as an alias or by way of a base class?

    A refresh gives the path of its class to any object that has options.
    """
    path: Any = state.load_path
    return path.path[-1:] == (state.mapper,)  # type: ignore[no-any-return]


def path_of(mapper: Mapper[Any]) -> Any:
    """The path of an object loaded by itself."""
    return mapper._path_registry


def path_through(parent: InstanceState[Any], relationship: Any, mapper: Mapper[Any]) -> Any:
    """The path of an object that was loaded lazily through a relationship of another."""
    path: Any = parent.load_path if parent.load_options else parent.mapper._path_registry
    return path[relationship] + mapper._path_registry


def refresh_instance(
    state: InstanceState[Any], values: dict[str, Any], names: Iterable[str]
) -> None:
    """Put freshly loaded values in an object, as the load of its expired attributes does."""
    attributes = state.dict
    attributes.update(values)
    if state.manager.dispatch.refresh:
        state.manager.dispatch.refresh(state, None, names)
    state._commit(attributes, names)


def expired_loader(mapper: Mapper[Any]) -> Callable[[Any, Any, Any], Any]:
    """What loads expired attributes of a class's objects."""
    return mapper.class_manager.expired_attribute_loader


def set_expired_loader(mapper: Mapper[Any], loader: Callable[[Any, Any, Any], Any]) -> None:
    """Replace what loads expired attributes of a class's objects."""
    manager: Any = mapper.class_manager
    manager.expired_attribute_loader = loader


def identity_class(mapper: Mapper[Any]) -> type:
    """The class that identity keys of a mapper's objects name."""
    return mapper._identity_class
