"""Ways of writing the warehouse of `ways_models`: by a session, by a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    DDL,
    Connection,
    delete,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.schema import DropTable
from sqlalchemy.sql.expression import ClauseElement, Executable

from tests.integration.ways_models import Echo, Item, Label, Part, Shelf, item_label, journal

SQLITE, POSTGRESQL, MARIADB = ("sqlite",), ("postgresql",), ("mariadb",)
ALL = (*SQLITE, *POSTGRESQL)
ITEM: Any = Item.__table__
PART: Any = Part.__table__
SHELF: Any = Shelf.__table__
NEW = {"id": 90, "code": "new", "qty": 9, "shelf_id": 1}
MORE = {"id": 91, "code": "more", "qty": 9, "shelf_id": 3}


@dataclass(frozen=True)
class Way:
    """A way of writing.

    Args:
        write: Writes, in a transaction that the test begins and commits.
        databases: Where it works.
        coarse: Nothing tells what it writes, so that everything is emptied.
        breaks: Readers fail after it.
    """

    write: Callable[[Any], Any]
    databases: Sequence[str] = ALL
    coarse: bool = False
    breaks: bool = False


class Removal(Executable, ClauseElement):
    """A statement of an application's own."""

    inherit_cache = False


@compiles(Removal)
def _removal(element: Any, compiler: Any, **options: Any) -> str:
    return "DELETE FROM item WHERE id = 1"


# -- by a session -----------------------------------------------------------------------------


def _set(model: Any, key: int, **values: Any) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        found = session.get_one(model, key)
        for name, value in values.items():
            setattr(found, name, value)
        session.flush()

    return write


def _gone(model: Any, key: int) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        session.delete(session.get_one(model, key))
        session.flush()

    return write


def _new(session: Session) -> None:
    session.add(Item(**NEW))
    session.flush()


def _label(session: Session) -> None:
    item = session.get_one(Item, 3)
    item.labels.append(session.get_one(Label, 1))
    session.flush()


def _unlabel(session: Session) -> None:
    item = session.get_one(Item, 1)
    item.labels.clear()
    session.flush()


def _move(session: Session) -> None:
    shelf = session.get_one(Shelf, 3)
    shelf.items.append(session.get_one(Item, 1))
    session.flush()


def _run(statement: Any, parameters: Any = None, **options: Any) -> Callable[[Any], Any]:
    return lambda session: session.execute(statement, parameters, execution_options=options)


def _fetched(statement: Any) -> Callable[[Any], Any]:
    return lambda session: session.execute(statement).all()


def _bulk_saved(session: Session) -> None:
    session.bulk_save_objects([Item(**NEW), Item(**MORE)])


def _upserted(name: str) -> Callable[[Any], Any]:
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[name]

    def write(target: Any) -> None:
        statement = dialect.insert(Item).values(id=7, code="a", qty=70, shelf_id=2)
        target.execute(
            statement.on_conflict_do_update(index_elements=["code"], set_={"id": 95, "qty": 7})
        )

    return write


_ON_SHELF = update(Item).where(Item.shelf_id == 1)
_FROM_SHELF = delete(Item).where(Item.shelf_id == 1)
_COPY = insert(Item).from_select(
    ["id", "code", "qty", "shelf_id"],
    select(Item.id + 89, literal("new"), Item.qty, Item.shelf_id).where(Item.id == 1),
)

