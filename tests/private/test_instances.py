"""Objects that are built directly are in the state in which SQLAlchemy's loading leaves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, select
from sqlalchemy.orm import InstanceState, Mapper, Session, aliased
from sqlalchemy.orm.base import PassiveFlag

from sqlalchemy_rediscache import private, skip_cache
from sqlalchemy_rediscache.policy import CachePolicy
from sqlalchemy_rediscache.region import Region
from tests.listening import listening
from tests.private.models import Animal, Child, Dog, Kennel, Pair, Parent, Point, Rich

MODELS = [Parent, Child, Rich, Dog, Pair]

SLOTS = {"class_", "manager", "committed_state", "expired_attributes"}
OWN = {"obj", "__weakref__", "__dict__"}
PER_LOAD = {"runid"}
"""Numbers the load that an object came from: only compared with that of a load under way."""


def build(session: Session, engine: Engine, model: Any, *wheres: Any) -> Any:
    """An object from its row, built as a hit builds it."""
    mapper = inspect(model)
    region = Region(mapper, CachePolicy(), engine.dialect, 1 << 20)
    with engine.connect() as connection:
        row = connection.execute(select(model).where(*wheres)).first()
    assert row is not None
    columns = private.result_columns(private.own_select(mapper, engine.dialect))
    at = {column: place for place, column in enumerate(columns)}
    values = [row[at[column]] for column in region.columns]
    concrete = region.concrete(values)
    assert concrete is not None
    identity = tuple(values[place] for place in region.key_places)
    key = concrete.identity_key_from_primary_key(identity)
    private.begin(session)
    plan = region.hydration(concrete)
    rows = [(key, plan.attributes(values))]
    path = private.path_of(mapper)
    return private.add_instances(session, concrete, path, plan.expired, rows)[0]


def described(instance: Any, session: Session) -> dict[str, Any]:
    """All that an object's state consists of, comparable between sessions."""
    state: Any = inspect(instance)
    found = {name: getattr(state, name) for name in SLOTS}
    own = vars(state)
    assert own["session_id"] == session.hash_key
    assert own["_instance_dict"]() is session.identity_map
    for name in own.keys() - PER_LOAD - {"session_id", "_instance_dict"}:
        if own[name] != getattr(InstanceState, name, own):  # as good as not set
            found[name] = own[name]
    found["attributes"] = {
        name: value for name, value in state.dict.items() if name != "_sa_instance_state"
    }
    found["unloaded"] = state.unloaded
    found["options"] = state.load_options
    found["path"] = state.load_path
    found["token"] = state.identity_token
    found["callables"] = state.callables
    found["flags"] = {
        name: getattr(state, name)
        for name in ("modified", "expired", "_deleted", "_load_pending", "_strong_obj",
                     "_orphaned_outside_of_session", "_last_known_values", "insert_order",
                     "persistent", "pending", "transient", "detached", "deleted")
    }  # fmt: skip
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_built_object_equals_a_loaded_one(engine: Engine, model: Any) -> None:
    """Every slot and attribute of the state is what the database's load would have left."""
    with Session(engine) as real, Session(engine) as ours:
        loaded = real.scalars(select(model)).unique().first()
        real.expire(loaded, ["secret"]) if model is Rich else None
        mapper = inspect(model)
        wheres = [
            column == value
            for column, value in zip(mapper.primary_key, inspect(loaded).identity, strict=True)
        ]
        built = build(ours, engine, model, *wheres)
        expected, found = described(loaded, real), described(built, ours)
        if model is Rich:  # only expire() by the user sets the flag that makes eager loads run
            expected["flags"].pop("expired")
            expected.pop("expired", None)
            found["flags"].pop("expired")
        assert found == expected
        assert built in ours
        assert ours.identity_map[inspect(built).key] is built
        assert not ours.dirty


def test_the_states_slots_are_known() -> None:
    """A slot that a later SQLAlchemy adds to the state has to be looked at."""
    assert set(InstanceState.__slots__) == SLOTS | OWN


def test_the_first_attribute_of_an_object(engine: Engine) -> None:
    """It is SQLAlchemy's, in objects that were built and in those that were loaded."""
    with Session(engine) as session:
        loaded = session.get_one(Child, 1)
        assert next(iter(vars(loaded))) == private.OWN_STATE
        assert vars(loaded)[private.OWN_STATE] is inspect(loaded)
    with Session(engine) as session:
        built = build(session, engine, Child)
        assert next(iter(vars(built))) == private.OWN_STATE
        assert vars(built)[private.OWN_STATE] is inspect(built)


