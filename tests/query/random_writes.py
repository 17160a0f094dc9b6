"""Random transactions of the random models, written in every way that there is."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .random_models import FEWEST, MODELS, MOST, TABLES, Rows, Write, random_value, random_write
from .random_sql import RandomSelects

_BY_UNIT = ("add", "delete", "merge", "nothing", "set")

MODEL_OF: dict[Table, Any] = dict(zip(TABLES, MODELS, strict=True))


def rows_now(session: Session) -> Rows:
    """The rows as the session's transaction sees them."""
    rows = Rows()
    for table in TABLES:
        for row in session.execute(select(table)).mappings():
            rows.by_table[table][row["id"]] = {column.key: row[column.key] for column in table.c}
    return rows


class RandomWrites:
    """Writes through sessions; the same ones for the same source of random numbers.

    Attributes:
        tables: What the last call may have written.
        label: How it did.
        by_unit: Only the unit of work wrote, of which every row's old and new values are known.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.selects = RandomSelects(rng)
        self.tables: set[Table] = set()
        self.label = ""
        self.by_unit = True

    def begin(self) -> None:
        """The next writes are those of one transaction."""
        self.tables, self.label, self.by_unit = set(), "", True

    def write(self, session: Session, rows: Rows) -> None:
        """Do one write; `rows` is what is there."""
        if self.rng.random() < 0.3:
            table = self.rng.choice(TABLES)
            self.tables.add(table)
            self.by_unit = False
            way = self.rng.choice(
                (self._update_some, self._update_some, self._delete_some, self._from_select)
            )
            self.label += f" {way.__name__} {table.name}"
            way(session, table, rows)
            return
        one = random_write(self.rng, rows)
        self.tables.add(one.table)
        ways = self._ways(one)
        names = sorted(ways)
        if self.rng.random() < 0.4:
            names = [name for name in names if name in _BY_UNIT]
        name = self.rng.choice(names)
        self.by_unit = self.by_unit and name in _BY_UNIT
        self.label += f" {name} {one.old} -> {one.new}"
        ways[name](session)

    # -- one row ------------------------------------------------------------------------------

    def _ways(self, one: Write) -> dict[str, Callable[[Session], object]]:
        table, model = one.table, MODEL_OF[one.table]
        if one.old is None:
            new = dict(one.new or {})
            return {
                "add": lambda session: session.add(model(**new)),
                "merge": lambda session: session.merge(model(**new)),
                "insert": lambda session: session.execute(insert(model).values(new)),
                "insert many": lambda session: session.execute(insert(model), [new]),
                "insert values": lambda s: s.execute(insert(model).values([new])),
                "insert without a key": lambda s: s.execute(insert(model), [_without_key(new)]),
                "insert returning": lambda s: s.execute(insert(model).returning(model), [new]),
                "core insert": lambda session: session.connection().execute(insert(table), new),
                "bulk insert": lambda session: session.bulk_insert_mappings(model, [new]),
                "text insert": lambda session: session.execute(_insert_text(table), new),
                "upsert": lambda session: session.execute(_upsert(session, table, new)),
            }
        key = one.old["id"]
        if one.new is None:
            return {
                "delete": lambda session: session.delete(session.get_one(model, key)),
                "bulk delete": lambda s: s.execute(delete(model).where(model.id == key)),
                "query delete": lambda session: session.query(model).filter_by(id=key).delete(),
                "core delete": lambda session: session.connection().execute(
                    delete(table).where(table.c.id == key)
                ),
                "text delete": lambda session: session.execute(
                    text(f"DELETE FROM {table.name} WHERE id = {key}")
                ),
            }
        changed = {name: value for name, value in one.new.items() if value != one.old[name]}
        if not changed:
            return {"nothing": lambda session: None}
        clause = model.id == key
        return {
            "set": lambda session: _set(session.get_one(model, key), changed),
            "merge": lambda session: session.merge(model(**(one.new or {}))),
            "update": lambda s: s.execute(update(model).where(clause).values(changed)),
            "update unsynchronized": lambda session: session.execute(
                update(model).where(clause).values(changed),
                execution_options={"synchronize_session": False},
            ),
            "update returning": lambda session: session.execute(
                update(model).where(clause).values(changed).returning(model.id)
            ),
            "update by key": lambda s: s.execute(update(model), [{"id": key, **changed}]),
            "bulk update": lambda s: s.bulk_update_mappings(model, [{"id": key, **changed}]),
            "core update": lambda session: session.connection().execute(
                update(table).where(table.c.id == key).values(changed)
            ),
            "upsert": lambda session: session.execute(_upsert(session, table, one.new or {})),
        }

    # -- many rows ----------------------------------------------------------------------------

    def _where(self, table: Table) -> Any:
        model = MODEL_OF[table]
        columns = self.selects._columns_of(model)
        if self.rng.random() < 0.5:
            return self.selects._fixed(columns)
        return self.selects.condition(columns, 1)

    def _update_some(self, session: Session, table: Table, rows: Rows) -> None:
        others = [one for one in table.c if not one.primary_key and one.key != "code"]
        column = self.rng.choice(others)
        value: Any = random_value(self.rng, column.type)
        if self.rng.random() < 0.2:
            value = self.rng.choice([one for one in others if type(one.type) is type(column.type)])
        synchronize = self.rng.choice((False, "fetch"))
        statement = update(MODEL_OF[table]).where(self._where(table)).values({column.key: value})
        session.execute(statement, execution_options={"synchronize_session": synchronize})

    def _delete_some(self, session: Session, table: Table, rows: Rows) -> None:
        if len(rows.by_table[table]) <= FEWEST:
            self._update_some(session, table, rows)
            return
        keys = self.rng.sample(sorted(rows.by_table[table]), 2)
        model = MODEL_OF[table]
        synchronize = self.rng.choice((False, "fetch"))
        session.execute(
            delete(model).where(model.id.in_(keys), self._where(table)),
            execution_options={"synchronize_session": synchronize},
        )

    def _from_select(self, session: Session, table: Table, rows: Rows) -> None:
        free = [number for number in range(1, MOST + 1) if number not in rows.by_table[table]]
        if not free:
            self._delete_some(session, table, rows)
            return
        others = [one for one in table.c if not one.primary_key and one.key != "code"]
        source = select(
            select(func.min(table.c.id)).scalar_subquery() * 0 + free[0], *others
        ).where(table.c.id == min(rows.by_table[table], default=0))
        names = ["id", *(column.key for column in others)]
        session.execute(insert(MODEL_OF[table]).from_select(names, source))


def _without_key(new: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in new.items() if name != "id"}


def _set(found: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(found, name, value)


def _insert_text(table: Table) -> Any:
    names = [column.name for column in table.c]
    listed = ", ".join(f":{name}" for name in names)
    return text(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({listed})")


def _upsert(session: Session, table: Table, values: Any) -> Any:
    name = session.get_bind().dialect.name
    made: Any = (postgresql if name == "postgresql" else sqlite).insert(MODEL_OF[table])
    rest = {key: value for key, value in values.items() if key != "id"}
    return made.values(dict(values)).on_conflict_do_update(index_elements=["id"], set_=rest)
