"""Listeners of the application hear with the cache what they hear without it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import sessionmaker

from tests.integration.models import User
from tests.integration.stage import Stage
from tests.integration.test_audit import Letter, _Base
from tests.listening import listening


@pytest.fixture
def letters(stage: Stage) -> Stage:
    """A letter, whose body is deferred."""
    _Base.metadata.create_all(stage.outside)
    with stage.Plain.begin() as session:
        session.add(Letter(id=1, head="h", body="b"))
    stage.warm(Letter, 1)
    return stage


@pytest.mark.parametrize("name", ["load", "refresh"])
def test_instance_events(letters: Stage, name: str) -> None:
    """`load` and `refresh`, with the attributes and the query that they come from."""
    heard: list[Any] = []

    def listener(target: Any, context: Any, *names: Any) -> None:
        heard.append((type(target), context is not None, [sorted(one) for one in names if one]))

    def run(factory: sessionmaker[Any]) -> list[Any]:
        heard.clear()
        with factory() as session:
            letter = session.get_one(Letter, 1)
            session.scalars(select(Letter).where(Letter.id == 1)).one()
            session.scalars(select(Letter).where(Letter.id.in_([1]))).one()
            session.commit()
            assert letter.head == "h"
            assert letter.body == "b"
        return list(heard)

    with listening(Letter, name, listener):
        assert run(letters.Session) == run(letters.Plain) != []
        assert run(letters.Session) == run(letters.Plain)


def test_other_do_orm_execute_listeners(stage: Stage) -> None:
    """A listener that adds criteria, or answers itself, is not passed over."""
    stage.warm(User, 1)
    factory = stage.cache.enable(sessionmaker(stage.engine))
    seen: list[str] = []

    @event.listens_for(factory, "do_orm_execute")
    def listener(state: Any) -> None:
        seen.append(str(state.statement))

    with factory() as session:
        assert session.get_one(User, 1).name == "ann"
        session.expire_all()
        assert session.get_one(User, 1).name == "ann"
    assert len(seen) == 2
