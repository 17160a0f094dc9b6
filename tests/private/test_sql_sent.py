"""What an engine's event tells of SQL that is about to be sent: who sent it, what it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    lambda_stmt,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.schema import CreateTable, DropTable
from sqlalchemy.sql.expression import ClauseElement, Executable

from sqlalchemy_rediscache import private
from tests.listening import listening
from tests.private.models import Animal, Base, Child, Dog, Parent, plain_table


@pytest.fixture
def empty() -> Iterator[Engine]:
    """An engine on an empty database in memory, with the tables."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


class Sent:
    """Notes each statement of an engine while a session's flush is under way or not."""

    def __init__(self, engine: Engine) -> None:
        self.flushing = False
        self.found: list[tuple[str, bool]] = []
        event.listen(engine, "before_cursor_execute", self._note)

    def watch(self, session: Session) -> None:
        """Know when the session flushes."""
        event.listen(session, "before_flush", lambda *args: setattr(self, "flushing", True))
        event.listen(session, "after_flush", lambda *args: setattr(self, "flushing", False))

    def _note(self, connection: Any, cursor: Any, sql: str, values: Any, context: Any,
              many: bool) -> None:  # fmt: skip
        by_flush = private.sent_by_flush(context, self.flushing)
        if sql.startswith("SELECT"):
            return
        self.found.append((" ".join(sql.split()[:3]), by_flush))


def test_a_flush_is_told_by_its_statements(empty: Engine) -> None:
    """INSERT, UPDATE and DELETE of a flush are its own; Core and bulk statements are not."""
    sent = Sent(empty)
    with Session(empty) as session:
        sent.watch(session)
        parent = Parent(id=1, name="a")
        session.add_all([parent, Dog(id=1)])
        session.flush()
        parent.name = "b"
        session.flush()
        session.delete(parent)
        session.flush()
        assert sent.found
        assert all(by_flush for _, by_flush in sent.found)
        sent.found.clear()
        session.execute(insert(Parent).values(id=2, name="x"))
        session.execute(update(Parent).values(name="y"))
        session.execute(delete(Parent))
        session.connection().execute(plain_table.insert().values(id=1))
        session.bulk_save_objects([Parent(id=3, name="z")])
        session.bulk_insert_mappings(Parent, [{"id": 4, "name": "z"}])
        assert [by_flush for _, by_flush in sent.found] == [False] * 6


def test_event_handlers_in_a_flush_are_told_from_it(empty: Engine) -> None:
    """SQL that a mapper event sends during a flush is not the flush's own."""
    sent = Sent(empty)

    def after_insert(mapper: Any, connection: Connection, target: Any) -> None:
        connection.execute(plain_table.insert().values(n=target.id))
        connection.execute(text("UPDATE plain SET n = 1"))
        connection.exec_driver_sql("UPDATE plain SET n = 2")

    with listening(Child, "after_insert", after_insert), Session(empty) as session:
        sent.watch(session)
        session.add(Child(id=1))
        session.flush()
    assert sent.found == [
        ("INSERT INTO child", True),
        ("INSERT INTO plain", False),
        ("UPDATE plain SET", False),
        ("UPDATE plain SET", False),
    ]


POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
MYSQL: Any = mysql.dialect()
SQLITE: Any = sqlite.dialect()
ALIAS = aliased(Parent)
TEXT = text("DELETE FROM parent RETURNING id").columns(Parent.id).cte("deleted")
CTE = insert(plain_table).values(id=5).returning(plain_table.c.id).cte("written")
METADATA = MetaData()
OTHER = Table("other", METADATA, Column("id", Integer))


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        (insert(Parent), {Parent}),
        (update(Parent).values(name="x"), {Parent}),
        (delete(Parent), {Parent}),
        (insert(plain_table), {plain_table}),
        (insert(plain_table).from_select(["id"], select(Parent.id)), {plain_table}),
        (insert(Parent).returning(Parent.id), {Parent}),
        (postgresql.insert(Parent).on_conflict_do_nothing(), {Parent}),
        (select(CTE), {plain_table}),
        (update(Parent).where(Parent.id.in_(select(CTE.c.id))).values(name="x"),
         {Parent, plain_table}),
        (update(Parent).where(Parent.id == Child.parent_id).values(name="x"), {Parent}),
        (delete(Animal), {Animal}),
        (update(ALIAS).values(name="x"), {Parent}),
        (insert(plain_table).prefix_with("OR REPLACE"), None),
        (insert(plain_table).prefix_with(" or ignore"), {plain_table}),
        (insert(plain_table).prefix_with("OR IGNORE").prefix_with("OR REPLACE"), None),
        (update(Parent).prefix_with("OR IGNORE").values(name="x"), None),
        (select(Parent), None),
        (select(literal(1)), None),
        (select(TEXT), None),
        (text("DELETE FROM parent"), None),
        (text("DELETE FROM parent RETURNING id").columns(Parent.id), None),
        (CreateTable(OTHER), None),
        (DropTable(OTHER), None),
        (DDL("DROP TABLE parent"), None),  # type: ignore[no-untyped-call]
    ],
    ids=lambda value: " ".join(str(value).split())[:40] if hasattr(value, "compile") else "",
)  # fmt: skip
def test_the_tables_that_are_written(statement: Any, tables: set[Any] | None) -> None:
    """The table of each kind of DML, also of one inside of a common table expression."""
    dml = private.dml(statement.compile(dialect=POSTGRESQL))
    wanted = None
    if tables is not None:
        wanted = {getattr(one, "__table__", one) for one in tables}
    assert (None if dml is None else dml.tables) == wanted