def test_a_subclass_built_through_its_base(engine: Engine) -> None:
    """A row read polymorphically becomes the subclass, what only its table has is unloaded."""
    with Session(engine) as real, Session(engine) as ours:
        loaded = real.scalars(select(Animal)).one()
        built = build(ours, engine, Animal)
        assert type(built) is Dog
        assert described(built, ours) == described(loaded, real)
        assert built.tricks == 7


def test_the_missing_column_is_loaded_when_asked_for(engine: Engine) -> None:
    """An attribute whose value the cache does not have is loaded at its first use."""
    with Session(engine) as session:
        built = build(session, engine, Rich)
        assert "secret" not in vars(built)
        assert built.secret == "s"  # noqa: S105
        assert not session.dirty


def test_mutable_and_composite_attributes_work(engine: Engine) -> None:
    """Changes inside a mutable value are tracked, a composite is made of its columns."""
    with Session(engine) as session:
        built = build(session, engine, Rich)
        assert built.at == Point(3, 4)
        assert built not in session.dirty
        built.data["b"] = 2
        assert built in session.dirty
        built.at = Point(5, 6)
        assert inspect(built).attrs.px.history.added == [5]
        session.rollback()


def test_load_events_fire(engine: Engine) -> None:
    """The class's load event and the session's loaded_as_persistent fire, once, in that order."""
    seen: list[str] = []

    def on_load(instance: Any, context: Any) -> None:
        seen.append("load")

    with listening(Pair, "load", on_load), Session(engine) as session:
        event.listen(session, "loaded_as_persistent", lambda s, i: seen.append("persistent"))
        build(session, engine, Pair)
    assert seen == ["load", "persistent"]


def test_what_a_load_listener_changes_is_no_change(engine: Engine) -> None:
    """Values that a load listener sets are part of the load, as with the database's."""

    def on_load(instance: Any, context: Any) -> None:
        instance.name = "from the listener"

    with listening(Pair, "load", on_load), Session(engine) as real, Session(engine) as ours:
        loaded = real.scalars(select(Pair)).first()
        built = build(ours, engine, Pair)
        assert described(built, ours) == described(loaded, real)
        assert not ours.dirty


def test_a_built_object_can_be_written(engine: Engine) -> None:
    """A change of a built object is flushed as an UPDATE of that column alone."""
    with Session(engine) as session:
        built = build(session, engine, Child, Child.id == 1)
        built.name = "changed"
        assert inspect(built).attrs.name.history.deleted == ["ann"]
        session.flush()
        session.expire(built)
        assert built.name == "changed"
        session.rollback()
        assert built.name == "ann"


@pytest.mark.parametrize(
    ("through", "attribute"),
    [
        (lambda session: session.get_one(Child, 1), "parent"),
        (lambda session: session.get_one(Parent, 2), "boss"),
        (lambda session: session.get_one(Child, 1).parent, "boss"),
        (lambda session: session.get_one(Kennel, 1), "animal"),
        (lambda session: session.get_one(Dog, 1), "owner"),
        (lambda session: session.scalars(select(Animal)).one(), "owner"),
    ],
    ids=[
        "many-to-one",
        "self-referential",
        "second-step",
        "to-a-base",
        "of-a-subclass",
        "of-a-row",
    ],
)
def test_the_path_of_a_lazy_load(
    session: Session, through: Callable[[Session], Any], attribute: str
) -> None:
    """`path_through` is the load path that a real lazy load gives the object it loads."""
    parent = through(session)
    target = getattr(parent, attribute)
    relationship = inspect(type(parent)).relationships[attribute]
    path = private.path_through(inspect(parent), relationship, relationship.entity)
    assert inspect(target).load_path == path
    assert inspect(target).load_options == ()


def test_the_path_of_a_lazy_load_from_an_object_with_options(session: Session) -> None:
    """The path goes on from that of the object, and its options go along."""
    alias = aliased(Child)
    statement = select(alias).where(alias.parent_id.is_not(None)).options(skip_cache())
    child: Any = session.scalars(statement).first()
    target = child.parent
    relationship = inspect(Child).relationships["parent"]
    path = private.path_through(inspect(child), relationship, inspect(Parent))
    assert inspect(target).load_path == path
    assert inspect(target).load_options == inspect(child).load_options != ()


def test_a_refresh_gives_an_object_with_options_the_path_of_its_class(session: Session) -> None:
    """Only what `loaded_as_its_class` keeps its path when it is refreshed."""
    for entity, kept in (Dog, True), (Animal, False), (aliased(Dog), False):
        session.expunge_all()
        dog: Any = session.scalars(select(entity).options(skip_cache())).first()
        state = inspect(dog)
        path = state.load_path
        assert private.loaded_as_its_class(state) is kept
        session.expire(dog)
        assert dog.id
        assert (state.load_path == path) is kept


