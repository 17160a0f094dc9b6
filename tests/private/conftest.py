"""Fixtures: a database with rows of these models, sessions without a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import ORMExecuteState, Session

from tests.private.models import Base, Child, Dog, Kennel, Pair, Parent, Rich

Watch = Callable[[Session, Callable[[ORMExecuteState], Any]], list[Any]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on a file with some rows; a test that writes rolls back."""
    path = tmp_path_factory.mktemp("private") / "rows.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Parent(id=1, name="top"))
        session.flush()
        session.add(Parent(id=2, name="middle", boss_id=1))
        session.flush()
        session.add_all([Child(id=1, name="ann", parent_id=2), Child(id=2, name=None)])
        session.add(Rich(id=1, name="n", secret="s", data={"a": 1}, px=3, py=4, notes="long"))  # noqa: S106
        session.add(Dog(id=1, name="rex", owner_id=2, tricks=7))
        session.flush()
        session.add(Kennel(id=1, animal_id=1))
        session.add_all([Pair(left=number, right="r", name=f"p{number}") for number in range(7)])
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session, rolled back at its end."""
    with Session(engine) as session:
        yield session


@pytest.fixture
def watch() -> Watch:
    """Note what a function says of each statement of a session."""

    def watch(session: Session, said: Callable[[ORMExecuteState], Any]) -> list[Any]:
        found: list[Any] = []
        event.listen(session, "do_orm_execute", lambda state: found.append(said(state)))
        return found

    return watch