SESSION_WAYS: Mapping[str, Way] = {
    "insert": Way(_new),
    "update": Way(_set(Item, 1, qty=10)),
    "update of a tag": Way(_set(Item, 1, shelf_id=3)),
    "update of a unique key": Way(_set(Item, 1, code="new")),
    "move between collections": Way(_move),
    "delete, one level": Way(_gone(Item, 1)),
    "delete, two levels": Way(_gone(Shelf, 1)),
    "another key": Way(_set(Item, 1, id=90)),
    "another key, above": Way(_set(Shelf, 1, id=7)),
    "label": Way(_label),
    "unlabel": Way(_unlabel),
    **{
        f"update, {sync}": Way(_run(_ON_SHELF.values(qty=5), synchronize_session=sync))
        for sync in ("auto", "fetch", "evaluate", False)
    },
    **{
        f"delete, {sync}": Way(_run(_FROM_SHELF, synchronize_session=sync))
        for sync in ("auto", "fetch", "evaluate", False)
    },
    "update of a tag, bulk": Way(_run(_ON_SHELF.values(shelf_id=3))),
    "update, returning": Way(_fetched(_ON_SHELF.values(qty=Item.qty + 1).returning(Item.id))),
    "delete, returning": Way(_fetched(_FROM_SHELF.returning(Item.code))),
    "update by keys": Way(_run(update(Item), [{"id": 1, "qty": 4}, {"id": 3, "shelf_id": 1}])),
    "insert, many": Way(_run(insert(Item), [NEW, MORE])),
    "insert, returning": Way(
        lambda session: session.scalars(insert(Item).returning(Item), [NEW, MORE]).all()
    ),
    "insert, values": Way(_run(insert(Item).values(**NEW))),
    "insert, from select": Way(_run(_COPY)),
    "query.update": Way(lambda session: session.query(Item).filter_by(id=1).update({"qty": 6})),
    "query.delete": Way(lambda session: session.query(Item).filter_by(shelf_id=1).delete()),
    "bulk_save_objects": Way(_bulk_saved),
    "bulk_insert_mappings": Way(lambda session: session.bulk_insert_mappings(Item, [NEW])),
    "bulk_update_mappings": Way(
        lambda session: session.bulk_update_mappings(Item, [{"id": 1, "shelf_id": 3}])
    ),
    "delete above, bulk": Way(_run(delete(Shelf).where(Shelf.id == 1))),
    "another key, bulk": Way(_run(update(Shelf).where(Shelf.id == 1).values(id=7))),
    "association, bulk": Way(_run(delete(item_label).where(item_label.c.item_id == 1))),
    "session.connection()": Way(
        lambda session: session.connection().execute(update(ITEM).values(qty=8))
    ),
    "session.connection(), text": Way(
        lambda session: session.connection().exec_driver_sql("UPDATE item SET shelf_id = 3")
    ),
    "text": Way(_run(text("UPDATE item SET qty = :qty WHERE id = 1"), {"qty": 4})),
    "text as a query": Way(
        _fetched(text("UPDATE item SET qty = 4 WHERE id = 1 RETURNING id").columns(Item.id))
    ),
    "text as a query of entities": Way(
        lambda session: session.scalars(
            select(Item).from_statement(
                text("UPDATE item SET qty = 4 RETURNING id, code, qty, shelf_id")
            )
        ).all()
    ),
    "entities from an update": Way(
        lambda session: session.scalars(
            select(Item).from_statement(_ON_SHELF.values(qty=4).returning(Item))
        ).all()
    ),
}  # fmt: skip


# -- by a session or a connection -------------------------------------------------------------


def _driver(statement: str) -> Callable[[Any], Any]:
    def write(target: Any) -> None:
        connection: Connection = target.connection() if isinstance(target, Session) else target
        connection.exec_driver_sql(statement)

    return write


def _text(statement: str, parameters: Any = None, **options: Any) -> Way:
    return Way(_run(text(statement), parameters), **options)


_DELETED = delete(ITEM).where(ITEM.c.id == 1).returning(ITEM.c.id).cte("deleted")
_ADDED = insert(PART).values(id=9, name="new", item_id=1).cte("added")
_MERGE = (
    "MERGE INTO item USING shelf ON item.shelf_id = shelf.id"
    " WHEN MATCHED AND shelf.id = 1 THEN UPDATE SET qty = 50 WHEN MATCHED THEN DELETE"
)

