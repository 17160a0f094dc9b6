"""What an execution's options mean, read from the state that `do_orm_execute` is given."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session, selectinload

from sqlalchemy_rediscache import private
from tests.private.conftest import Watch
from tests.private.models import Child, Dog, Pair


def test_user_refreshes_are_told_from_others(session: Session, watch: Watch) -> None:
    """`session.refresh()` is one, loads and the refresh of expired attributes are not."""
    said = watch(session, private.is_user_refresh)
    child = session.get_one(Child, 1)
    session.refresh(child)
    session.expire(child)
    assert child.name == "ann"
    assert said == [False, True, False]


def test_the_wish_to_flush(session: Session, watch: Watch) -> None:
    """A statement flushes unless it, or the session, was told not to; a refresh never does."""
    said = watch(session, private.wants_autoflush)
    session.scalars(select(Pair)).all()
    with session.no_autoflush:
        session.scalars(select(Pair)).all()
    session.scalars(select(Pair).execution_options(autoflush=False)).all()
    assert said[0] is True
    assert said[2] is False


def test_no_autoflush_is_kept_by_the_session(engine: Engine) -> None:
    """`autoflush` does nothing in a `no_autoflush` block or on a session made without."""
    with Session(engine) as session, session.no_autoflush:
        session.add(Pair(left=100, right="r"))
        private.autoflush(session)
        assert private.dirty(session)
    with Session(engine, autoflush=False) as session:
        session.add(Pair(left=100, right="r"))
        private.autoflush(session)
        assert private.dirty(session)


def test_version_checks(session: Session, watch: Watch) -> None:
    """A load that locks an object compares versions."""
    said = watch(session, private.checks_version)
    pair = session.get_one(Pair, (1, "r"))
    session.get(Pair, (2, "r"), with_for_update=True)
    session.get(Pair, (1, "r"), populate_existing=True, with_for_update=True)
    session.refresh(pair)
    assert said == [False, True, True, False]


def test_overwriting_loads(session: Session, watch: Watch) -> None:
    """`populate_existing` is seen as an option of the statement, of the call and of `get`."""

    def overwrites(state: ORMExecuteState) -> bool:
        return private.populates_existing(state) or bool(
            state.execution_options.get("populate_existing")
        )

    said = watch(session, overwrites)
    session.scalars(select(Pair)).all()
    session.scalars(select(Pair).execution_options(populate_existing=True)).all()
    session.scalars(select(Pair), execution_options={"populate_existing": True}).all()
    session.get(Pair, (1, "r"), populate_existing=True)
    session.query(Pair).populate_existing().all()
    assert said == [False, True, True, True, True]


def test_the_shard_of_a_statement(session: Session, watch: Watch) -> None:
    """`identity_token` is the shard that a `get` was given."""
    said = watch(session, private.identity_token)
    session.get(Pair, (1, "r"))
    session.get(Pair, (1, "r"), identity_token="north")  # noqa: S106
    session.scalars(select(Pair)).all()
    assert said == [None, "north", None]


def test_loads_in_the_context_of_another(session: Session, watch: Watch) -> None:
    """A lazy load, a selectin load and a refresh mark what they load; other SELECTs don't."""
    said = watch(session, private.in_context)
    child = session.get_one(Child, 1)
    assert child.parent is not None
    session.scalars(select(Pair).where(Pair.left == 1)).all()
    session.refresh(child)
    session.expire(child)
    assert child.name == "ann"
    session.expunge_all()
    session.scalars(select(Child).options(selectinload(Child.parent))).all()
    assert said == [False, True, False, True, True, False, True]


def test_statements_that_load_plainly(session: Session, watch: Watch) -> None:
    """Those of an application that asks for no other way of loading: no `get()`, no part of a load.

    For each of them all that `loads_plainly` stands for is so.
    """

    def agrees(state: ORMExecuteState) -> bool:
        plainly = private.loads_plainly(state)
        one_by_one = not (
            state.is_relationship_load
            or state.is_column_load
            or private.in_context(state)
            or private.is_user_refresh(state)
            or private.populates_existing(state)
            or private.checks_version(state)
            or private.returns_tuples(state)
            or private.identity_token(state) is not None
            or not private.wants_autoflush(state)
        )
        assert one_by_one or not plainly
        return plainly

    said = watch(session, agrees)
    plain = select(Child).where(Child.id == 1)
    child = session.scalars(plain).one()
    session.scalars(select(Child.name).order_by(Child.id), {"unused": 1}).all()
    assert said == [True, True]
    said.clear()
    assert child.parent is not None
    session.refresh(child)
    session.expire(child)
    assert child.name == "ann"
    session.scalars(plain, execution_options={"populate_existing": True}).all()
    session.scalars(plain.execution_options(autoflush=False)).all()
    session.query(Child).all()
    session.query(Child).only_return_tuples(True).all()
    session.get(Pair, (1, "r"), with_for_update=True)
    session.get(Pair, (2, "r"), identity_token="north")  # noqa: S106
    session.expunge_all()
    assert said == [False] * 9
    said.clear()
    session.scalars(plain.options(selectinload(Child.parent))).all()
    assert said == [True, False]


