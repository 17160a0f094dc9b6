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
    create_engine,
    delete,
    event,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable, DropTable

from sqlalchemy_rediscache import private
from sqlalchemy_rediscache.private import sent
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
        (CreateTable(OTHER), {OTHER}),
        (DropTable(OTHER), {OTHER}),
        (select(Parent), None),
        (select(literal(1)), None),
        (DDL("DROP TABLE parent"), None),  # type: ignore[no-untyped-call]
    ],
    ids=lambda value: " ".join(str(value).split())[:40] if hasattr(value, "compile") else "",
)  # fmt: skip
def test_the_tables_that_are_written(statement: Any, tables: set[Any] | None) -> None:
    """The table of each kind of DML and DDL, also of one inside of a common table expression."""
    compiled = statement.compile(dialect=POSTGRESQL)
    wanted = None
    if tables is not None:
        wanted = {getattr(one, "__table__", one) for one in tables}
    assert private.written_tables(compiled) == wanted


def test_orm_returning_statements_are_unwrapped() -> None:
    """A DML statement behind `from_statement` is seen."""
    statement = select(Parent).from_statement(insert(Parent).returning(Parent))
    compiled = statement.compile(dialect=POSTGRESQL)
    assert private.written_tables(compiled) == {Parent.__table__}


@pytest.mark.parametrize(
    ("statement", "writes"),
    [
        (select(CTE), True),
        (select(select(Parent.id).cte("read")), False),
        (select(Parent), False),
    ],
    ids=["insert", "select", "none"],
)
def test_common_table_expressions_that_write(statement: Any, writes: bool) -> None:
    """A SELECT whose CTE writes is told from others."""
    assert sent._has_writing_cte(statement.compile(dialect=POSTGRESQL)) is writes


@pytest.mark.parametrize(
    ("statement", "is_text"),
    [(text("SELECT 1"), True), (select(Parent), False), (insert(Parent), False),
     (text("SELECT 1 AS id").columns(Parent.id), False), (None, False)],
    ids=["text", "select", "insert", "text with columns", "driver SQL"],
)  # fmt: skip
def test_text_is_told(statement: Any, is_text: bool) -> None:
    """`text()` compiles to something that no table can be told of."""
    compiled = None if statement is None else statement.compile()
    assert private.is_text(compiled) is is_text


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


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        (lambda: select(Parent), True),
        (lambda: insert(Parent), False),
        (lambda: update(Parent).values(name="x"), False),
        (lambda: delete(Parent), False),
        (lambda: text("SELECT 1"), False),
        (lambda: CreateTable(Parent.__table__), False),  # type: ignore[arg-type]
        (lambda: select(insert(Parent).returning(Parent.id).cte()), False),
    ],
)
def test_what_only_reads(empty: Engine, statement: Callable[[], Any], reads: bool) -> None:
    """Only a SELECT without a writing CTE is known to read; the answer is remembered."""
    compiled = statement().compile(empty)
    assert private.only_reads(compiled) is reads
    assert private.only_reads(compiled) is reads
