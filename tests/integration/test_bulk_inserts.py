"""Bulk INSERT: rows that are there stay cached, what is new is not taken for absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqlalchemy_rediscache import CacheMixin, from_cache
from tests.fix_caches import CacheMaker
from tests.integration.library import Author, Book, Tag, book_tag, populated
from tests.integration.looks import Looks
from tests.integration.stage import Stage
from tests.servers import Database

Write = Callable[[Session], Any]
AUTHORS: Any = Author.__table__
NEW = {"id": 5, "name": "eve", "email": "eve@x", "country": "it", "boss_id": 2}
MORE = {"id": 6, "name": "fay", "email": "fay@x", "country": "it", "boss_id": 2}


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """The library."""
    return populated(database, make_cache())


def look(session: Session) -> dict[str, Any]:
    """Rows that are there or not, lookups by a unique column, queries by a tag and of the table."""

    def names(*where: Any) -> list[str]:
        statement = select(Author.name).where(*where).order_by(Author.id)
        return list(session.scalars(statement.options(from_cache())))

    found: dict[str, Any] = {}
    for number in range(1, 8):
        author = session.get(Author, number)
        found[f"author {number}"] = author and author.name
    for email in ("ann@x", "eve@x", "dot@x", "gil@x"):
        author = session.scalars(select(Author).where(Author.email == email)).one_or_none()
        found[email] = author and author.name
    for boss in (1, 2):
        found[f"below {boss}"] = names(Author.boss_id == boss)
    found["below none"] = names(Author.boss_id.is_(None))
    count = select(func.count()).select_from(Author).options(from_cache())
    found["count"] = session.scalar(count)
    found["ann by key"] = names(Author.id == 1, Author.name != "x")
    for number in range(1, 4):
        found[f"books of {number}"] = [one.title for one in session.get_one(Author, number).books]
        found[f"tags of {number}"] = [one.name for one in session.get_one(Book, number).tags]
    return found


looks = Looks(look)
warmed, right = looks.warmed, looks.right


PRECISE: dict[str, tuple[Write, int]] = {
    "one": (lambda s: s.execute(insert(Author), [NEW]), 1),
    "many": (lambda s: s.execute(insert(Author), [NEW, MORE]), 2),
    "values": (lambda s: s.execute(insert(Author).values(NEW)), 1),
    "values of many": (lambda s: s.execute(insert(Author).values([NEW, MORE])), 2),
    "core": (lambda s: s.connection().execute(insert(AUTHORS), NEW), 1),
    "core, many": (lambda s: s.connection().execute(insert(AUTHORS), [NEW, MORE]), 2),
    "returning": (lambda s: s.scalars(insert(Author).returning(Author), [NEW, MORE]).all(), 2),
    "mappings": (lambda s: s.bulk_insert_mappings(Author, [NEW]), 1),
    "objects": (lambda s: s.bulk_save_objects([Author(**NEW), Author(**MORE)]), 2),
    "a tag that is not sent": (
        lambda s: s.execute(insert(Author), [{"id": 5, "name": "eve", "email": "eve@x"}]),
        1,
    ),
    "a tag that is None": (lambda s: s.execute(insert(Author), [NEW | {"boss_id": None}]), 1),
    "some values as parameters": (
        lambda s: s.connection().execute(
            insert(AUTHORS).values(boss_id=2), [{"id": 5, "name": "eve", "email": "eve@x"}]
        ),
        1,
    ),
}


@pytest.mark.parametrize("way", PRECISE)
def test_what_new_rows_concern_is_loaded_again(stage: Stage, way: str) -> None:
    """Absences of the keys, the new rows' tags, counts; all else comes from the cache."""
    warmed(stage)
    write, rows = PRECISE[way]
    with stage.Session.begin() as session:
        write(session)
    count = right(stage)
    # the rows, the lookup by the new e-mail, the authors below the boss, the count
    assert count.selects == rows + 3, count.statements
    warmed(stage)


def test_an_insert_of_nothing_known_keeps_the_rows(stage: Stage) -> None:
    """Where a tag is made by the database all queries by tags end, and the rows stay."""
    warmed(stage)
    with stage.Session.begin() as session:
        values = {**NEW, "boss_id": select(func.min(AUTHORS.c.id)).scalar_subquery()}
        session.connection().execute(insert(AUTHORS).values(values))
    count = right(stage)
    # the row; four lookups by e-mail, three queries by the boss; the count, the author by key
    assert count.selects == 10, count.statements


def test_rows_between_two_classes(stage: Stage) -> None:
    """A bulk insert into a many-to-many table ends the collections of its rows."""
    warmed(stage)
    with stage.Session.begin() as session:
        session.execute(
            insert(book_tag), [{"book_id": 2, "tag_id": 3}, {"book_id": 4, "tag_id": 1}]
        )
    count = right(stage)
    assert count.selects == 1, count.statements


