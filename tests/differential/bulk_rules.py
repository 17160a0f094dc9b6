"""Rules about writes by statements, which no unit of work knows of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import bindparam, delete, func, insert, inspect, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tests.differential.conditions import Condition, conditions, keys_of
from tests.differential.models import Author, Book, Item, Label, Lamp, Shelf, book_label
from tests.differential.side import Side
from tests.differential.stage import Stage, numbers, possible, repr_of_key, who
from tests.differential.values import COLUMNS, MODELS, Model, key_values

SINGLE: tuple[Model, ...] = tuple(one for one in MODELS if len(inspect(one).tables) == 1)
"""Classes of one table."""

OFTEN: tuple[Model, ...] = (Author, Book, Item, Shelf, Label, Lamp)
written = st.sampled_from([*OFTEN, *OFTEN, *SINGLE])
_SYNCHRONIZED = ["auto", "evaluate", "fetch", False]

TEXTS: tuple[tuple[str, Any], ...] = (
    ("UPDATE author SET first = 'text', last = 'text' WHERE id < 3", None),
    ("UPDATE book SET author_id = :author WHERE id = :id", {"author": 1, "id": 2}),
    ("UPDATE item SET shelf_id = NULL WHERE rank = 7", None),
    ("DELETE FROM item WHERE id = :id", [{"id": 2}, {"id": 3}]),
    ("DELETE FROM shelf WHERE code = 'bb'", None),
    ("UPDATE shelf SET id = 4 WHERE id = 2", None),
    ("INSERT INTO lamp (id, watts, shelf_id) VALUES (:id, 7, :shelf)", {"id": 4, "shelf": 1}),
    ("DELETE FROM country WHERE code = 'bb'", None),
    ("DELETE FROM book_label WHERE book_id = 2", None),
    ("INSERT INTO book_label (book_id, label_id) VALUES (1, 2)", None),
    ("UPDATE label SET code = CASE code WHEN 'bb' THEN 'aa' ELSE code END", None),
    ("UPDATE cars SET doors = 1", None),
    ("UPDATE car SET doors = 1", None),
)
"""Statements as texts, one of which the database refuses."""


@st.composite
def changes(draw: Any, model: Model, *, most: int = 2) -> dict[str, Any]:
    """Values of some columns."""
    known = COLUMNS[model]
    names = st.lists(
        st.sampled_from(sorted(known.keys() - {"at"})), min_size=1, max_size=most, unique=True
    )
    return {name: draw(st.sampled_from(known[name])) for name in draw(names)}


Rows = list[dict[str, Any]]


def _ordered(found: Any) -> Any:
    """What RETURNING gave: the database gives no order."""
    return sorted(found, key=lambda one: repr_of_key(one) or repr(one))


def _returned(session: Session, statement: Any, model: Any, how: str, **options: Any) -> Any:
    """Execute an UPDATE or DELETE, with RETURNING or not."""
    if how == "objects":
        return _ordered(session.scalars(statement.returning(model), **options).all())
    if how == "columns":
        column = getattr(model, min(COLUMNS[model].keys() - {"at"}))
        statement = statement.returning(*keys_of(model), column.label("one"))
        return _ordered(session.execute(statement, **options).all())
    result: Any = session.execute(statement, **options)
    return result.rowcount


def _conflicting(session: Session, model: Any, rows: Rows) -> Any:
    """An insert of the database's own kind, which can do something else where a row is there."""
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[session.get_bind().dialect.name]
    return dialect.insert(model).values(rows[0])


def _upsert(session: Session, model: Any, rows: Rows) -> Any:
    keys = keys_of(model)
    named = {one.key for one in keys}
    rest = {name: value for name, value in rows[0].items() if name not in named}
    made = _conflicting(session, model, rows)
    return made.on_conflict_do_update(index_elements=keys, set_=rest)


def _done(session: Session, statement: Any, rows: Any = None) -> None:
    """Execute a statement that gives nothing to compare."""
    session.execute(statement, rows)


# -- inserts of some rows: an operation for each way ------------------------------------------


def _core_insert(session: Session, model: Any, rows: Rows) -> Any:
    columns = inspect(model).columns
    named = [{columns[name].name: value for name, value in row.items()} for row in rows]
    session.connection().execute(insert(model.__table__), named)