def test_listeners_that_come_after(engine: Engine) -> None:
    """A listener knows whether others are asked after it."""
    said: list[bool] = []
    with Session(engine) as session:
        event.listen(
            session, "do_orm_execute", lambda s: said.append(private.has_listeners_after(s))
        )
        session.scalars(select(Pair)).all()
        event.listen(session, "do_orm_execute", lambda state: None)
        session.scalars(select(Pair)).all()
    assert said == [False, True]


def test_other_listeners_are_counted(engine: Engine) -> None:
    """Listeners of the session or its class besides our own are seen before a statement runs."""

    class Own(Session):
        _rediscache_own_listeners = 0

    with Own(engine) as session:
        assert not private.other_listeners(session)
        event.listen(session, "do_orm_execute", lambda state: None)
        assert private.other_listeners(session)
    event.listen(Own, "do_orm_execute", lambda state: None)
    with Own(engine) as session:
        assert private.other_listeners(session)


def test_a_listener_can_be_added_to_one_execution(session: Session) -> None:
    """`_execute_internal` takes a listener for one statement, called after all others."""
    seen: list[str] = []
    event.listen(session, "do_orm_execute", lambda state: seen.append("session's"))
    execute: Any = session._execute_internal
    execute(select(Pair), _add_event=lambda state: seen.append("added")).all()
    assert seen == ["session's", "added"]
    session.scalars(select(Pair)).all()
    assert seen == ["session's", "added", "session's"]


def test_every_orm_statement_passes_one_method(engine: Engine) -> None:
    """`get`, lazy loads, refreshes and all ways to execute go through `_execute_internal`."""
    seen: list[Any] = []

    class Watching(Session):
        def _execute_internal(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(private.subject(statement))
            return super()._execute_internal(statement, *args, **kwargs)

    with Watching(engine) as session:
        child = session.get_one(Child, 1)
        assert child.parent is not None
        session.refresh(child)
        session.expire(child)
        assert child.name == "ann"
        session.execute(select(Pair)).all()
        session.scalars(select(Pair)).all()
        session.scalar(select(Pair))
        session.query(Pair).all()
    names = [mapper.class_.__name__ for mapper in seen]
    assert names == ["Child", "Parent", "Child", "Child", "Pair", "Pair", "Pair", "Pair"]


@pytest.mark.parametrize("found", [False, True], ids=["by-identity-map", "by-override"])
def test_key_lookups_ask_the_session_first(engine: Engine, found: bool) -> None:
    """`get` and lazy many-to-one ask `_identity_lookup` and take its answer."""
    seen: list[Any] = []
    answer = Pair(left=1, right="r")

    class Asking(Session):
        def _identity_lookup(
            self, mapper: Any, primary_key_identity: Any, *args: Any,
            lazy_loaded_from: Any = None, **kwargs: Any,
        ) -> Any:  # fmt: skip
            assert kwargs.keys() <= {
                "identity_token", "passive", "execution_options", "bind_arguments"
            }  # fmt: skip
            seen.append((mapper.class_.__name__, tuple(primary_key_identity), lazy_loaded_from))
            if found and mapper.class_ is Pair:
                return answer
            return super()._identity_lookup(  # type: ignore[misc]
                mapper, primary_key_identity, *args, lazy_loaded_from=lazy_loaded_from, **kwargs
            )

    with Asking(engine) as session:
        got = session.get(Pair, (1, "r"))
        assert (got is answer) is found
        child = session.get_one(Child, 1)
        parent = child.parent
        assert parent is not None
        assert seen == [
            ("Pair", (1, "r"), None),
            ("Child", (1,), None),
            ("Parent", (2,), inspect(child)),
        ]


def test_a_class_mismatch_means_absent(engine: Engine) -> None:
    """An override's PASSIVE_CLASS_MISMATCH is "no such object": None, and no SQL."""
    from sqlalchemy_rediscache.session.loads import ABSENT  # noqa: PLC0415

    class Absent(Session):
        def _identity_lookup(self, mapper: Any, *args: Any, **kwargs: Any) -> Any:
            if mapper.class_.__name__ == "Child":
                return super()._identity_lookup(mapper, *args, **kwargs)
            return ABSENT

    with Absent(engine) as session:
        assert session.get(Dog, 1) is None
        child = session.get_one(Child, 1)
        assert child.parent is None
        assert child.parent_id == 2