def _nothing_done(session: Session) -> Any:
    postgres = session.get_bind().dialect.name == "postgresql"
    return (postgresql if postgres else sqlite).insert(Author).on_conflict_do_nothing()


KEYLESS: Any = {key: value for key, value in NEW.items() if key != "id"}
KEYLESS_TOO: Any = {key: value for key, value in MORE.items() if key != "id"}

UNNAMED: dict[str, tuple[Write, int]] = {
    "one": (lambda s: s.execute(insert(Author), [KEYLESS]), 2),
    "many": (lambda s: s.execute(insert(Author), [KEYLESS, KEYLESS_TOO]), 2),
    "values": (lambda s: s.execute(insert(Author).values(KEYLESS)), 2),
    "values of many": (lambda s: s.execute(insert(Author).values([KEYLESS, KEYLESS_TOO])), 2),
    "core": (lambda s: s.connection().execute(insert(AUTHORS), KEYLESS), 2),
    "core, many": (lambda s: s.connection().execute(insert(AUTHORS), [KEYLESS, KEYLESS_TOO]), 2),
    "returning": (lambda s: s.scalars(insert(Author).returning(Author), [KEYLESS]).all(), 2),
    "mappings": (lambda s: s.bulk_insert_mappings(Author, [KEYLESS]), 2),
    "objects": (lambda s: s.bulk_save_objects([Author(**KEYLESS), Author(**KEYLESS_TOO)]), 2),
    "key by an expression": (
        lambda s: s.execute(insert(Author).values(id=literal(2) + 3, **KEYLESS)), 2,
    ),
    "key by an expression, and one that is told": (
        lambda s: s.connection().execute(
            insert(AUTHORS).values([NEW | {"id": literal(2) + 3}, MORE])), 2,
    ),
    "unless it is there": (lambda s: s.execute(_nothing_done(s), [KEYLESS]), 2),
    "of a select": (
        lambda s: s.execute(
            insert(Author).from_select(["id", "name"], select(Author.id + 4, Author.name))
        ),
        7,  # all lookups by e-mail, all queries by the boss
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", UNNAMED)
def test_rows_survive_new_ones_whose_keys_are_not_known(stage: Stage, way: str) -> None:
    """All absences end, the new rows' tags, queries by keys and counts; all else stays."""
    if not stage.is_sqlite:  # the next keys are those that are asked for
        stage.behind("SELECT setval('author_id_seq', 4)")
    warmed(stage)
    write, queries = UNNAMED[way]
    with stage.Session.begin() as session:
        write(session)
    count = right(stage)
    # three absences; the lookup by the new e-mail, the authors below the boss; the count; an author
    # by key and condition
    assert count.selects == 3 + queries + 2, count.statements
    warmed(stage)


def test_the_writer_sees_its_own_new_rows(stage: Stage) -> None:
    """A key whose absence is remembered is looked up in the database by who may have made it."""
    if not stage.is_sqlite:
        stage.behind("SELECT setval('author_id_seq', 4)")
    warmed(stage)
    with stage.Session.begin() as session:
        session.execute(insert(Author), [KEYLESS])
        assert session.get_one(Author, 5).name == "eve"
        assert session.scalars(select(Author).where(Author.id.in_([5]))).one().name == "eve"
    right(stage)


def test_each_tenant_has_absences_of_its_own(database: Database, make_cache: CacheMaker) -> None:
    """A write of one tenant's session ends that tenant's absences; one without a session all."""
    stage = populated(database, make_cache(namespace=lambda session: session.info.get("tenant")))
    if not stage.is_sqlite:
        stage.behind("SELECT setval('author_id_seq', 4)")

    def absent(tenant: str) -> int:
        with stage.counting() as count, stage.Session(info={"tenant": tenant}) as session:
            assert session.get(Author, 99) is None
        return count.selects

    for tenant in ("a", "b"):
        for _ in range(3):
            absent(tenant)
    with stage.Session.begin() as session:
        session.info["tenant"] = "a"
        session.execute(insert(Author), [KEYLESS])
    assert (absent("a"), absent("b")) == (1, 0)
    for _ in range(3):
        absent("a")
    with stage.engine.begin() as connection:
        connection.execute(insert(AUTHORS), KEYLESS_TOO)
    assert (absent("a"), absent("b")) == (1, 1)


def _ignored(session: Session) -> Any:
    return insert(Author).prefix_with("OR IGNORE", dialect="sqlite")


@pytest.mark.parametrize("made", [_ignored, _nothing_done])
@pytest.mark.parametrize("there", [False, True])
def test_rows_that_may_be_there(stage: Stage, made: Callable[[Session], Any], there: bool) -> None:
    """Those that are stay as they are: their tags, and the entries with these, are not ended."""
    if made is _ignored and not stage.is_sqlite:
        pytest.skip("SQLite's words")
    old = {"id": 3, "name": "other", "email": "cid@x", "country": "it", "boss_id": 2}
    warmed(stage)
    with stage.Session.begin() as session:
        session.execute(made(session), [NEW, old] if there else [NEW])
    count = right(stage)
    # the row, the lookup by the new e-mail, the authors below the boss, the count; the old row
    assert count.selects == 4 + there, count.statements
    warmed(stage)


FALLBACKS: dict[str, Write] = {
    "prefix": lambda s: s.execute(
        insert(Author).prefix_with("OR REPLACE", dialect="sqlite").values(NEW | {"email": "dot@x"})
    ),
    "upsert": lambda s: s.execute(_upsert(s, NEW | {"email": "ann@x"})),
}


def _upsert(session: Session, values: dict[str, Any]) -> Any:
    postgres = session.get_bind().dialect.name == "postgresql"
    made: Any = (postgresql if postgres else sqlite).insert(Author).values(values)
    return made.on_conflict_do_update(index_elements=["email"], set_={"name": "other"})


@pytest.mark.parametrize("way", FALLBACKS)
def test_what_is_not_sure_empties_the_region(stage: Stage, way: str) -> None:
    """Every row and query is as the database has it."""
    if way == "prefix" and not stage.is_sqlite:
        pytest.skip("SQLite's words")
    warmed(stage)
    with stage.Session.begin() as session:
        FALLBACKS[way](session)
    assert right(stage).selects > 10


def test_a_trigger_may_write_more(stage: Stage) -> None:
    """Where the table has a trigger, rows that are there may have been written."""
    if not stage.is_sqlite:
        pytest.skip("one database is enough")
    warmed(stage)
    stage.behind(
        "CREATE TRIGGER rename AFTER INSERT ON author "
        "BEGIN UPDATE author SET name = 'other' WHERE id = 1; END"
    )
    with stage.Session.begin() as session:
        session.execute(insert(Author), [NEW])
    right(stage)


def test_a_rollback_changes_nothing(stage: Stage) -> None:
    """Rows that are not there after all stay absent."""
    warmed(stage)
    with stage.Session() as session:
        session.execute(insert(Author), [NEW])
        session.rollback()
    right(stage)


class Base(DeclarativeBase):
    """Of a table that the metadata does not tell all of."""


class Slot(CacheMixin, Base):
    """Its place is one row's alone: a new one throws out whoever has it."""

    __tablename__ = "slot"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int]
    kind: Mapped[int | None] = mapped_column(index=True)


TABLE = "CREATE TABLE slot (id INTEGER PRIMARY KEY, place INTEGER NOT NULL{}, kind INTEGER{})"


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("by_flush", [False, True])
def test_a_row_that_is_in_the_way_is_deleted(
    database: Database, make_cache: CacheMaker, by_flush: bool
) -> None:
    """SQLite's ON CONFLICT REPLACE of a constraint is seen, though the model does not tell."""
    with database.engine().begin() as connection:
        connection.exec_driver_sql(TABLE.format(" UNIQUE ON CONFLICT REPLACE", ""))
    stage = Stage(database, make_cache(), Base.metadata)
    for number in (1, 2):
        with stage.Session.begin() as session:
            if by_flush:
                session.add(Slot(id=number, place=1))
            else:
                session.execute(insert(Slot), [{"id": number, "place": 1}])
        stage.warm(Slot, number, number)
    with stage.Session() as session:
        assert session.get(Slot, 1) is None
        assert session.get_one(Slot, 2).place == 1


@pytest.mark.every_database
@pytest.mark.parametrize("server", ["7", "NULL"])
def test_a_default_that_the_model_does_not_tell(
    database: Database, make_cache: CacheMaker, server: str
) -> None:
    """What a new row gets that the statement does not say, the catalog may know."""
    with database.engine().begin() as connection:
        connection.exec_driver_sql(TABLE.format("", f" DEFAULT {server}"))
    stage = Stage(database, make_cache(), Base.metadata)

    def kinds(session: Session) -> list[Any]:
        by = select(Slot.id).order_by(Slot.id).options(from_cache())
        wheres = (Slot.kind == 7, Slot.kind.is_(None))
        return [session.scalars(by.where(where)).all() for where in wheres]

    for number in range(1, 6):
        with stage.Session.begin() as session:
            session.execute(insert(Slot), [{"id": number, "place": number}])
        with stage.Session() as session, stage.Plain() as plain:
            assert kinds(session) == kinds(plain)


def test_more_rows_than_are_worth_it(stage: Stage) -> None:
    """An insert of thousands of rows ends all absences and queries of the table."""
    warmed(stage)
    many = [{"id": number, "name": "many"} for number in range(5, 1200)]
    with stage.Session.begin() as session:
        session.execute(insert(Author), many)
    count = right(stage)
    # three absences, four lookups by e-mail, three queries by the boss, a count, one by key
    assert count.selects == 12, count.statements
    with stage.Session() as session:
        assert session.get_one(Author, 1199).name == "many"
    assert session.get(Tag, 1) is not None