CONNECTION_WAYS: Mapping[str, Way] = {
    "Core update": Way(_run(update(ITEM).where(ITEM.c.id == 1).values(shelf_id=3))),
    "Core insert, many": Way(_run(insert(ITEM), [NEW, MORE])),
    "Core delete, two levels": Way(_run(delete(SHELF).where(SHELF.c.id == 1))),
    "Core key": Way(_run(update(SHELF).where(SHELF.c.id == 1).values(id=8))),
    "Core association": Way(_run(insert(item_label), [{"item_id": 3, "label_id": 1}])),
    "text update": _text("UPDATE item SET qty = qty + :by", {"by": 4}),
    "text insert, many": Way(
        _run(text("INSERT INTO part (id, name, item_id) VALUES (:id, 'new', :item)"),
             [{"id": 8, "item": 1}, {"id": 9, "item": 3}])
    ),
    "text delete, two levels": _text("/* all of it */ DELETE FROM shelf WHERE id = 1"),
    "text key": _text("UPDATE shelf SET id = 8 WHERE id = 1"),
    "text association": _text("DELETE FROM item_label WHERE item_id = 1"),
    "driver": Way(_driver("UPDATE item SET shelf_id = 3 WHERE id = 1")),
    "several tables, one by one": Way(
        lambda target: (
            target.execute(text("UPDATE part SET name = 'x'")),
            target.execute(text("INSERT INTO journal (entry) VALUES ('x')")),
            target.execute(insert(journal).values(entry="y")),
        )
    ),
    "own construct": Way(_run(Removal())),
    "upsert of a key": Way(_upserted("sqlite"), SQLITE),
    "upsert of a key, PostgreSQL": Way(_upserted("postgresql"), POSTGRESQL),
    "upsert of a key, text": _text(
        "INSERT INTO item (id, code, qty, shelf_id) VALUES (7, 'a', 1, 1)"
        " ON CONFLICT (code) DO UPDATE SET id = 95"
    ),
    "insert or replace": Way(
        _run(insert(ITEM).prefix_with("OR REPLACE").values(id=7, code="a", qty=1)), SQLITE
    ),
    "insert or replace, text": _text(
        "INSERT OR REPLACE INTO item (id, code, qty) VALUES (7, 'a', 1)", databases=SQLITE
    ),
    "replace, text": _text(
        "REPLACE INTO item (id, code, qty) VALUES (7, 'a', 1)", databases=SQLITE
    ),
    "expression that writes": Way(_run(select(_DELETED.c.id)), POSTGRESQL),
    "expression that writes beside": Way(_run(select(SHELF.c.id).add_cte(_ADDED)), POSTGRESQL),
    "expression that writes, text": _text(
        "WITH gone AS (DELETE FROM item WHERE id = 1 RETURNING id) SELECT id FROM gone",
        databases=POSTGRESQL,
    ),
    "merge": _text(_MERGE, databases=POSTGRESQL),
    "truncate": _text("TRUNCATE part", databases=POSTGRESQL),
    "truncate, cascade": _text("TRUNCATE item CASCADE", databases=POSTGRESQL, coarse=True),
    "alter": _text(
        "ALTER TABLE part ALTER COLUMN name TYPE varchar(40) USING 'new'", databases=POSTGRESQL
    ),
    "rename": _text("ALTER TABLE echo RENAME TO echoes", breaks=True),
    "drop, text": _text("DROP TABLE part", breaks=True),
    "drop, DDL": Way(_run(DDL("DROP TABLE part")), breaks=True),  # type: ignore[no-untyped-call]
    "drop": Way(_run(DropTable(Echo.__table__)), breaks=True),  # type: ignore[arg-type]
    "a block of code": _text(
        "DO $$ BEGIN UPDATE item SET qty = 77; END $$", databases=POSTGRESQL, coarse=True
    ),
    "several tables at once": Way(
        _run(update(ITEM).where(ITEM.c.id == PART.c.item_id)
             .values({ITEM.c.qty: 60, PART.c.name: "new"})),
        MARIADB,
    ),
    "another of two tables": Way(
        # Nothing that follows a part is an item: foreign keys don't lead there.
        _run(update(PART).where(ITEM.c.id == PART.c.item_id).values({ITEM.c.qty: 61})), MARIADB
    ),
    "several tables at once, text": _text(
        "UPDATE item JOIN part ON part.item_id = item.id SET part.name = 'new'", databases=MARIADB
    ),
    "delete of several tables, text": _text(
        "DELETE part, item_label FROM part, item_label WHERE part.item_id = item_label.item_id",
        databases=MARIADB,
    ),
    "upsert of a key, MariaDB": Way(
        _run(mysql.insert(ITEM).values(id=7, code="a", qty=1).on_duplicate_key_update(id=95)),
        MARIADB,
    ),
    "replace, MariaDB": _text(
        "REPLACE INTO item (id, code, qty) VALUES (7, 'a', 1)", databases=MARIADB
    ),
}  # fmt: skip