PARENT: Any = Parent.__table__
JOIN = PARENT.join(plain_table, Parent.id == plain_table.c.id)
BOTH = update(Parent).where(Parent.id == plain_table.c.id)


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        (BOTH.values({Parent.name: "x", plain_table.c.n: 1}), {Parent.__table__, plain_table}),
        (BOTH.values(name="x"), {Parent.__table__}),
        (update(JOIN).values({plain_table.c.n: 2}), {Parent.__table__, plain_table}),
        (delete(Parent).where(Parent.id == plain_table.c.id), {Parent.__table__}),
    ],
    ids=["both", "one", "join", "delete"],
)
def test_mysql_updates_several_tables(statement: Any, tables: set[Any]) -> None:
    """Each table whose columns are set is written; DELETE of SQLAlchemy's writes the first."""
    dml = private.dml(statement.compile(dialect=MYSQL))
    assert dml is not None
    assert dml.tables == tables


def test_orm_returning_statements_are_unwrapped() -> None:
    """A DML statement behind `from_statement` is seen, and one behind a lambda."""
    statement = select(Parent).from_statement(insert(Parent).returning(Parent))
    dml = private.dml(statement.compile(dialect=POSTGRESQL))
    assert dml is not None
    assert (set(dml.tables), dml.updates, dml.deletes) == ({PARENT}, False, False)
    made = lambda_stmt(lambda: update(Parent).values(name="x"))
    dml = private.dml(made.compile(dialect=POSTGRESQL))
    assert dml is not None
    assert (set(dml.tables), dml.updates, dml.deletes) == ({PARENT}, True, False)


UPSERT = postgresql.insert(Parent).values(id=1)


@pytest.mark.parametrize(
    ("statement", "updates", "deletes"),
    [
        (UPSERT, False, False),
        (UPSERT.on_conflict_do_nothing(), False, False),
        (UPSERT.on_conflict_do_update(index_elements=["id"], set_={"id": 2}), True, False),
        (mysql.insert(Parent).values(id=1).on_duplicate_key_update(id=2), True, False),
        (sqlite.insert(Parent).values(id=1).on_conflict_do_update(set_={"id": 2}), True, False),
        (update(Parent).values(name="x"), True, False),
        (delete(Parent), False, True),
    ],
    ids=["insert", "nothing", "update", "mysql", "sqlite", "plain update", "delete"],
)
def test_what_is_done_to_rows(statement: Any, updates: bool, deletes: bool) -> None:
    """An upsert updates; other statements do what they say."""
    dialects = {"mysql": MYSQL, "sqlite": SQLITE}
    dialect = type(statement).__module__.split(".")[2]
    dml = private.dml(statement.compile(dialect=dialects.get(dialect, POSTGRESQL)))
    assert dml is not None
    assert (dml.updates, dml.deletes) == (updates, deletes)


class Own(Executable, ClauseElement):
    """A statement of an application's own."""

    inherit_cache = False


@compiles(Own)
def _own(element: Any, compiler: Any, **options: Any) -> str:
    return "DELETE FROM parent"


@pytest.mark.parametrize(
    ("statement", "is_query"),
    [
        (select(Parent), True),
        (select(Parent.id).union(select(Child.id)), True),
        (select(select(Parent.id).cte("read")), True),
        (select(Parent).from_statement(select(Parent)), True),
        (lambda_stmt(lambda: select(Parent)), True),
        (select(CTE), False),
        (select(TEXT), False),
        (insert(Parent), False),
        (text("SELECT 1"), False),
        (text("SELECT 1 AS id").columns(Parent.id), False),
        (select(Parent).from_statement(text("SELECT 1 AS id")), False),
        (CreateTable(OTHER), False),
        (Own(), False),
    ],
    ids=lambda value: " ".join(str(value).split())[:40] if hasattr(value, "compile") else "",
)  # fmt: skip
def test_queries_are_told(statement: Any, is_query: bool) -> None:
    """Only what is made of SELECTs alone is a query, whatever it is wrapped in."""
    assert private.is_query(statement.compile(dialect=POSTGRESQL)) is is_query


@pytest.mark.parametrize(
    ("statement", "has"),
    [
        (select(Parent).where(Parent.name == "x"), False),
        (select(func.replace(Parent.name, "a", "b")), False),
        (select(Parent).where(text("1 = 1")), True),
        (select(literal_column("1")), True),
        (select(Parent).prefix_with("ALL"), True),
        (select(Parent).suffix_with("-- x"), True),
        (select(Parent).with_statement_hint("x"), True),
    ],
    ids=["plain", "function", "text", "literal", "prefix", "suffix", "hint"],
)
def test_pieces_of_text_are_told(statement: Any, has: bool) -> None:
    """Pieces of a query that an application wrote itself are found."""
    assert private.has_text(statement.compile(dialect=POSTGRESQL)) is has


