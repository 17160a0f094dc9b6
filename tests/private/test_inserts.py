"""What a compiled INSERT says of the rows that it makes, from private parts of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_rediscache import private


class Base(DeclarativeBase):
    """The base of the table."""


class Line(Base):
    """With a name of another attribute, defaults, and a name that parameters have."""

    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None] = mapped_column("name")
    size: Mapped[int] = mapped_column(default=lambda: 5)
    state: Mapped[int | None] = mapped_column(server_default="3")
    lower_1: Mapped[str | None]


LINE: Any = Line.__table__


@pytest.fixture
def empty() -> Iterator[Engine]:
    """An engine on an empty database in memory, with the table."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def told(engine: Engine, statement: Any, parameters: Any = None) -> list[Any]:
    """What is told of each statement that is sent: the rows, None of no INSERT of rows."""
    found: list[Any] = []

    def note(cursor: Any, text: str, values: Any, context: Any) -> None:
        made = private.inserted(context.compiled)
        rows = (
            None if made is None else [dict(one) for one in private.inserted_values(context, made)]
        )
        found.append(rows)
        assert made is None or all(made.named >= row.keys() - {"size"} for row in rows or ())

    for name in ("do_execute", "do_executemany"):
        event.listen(engine.dialect, name, note)
    with Session(engine) as session:
        session.execute(statement, parameters)
    return found


ONE = {"id": 1, "name": "a", "size": 5}
TWO = {"id": 2, "name": "b", "size": 5}

WAYS: dict[str, tuple[Any, Any, list[Any]]] = {
    "objects": (insert(Line), [{"id": 1, "label": "a"}, {"id": 2, "label": "b"}], [[ONE, TWO]]),
    "objects of two forms": (
        insert(Line), [{"id": 1, "label": "a"}, {"id": 2}], [[ONE], [{"id": 2, "size": 5}]],
    ),
    "values": (insert(Line).values(id=1, label="a"), None, [[ONE]]),
    "values by attribute": (insert(Line).values({Line.id: 1, Line.label: "a"}), None, [[ONE]]),
    "values of two": (
        insert(Line).values([{"id": 1, "label": "a"}, {"id": 2, "label": "b"}]), None, [[ONE, TWO]],
    ),
    "core": (insert(LINE), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], [[ONE, TWO]]),
    "values and parameters": (
        insert(LINE).values(name="a"), [{"id": 1}, {"id": 2}], [[ONE, TWO | {"name": "a"}]],
    ),
    "returning": (insert(Line).returning(Line), [{"id": 1, "label": "a"}], [[ONE]]),
    "own parameters": (
        insert(LINE).values(id=bindparam("x"), name=bindparam("y")), {"x": 1, "y": "a"}, [[ONE]],
    ),
    "parameters called as other columns": (
        insert(LINE).values(id=bindparam("state"), state=bindparam("id")), {"state": 1, "id": 8},
        [[{"id": 1, "state": 8, "size": 5}]],
    ),
    "an expression": (
        insert(Line).values(id=1, lower_1=func.lower("X")), None, [[{"id": 1, "size": 5}]],
    ),
    "an expression among two": (
        insert(LINE).values([{"id": 1, "name": "a"}, {"id": 2, "name": func.lower("B")}]), None,
        [[ONE, {"id": 2, "size": 5}]],
    ),
    "another type": (insert(LINE).values(id=1, name=literal(7)), None, [[{"id": 1, "size": 5}]]),
    "a default only": (insert(LINE), None, [[{"size": 5}]]),
    "replace": (insert(LINE).prefix_with("OR REPLACE").values(id=1), None, [None]),
    "ignore": (
        insert(LINE).prefix_with("or ignore").values(id=1, name="a"), None, [[ONE]],
    ),
    "ignore and more": (
        insert(LINE).prefix_with("OR IGNORE").prefix_with("/* x */").values(id=1), None, [None],
    ),
    "do nothing": (
        sqlite.insert(LINE).values(id=1, name="a").on_conflict_do_nothing(), None, [[ONE]],
    ),
    "do nothing about a name": (
        sqlite.insert(LINE).on_conflict_do_nothing(index_elements=["id"]),
        [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], [[ONE, TWO]],
    ),
    "upsert": (
        sqlite.insert(LINE).values(id=1).on_conflict_do_update(
            index_elements=["id"], set_={"name": "c"}
        ), None, [None],
    ),
    "of a select": (insert(LINE).from_select(["id"], select(literal(1))), None, [[]]),
    "of a select with a prefix": (
        insert(LINE).from_select(["id"], select(literal(1)).prefix_with("ALL")), None, [None],
    ),
    "update": (update(LINE).values(state=1), None, [None]),
    "query": (select(LINE), None, [None]),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_rows_of_an_insert(empty: Engine, way: str) -> None:
    """The values that are stored as they are sent, by the columns' keys; no others."""
    statement, parameters, expected = WAYS[way]
    assert told(empty, statement, parameters) == expected


DELETED = delete(LINE).returning(LINE.c.id).cte()


@pytest.mark.parametrize("source", [select(DELETED.c.id), text("SELECT 1").columns(LINE.c.id)])
def test_rows_of_what_may_write(source: Any) -> None:
    """Of an INSERT that may delete rows as well nothing is told."""
    statement = insert(LINE).from_select(["id"], source, include_defaults=False)
    dialect: Any = postgresql.dialect
    assert private.inserted(statement.compile(dialect=dialect())) is None


def test_an_expression_is_named(empty: Engine) -> None:
    """A column whose value is made by the database is told from one that has its default."""
    compiled = insert(LINE).values(id=1, lower_1=func.lower("X")).compile(empty)
    found = private.inserted(compiled)
    assert found is not None
    assert found.named == {"id", "lower_1"}