@pytest.mark.parametrize("model", [Child, Dog, Pair])
def test_the_path_of_a_plain_load(session: Session, model: Any) -> None:
    """`path_of` is the load path that `session.get` and a SELECT give an object."""
    first = session.scalars(select(model)).first()
    assert inspect(first).load_path == private.path_of(inspect(model))
    key = inspect(first).identity
    session.expunge_all()
    assert inspect(session.get(model, key)).load_path == private.path_of(inspect(model))


def test_the_mapper_of_an_object(session: Session) -> None:
    """`mapper_of_instance` is the mapper of the object's own class."""
    assert private.mapper_of_instance(session.get(Animal, 1)) is inspect(Dog)


def test_a_refreshed_object_equals_a_reloaded_one(engine: Engine) -> None:
    """`refresh_instance` leaves an expired object as the load of its attributes does."""
    mapper: Mapper[Any] = inspect(Child)
    original = private.expired_loader(mapper)

    def ours_only(state: Any, names: Any, passive: Any) -> Any:
        if state.session is not ours:
            return original(state, names, passive)
        values = {"id": 1, "name": "ann", "parent_id": 2}
        private.refresh_instance(state, values, names)
        return None

    with Session(engine) as real, Session(engine) as ours:
        theirs, mine = real.get_one(Child, 1), ours.get_one(Child, 1)
        for one in (real, ours):
            one.commit()
        assert inspect(mine).expired
        private.set_expired_loader(mapper, ours_only)
        try:
            assert theirs.name == mine.name == "ann"
        finally:
            private.set_expired_loader(mapper, original)
        assert described(mine, ours) == described(theirs, real)
        assert not ours.in_transaction()


def test_a_partial_refresh_keeps_pending_changes(engine: Engine) -> None:
    """Only the attributes that were asked for are overwritten."""
    with Session(engine) as session:
        child = session.get_one(Child, 1)
        session.expire(child, ["parent_id"])
        child.name = "pending"
        private.refresh_instance(inspect(child), {"parent_id": 2}, {"parent_id"})
        assert child.name == "pending"
        assert child in session.dirty
        assert inspect(child).unloaded == {"parent"}


def test_the_refresh_event_names_the_attributes(engine: Engine) -> None:
    """`refresh_instance` tells the class's refresh listeners what was loaded."""
    seen: list[Any] = []

    def on_refresh(instance: Any, context: Any, names: Any) -> None:
        seen.append(set(names))

    with listening(Child, "refresh", on_refresh), Session(engine) as session:
        child = session.get_one(Child, 1)
        private.refresh_instance(inspect(child), {"name": "x"}, {"name"})
    assert seen == [{"name"}]


def test_the_expired_loader_is_asked_for_expired_columns(session: Session) -> None:
    """The class's loader gets the state, the expired names and the flags of the access."""
    mapper: Mapper[Any] = inspect(Pair)
    original = private.expired_loader(mapper)
    calls: list[Any] = []

    def spy(state: Any, names: Any, passive: Any) -> Any:
        calls.append((state, set(names), passive))
        return original(state, names, passive)

    pair = session.get_one(Pair, (1, "r"))
    session.commit()
    private.set_expired_loader(mapper, spy)
    try:
        assert pair.name == "p1"
        session.expire(pair, ["name"])
        assert pair.left == 1
        assert pair.name == "p1"
    finally:
        private.set_expired_loader(mapper, original)
    assert [(names, state is inspect(pair)) for state, names, _ in calls] == [
        ({"left", "right", "name"}, True),
        ({"name"}, True),
    ]
    assert all(private.may_load(passive) for _, _, passive in calls)


@pytest.mark.parametrize(
    ("flags", "loads", "flushes"),
    [
        (PassiveFlag.PASSIVE_OFF, True, True),
        (PassiveFlag.PASSIVE_OFF | PassiveFlag.NO_AUTOFLUSH, True, False),
        (PassiveFlag.PASSIVE_NO_FETCH, False, True),
        (PassiveFlag.PASSIVE_NO_FETCH_RELATED, False, True),
    ],
)
def test_what_flags_allow(flags: PassiveFlag, loads: bool, flushes: bool) -> None:
    """`may_load` and `flushes` read SQLAlchemy's flags of an attribute's access."""
    assert private.may_load(flags) is loads
    assert private.flushes(flags) is flushes