@pytest.mark.parametrize(
    ("send", "kind"),
    [
        (lambda c: c.execute(insert(plain_table).values(id=1)), "isinsert"),
        (lambda c: c.execute(update(plain_table).values(n=1)), "isupdate"),
        (lambda c: c.execute(delete(plain_table)), "isdelete"),
        (lambda c: c.execute(CreateTable(OTHER)), "isddl"),
        (lambda c: c.execute(select(plain_table)), ""),
        (lambda c: c.execute(text("UPDATE plain SET n = 1")), ""),
        (lambda c: c.exec_driver_sql("UPDATE plain SET n = 1"), ""),
    ],
    ids=["insert", "update", "delete", "ddl", "select", "text", "driver"],
)
def test_kinds_of_statements(empty: Engine, send: Callable[[Connection], Any], kind: str) -> None:
    """An execution context says whether its compiled statement writes."""
    kinds: list[set[str]] = []

    def note(connection: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool) -> None:
        names = ("isinsert", "isupdate", "isdelete", "isddl")
        kinds.append({name for name in names if getattr(context, name)})
        assert hasattr(context, "compiled")
        assert context.execution_options is not None

    event.listen(empty, "before_cursor_execute", note)
    with empty.connect() as connection:
        send(connection)
    assert kinds == [{kind} - {""}]


def keys_of(engine: Engine, statement: Any, parameters: Any = None) -> Any:
    """What `by_key` tells of a statement that is sent, and the keys that it names."""
    found: list[Any] = []

    def note(cursor: Any, text: str, values: Any, context: Any) -> None:
        rows = private.by_key(context.compiled)
        if rows is not None:
            found.append((rows.table.name, rows.changed, private.named_keys(context, rows)))

    for name in ("do_execute", "do_executemany"):
        event.listen(engine.dialect, name, note)
    try:
        with Session(engine) as session:
            session.add_all([Child(id=1), Child(id=2)])
            session.flush()
            session.execute(statement, parameters)
    finally:
        for name in ("do_execute", "do_executemany"):
            event.remove(engine.dialect, name, note)
    return found


CHILD: Any = Child.__table__
SET = {"parent_id": None}


@pytest.mark.parametrize(
    ("statement", "parameters", "keys"),
    [
        (update(Child).where(Child.id == 1).values(SET), None, [(1,)]),
        (update(Child).where(Child.id.in_([1, 2])).values(SET), None, [(1,), (2,)]),
        (update(Child).where(Child.id.in_([])).values(SET), None, []),
        (update(Child).ordered_values((Child.parent_id, None)).where(Child.id == 1), None, [(1,)]),
        (update(Child), [{"id": 1, **SET}, {"id": 2, **SET}], [(1,), (2,)]),
        (
            update(CHILD).where(CHILD.c.id == bindparam("key")).values(SET),
            [{"key": 1}, {"key": 2}],
            [(1,), (2,)],
        ),
        (update(CHILD).where(CHILD.c.id == bindparam("key")), [{"key": 1, **SET}], [(1,)]),
    ],
    ids=["one", "list", "empty list", "ordered", "objects", "executemany", "by parameters"],
)
def test_rows_that_are_named_by_key(
    empty: Engine, statement: Any, parameters: Any, keys: list[Any]
) -> None:
    """What is set and which keys are named, from the private parts of compiled statements."""
    ((table, changed, named),) = keys_of(empty, statement, parameters)
    assert (table, named) == ("child", keys)
    assert "parent_id" in changed
    assert "id" not in changed


@pytest.mark.parametrize(
    "statement",
    [
        update(CHILD).where((CHILD.c.id == 1) | (CHILD.c.parent_id == 1)).values(SET),
        update(CHILD).where(CHILD.c.id != 1).values(SET),
        update(CHILD).where(CHILD.c.id + 1 == 2).values(SET),
        update(CHILD).where(CHILD.c.parent_id == 1).values(SET),
        update(CHILD).values(SET),
        delete(CHILD),
        insert(CHILD).values(id=9),
    ],
)
def test_rows_that_are_not_named_by_key(empty: Engine, statement: Any) -> None:
    """Anything but an equality or a list of the whole key says nothing."""
    assert keys_of(empty, statement) == []


def test_a_delete_by_key_sets_nothing(empty: Engine) -> None:
    """Its rows are named as those of an update."""
    statement = delete(CHILD).where(CHILD.c.id == 3)
    assert keys_of(empty, statement) == [("child", frozenset(), [(3,)])]


def test_setting_a_key_is_told(empty: Engine) -> None:
    """Also where the values come with the execution alone."""
    where = update(CHILD).where(CHILD.c.id == bindparam("key"))
    ((_, changed, _),) = keys_of(empty, where, [{"key": 1, "id": 5}])
    assert "id" in changed