def _insert_from_select(session: Session, model: Any, rows: Rows) -> Any:
    columns = inspect(model).columns
    selected = [literal(value, columns[name].type) for name, value in rows[0].items()]
    session.execute(insert(model).from_select(list(rows[0]), select(*selected)))


def _keyless_insert(session: Session, model: Any, rows: Rows) -> Any:
    columns = inspect(model).columns
    made = {
        one.key: select(literal(rows[0][one.key], columns[one.key].type)).scalar_subquery()
        for one in keys_of(model)
    }
    session.execute(insert(model).values({**rows[0], **made}))


INSERTS: Mapping[str, Callable[[Session, Any, Rows], Any]] = {
    "many": lambda session, model, rows: _done(session, insert(model), rows),
    "values": lambda session, model, rows: _done(session, insert(model).values(rows)),
    "returning": lambda session, model, rows: _ordered(
        session.scalars(insert(model).returning(model), rows)
    ),
    "in order": lambda session, model, rows: session.execute(
        insert(model).returning(*keys_of(model), sort_by_parameter_order=True), rows
    ).all(),
    "mappings": lambda session, model, rows: session.bulk_insert_mappings(inspect(model), rows),
    "Core": _core_insert,
    "from select": _insert_from_select,
    "keys by expressions": _keyless_insert,
    "keys by expressions, too": _keyless_insert,
    "or nothing": lambda session, model, rows: _done(
        session, _conflicting(session, model, rows).on_conflict_do_nothing()
    ),
    "upsert": lambda session, model, rows: _done(session, _upsert(session, model, rows)),
    "upsert, returning": lambda session, model, rows: _ordered(
        session.scalars(
            _upsert(session, model, rows).returning(model),
            execution_options={"populate_existing": True},
        )
    ),
}


def _core_update(session: Session, model: Any, rows: Rows) -> Any:
    table = model.__table__
    columns, keys = inspect(model).columns, [one.key for one in keys_of(model)]
    named = [
        {("b_" if name in keys else "") + columns[name].name: value for name, value in row.items()}
        for row in rows
    ]
    where = [table.c[columns[key].name] == bindparam("b_" + columns[key].name) for key in keys]
    session.connection().execute(update(table).where(*where), named)


UPDATES: Mapping[str, Callable[[Session, Any, Rows], Any]] = {
    "many": lambda session, model, rows: _done(session, update(model), rows),
    "mappings": lambda session, model, rows: session.bulk_update_mappings(inspect(model), rows),
    "objects": lambda session, model, rows: session.bulk_save_objects(
        [session.merge(model(**row)) for row in rows]
    ),
    "Core": _core_update,
}
EXPRESSIONS: Mapping[Model, tuple[Callable[[], dict[str, Any]], ...]] = {
    Item: (
        lambda: {"rank": Item.rank + 1},
        lambda: {"rank": select(func.count(Lamp.id)).scalar_subquery()},
        lambda: {"shelf_id": Item.rank - 6},
    ),
    Author: (lambda: {"first": Author.last}, lambda: {"manager_id": Author.id}),
    Lamp: (lambda: {"watts": Lamp.shelf_id},),
    Shelf: (lambda: {"id": Shelf.id + 3}, lambda: {"name": func.lower("SQL")}),
    Book: (lambda: {"title": func.coalesce(Book.title, "none")},),
}
"""What columns are set to in SQL."""


