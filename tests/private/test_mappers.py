"""Mappers that are not whole."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, mapped_column, synonym

from sqlalchemy_rediscache import private


def test_halves_are_told_from_whole_ones() -> None:
    """A class has its mapper before that is whole, and keeps the half where the rest fails."""

    class Base(DeclarativeBase):
        pass

    states: list[tuple[str, bool]] = []

    def heard(name: str) -> Any:
        def hear(mapper: Mapper[Any], class_: type) -> None:
            states.append((name, private.is_whole(mapper)))

        return hear

    listeners = {name: heard(name) for name in ("instrument_class", "after_mapper_constructed")}
    for name, listener in listeners.items():
        event.listen(Mapper, name, listener)
    try:

        class Root(Base):
            __tablename__ = "root"
            id: Mapped[int] = mapped_column(primary_key=True)
            x: Mapped[int]
            kind: Mapped[str]
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "root"}  # noqa: RUF012

        class Heir(Root):
            __mapper_args__ = {"polymorphic_identity": "heir"}  # noqa: RUF012

        with pytest.raises(ArgumentError):

            class Half(Root):
                y: Mapped[int]
                __mapper_args__ = {  # noqa: RUF012
                    "polymorphic_identity": "half",
                    "properties": {"y": synonym("z")},
                }

    finally:
        for name, listener in listeners.items():
            event.remove(Mapper, name, listener)
    own = [("instrument_class", False), ("after_mapper_constructed", True)]
    assert states == [*own, *own, ("instrument_class", False)]
    root = Root.__mapper__
    assert len(list(root.self_and_descendants)) == 3
    assert private.with_subclasses(root) == [root, Heir.__mapper__]