class BulkRules(Stage):
    """Writes by statements, of one row by its key, of some by a condition, of many."""

    @rule(pair=who, model=written, data=st.data(), how=st.sampled_from(["", "objects", "columns"]),
          synchronize=st.sampled_from(_SYNCHRONIZED))  # fmt: skip
    @possible
    def update_some(self, pair: int, model: Any, data: Any, how: str, synchronize: Any) -> None:
        """Update by a condition."""
        condition = data.draw(conditions(model))
        known = EXPRESSIONS.get(model, ())
        if known and data.draw(st.booleans()):
            values = data.draw(st.sampled_from(known))()
        else:
            values = data.draw(changes(model))
        options = {"synchronize_session": synchronize}

        def operation(side: Side, _: int) -> Any:
            statement = update(model).where(condition.of(model)).values(values)
            return _returned(side.session, statement, model, how, execution_options=options)

        self.write(pair, operation)

    @rule(pair=who, model=written, data=st.data(), how=st.sampled_from(["", "objects", "columns"]),
          synchronize=st.sampled_from(_SYNCHRONIZED))  # fmt: skip
    @possible
    def delete_some(self, pair: int, model: Any, data: Any, how: str, synchronize: Any) -> None:
        """Delete by a condition."""
        condition = data.draw(conditions(model).filter(lambda one: one != Condition("and")))
        options = {"synchronize_session": synchronize}

        def operation(side: Side, _: int) -> Any:
            statement = delete(model).where(condition.of(model))
            return _returned(side.session, statement, model, how, execution_options=options)

        self.write(pair, operation)

    @rule(pair=who, model=written, number=numbers, data=st.data(), how=st.sampled_from(
          ["update", "delete", "Core update", "Core delete", "query update", "query delete"]),
          synchronize=st.sampled_from(_SYNCHRONIZED))  # fmt: skip
    @possible
    def write_one(
        self, pair: int, model: Any, number: int, data: Any, how: str, synchronize: Any
    ) -> None:
        """Update or delete one row by its whole key."""
        values = data.draw(changes(model))
        columns = inspect(model).columns
        named = {columns[name].name: value for name, value in values.items()}
        table, key = model.__table__, key_values(model, number)
        options = {"synchronize_session": synchronize}

        def operation(side: Side, _: int) -> Any:
            session = side.session
            where = [getattr(model, name) == value for name, value in key.items()]
            if how.startswith("query"):
                query = session.query(model).filter(*where)
                if how == "query delete":
                    return query.delete(synchronize_session=synchronize)
                return query.update(values, synchronize_session=synchronize)
            if how.startswith("Core"):
                made: Any = update(table).values(named) if how == "Core update" else delete(table)
                return session.connection().execute(made.where(*where)).rowcount
            statement: Any = update(model).values(values) if how == "update" else delete(model)
            result: Any = session.execute(statement.where(*where), execution_options=options)
            return result.rowcount

        self.write(pair, operation)

    @rule(pair=who, model=written, data=st.data(), how=st.sampled_from(sorted(INSERTS)),
          some=st.lists(numbers, min_size=1, max_size=2, unique=True))  # fmt: skip
    @possible
    def insert_some(self, pair: int, model: Any, data: Any, how: str, some: list[int]) -> None:
        """Insert rows; those that are there already are refused, or updated."""
        names = data.draw(changes(model, most=3))
        rows = []
        for number in some:
            values = {
                name: data.draw(st.sampled_from(COLUMNS[model][name])) for name in sorted(names)
            }
            rows.append({**key_values(model, number), **values})
        self.write(pair, lambda side, _: INSERTS[how](side.session, model, rows))

    @rule(pair=who, model=written, data=st.data(), how=st.sampled_from(sorted(UPDATES)),
          some=st.lists(numbers, min_size=1, max_size=3, unique=True))  # fmt: skip
    @possible
    def update_many(self, pair: int, model: Any, data: Any, how: str, some: list[int]) -> None:
        """Update rows by the keys that they are given with."""
        values = data.draw(changes(model))
        rows = [{**key_values(model, number), **values} for number in some]
        self.write(pair, lambda side, _: UPDATES[how](side.session, model, rows))

    @rule(pair=who, which=st.sampled_from(TEXTS), how=st.sampled_from("sscd"))
    @possible
    def write_text(self, pair: int, which: tuple[str, Any], how: str) -> None:
        """Write by a text: of the session, of its connection, of the driver."""
        statement, parameters = which

        def operation(side: Side, _: int) -> Any:
            if how == "s":
                side.session.execute(text(statement), parameters)
            elif how == "d" and parameters is None:
                side.session.connection().exec_driver_sql(statement)
            else:
                side.session.connection().execute(text(statement), parameters)

        self.write(pair, operation)

    @rule(pair=who, book=numbers, label=numbers, how=st.sampled_from(["add", "take", "move"]))
    @possible
    def write_between(self, pair: int, book: int, label: int, how: str) -> None:
        """Write the rows between books and labels."""
        values = {"book_id": book + 1, "label_id": label + 1}
        table: Any = book_label

        def operation(side: Side, _: int) -> Any:
            statement: Any = insert(table).values(values)
            if how == "take":
                statement = delete(table).where(table.c.book_id == book + 1)
            if how == "move":
                statement = update(table).where(table.c.label_id == label + 1)
                statement = statement.values(book_id=book + 1)
            side.session.execute(statement)

        self.write(pair, operation)
