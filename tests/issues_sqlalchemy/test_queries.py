"""Cached queries of unusual make: SQLAlchemy's own tests of `Query` and `select()` found these."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    ForeignKey,
    bindparam,
    event,
    exc,
    insert,
    inspect,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    defer,
    joinedload,
    lazyload,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
    subqueryload,
)

from sqlalchemy_rediscache import CacheMixin, RedisCache, from_cache, refresh_cache, skip_cache
from sqlalchemy_rediscache.private import SQLALCHEMY_2_1
from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker


class Base(DeclarativeBase):
    """The models of this file."""


class Writer(CacheMixin, Base):
    """Has books."""

    __tablename__ = "writer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(back_populates="writer")


class Book(CacheMixin, Base):
    """Belongs to a writer."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    writer_id: Mapped[int] = mapped_column(ForeignKey("writer.id"))
    writer: Mapped[Writer] = relationship(back_populates="books")


class Chapter(CacheMixin, Base):
    """Is loaded with its pages, and not at all without any."""

    __tablename__ = "chapter"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[list[Page]] = relationship(lazy="joined", innerjoin=True)


class Page(CacheMixin, Base):
    """Is loaded with its chapter."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    chapter_id: Mapped[int] = mapped_column(ForeignKey("chapter.id"))


class Edge(CacheMixin, Base):
    """Has a primary key that may be NULL in part, which SQLite allows."""

    __tablename__ = "edge"
    start: Mapped[int] = mapped_column(primary_key=True)
    end: Mapped[int | None] = mapped_column(primary_key=True, nullable=True)


@pytest.fixture
def cache(engine: Engine, make_cache: CacheMaker) -> RedisCache:
    """A cache; the database has two writers, the first with a book, and a chapter."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([Writer(id=1, name="ann", books=[Book(id=1)]), Writer(id=2, name="bob")])
        session.add(Chapter(id=1))
    return make_cache()


@pytest.fixture
def factory(cache: RedisCache, engine: Engine) -> sessionmaker[Session]:
    """Makes sessions that are served by the cache."""
    made: sessionmaker[Session] = cache.enable(sessionmaker(engine))
    return made


def test_values_given_by_params_tell_queries_apart(factory: sessionmaker[Session]) -> None:
    """What `params()` of a statement or of its subquery says is a value like others."""
    writer = select(Writer.id).where(Writer.name == bindparam("who", "nobody"))
    named = select(Writer.name).where(Writer.name == bindparam("who", "nobody"))
    for who, id_ in ("ann", 1), ("bob", 2), ("ann", 1):
        with factory() as session:
            statement = named.params(who=who).options(from_cache())
            assert session.scalars(statement).all() == [who]
            inner = writer.params(who=who).scalar_subquery()
            outer = select(Writer.id).where(Writer.id.in_(inner)).options(from_cache())
            assert session.scalars(outer).all() == [id_]


def test_a_callable_parameter_is_asked_each_time(
    cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """An application's callable may answer otherwise: a query with one is not cached."""
    values = itertools.cycle(["ann", "bob"])
    condition = Writer.name == bindparam("who", callable_=lambda: next(values))
    statement = select(Writer.name).where(condition).options(from_cache())
    found: list[str] = []
    for _ in range(4):
        with factory() as session:
            found += session.scalars(statement).all()
    assert found == ["ann", "bob", "ann", "bob"]
    assert cache.stats().query_fills == 0


def test_a_missing_value_is_sqlalchemys_to_tell(factory: sessionmaker[Session]) -> None:
    """The error is the one that the statement gives without the cache."""
    statement = select(Writer).where(Writer.name == bindparam("who")).options(from_cache())
    with factory() as session, pytest.raises(exc.StatementError, match="'who'"):
        session.scalars(statement)
    parent = select(Book).where(Book.writer == Writer()).options(from_cache())
    with factory() as session, pytest.raises(exc.StatementError, match="Can't resolve value"):
        session.scalars(parent)


@pytest.mark.parametrize("by_key", [True, False])
def test_only_return_tuples(factory: sessionmaker[Session], by_key: bool) -> None:
    """A `Query` that wants rows gets rows."""
    for _ in range(2):
        with factory() as session:
            query = session.query(Writer)
            query = query.filter_by(id=1) if by_key else query.filter_by(name="ann")
            query = query if by_key else query.options(from_cache())
            (row,) = query.only_return_tuples(True).all()
            assert tuple(row) == (session.get(Writer, 1),)
            assert row._mapping[Writer] is row[0]


@pytest.mark.skipif(not SQLALCHEMY_2_1, reason="SQLAlchemy 2.0 does not refuse it")
def test_unique_rows_in_parts(factory: sessionmaker[Session]) -> None:
    """What can't be made unique in parts is refused, also where nothing is fetched in parts."""
    statement = select(Writer).options(from_cache())
    for _ in range(2):
        with factory() as session:
            with pytest.raises(exc.InvalidRequestError, match="yield_per"):
                next(session.execute(statement).unique().yield_per(1))
            with pytest.raises(exc.InvalidRequestError, match="yield_per"):
                next(session.execute(statement).yield_per(1).unique())


@pytest.mark.parametrize("end", ["close", "expunge_all"])
@pytest.mark.parametrize("by_key", [True, False])
def test_a_result_of_a_session_that_was_closed(
    factory: sessionmaker[Session], by_key: bool, end: str
) -> None:
    """Its objects can't be had any more."""
    statement = select(Writer).where(Writer.id == 1 if by_key else Writer.name == "ann")
    for _ in range(2):
        with factory() as session:
            result = session.execute(statement.options(from_cache()))
            getattr(session, end)()
            with pytest.raises(exc.InvalidRequestError, match="no longer valid"):
                result.all()


@pytest.mark.parametrize("end", ["close", "expunge_all"])
@pytest.mark.parametrize("by_key", [True, False])
def test_a_buffered_result_of_a_session_that_was_closed(
    cache: RedisCache, factory: sessionmaker[Session], by_key: bool, end: str
) -> None:
    """Its objects can be had, as they can after `await session.execute()`."""
    by_name = select(Writer).where(Writer.name == "ann").options(from_cache())
    statement = select(Writer).where(Writer.id == 1) if by_key else by_name
    options = {"prebuffer_rows": True}
    for _ in range(3):
        with factory() as session:
            result = session.execute(statement, execution_options=options)
            getattr(session, end)()
            (writer,) = result.scalars().all()
            assert writer.name == "ann"
            assert inspect(writer).detached
    assert cache.stats().hits + cache.stats().query_hits > 0


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("by_key", [True, False])
def test_a_listener_that_changes_how_to_load(
    factory: sessionmaker[Session], by_key: bool, cached: bool
) -> None:
    """Execution options that a listener sets have their effect."""
    statement = select(Writer).where(Writer.id == 1 if by_key else Writer.name == "ann")
    statement = statement.options(from_cache()) if cached else statement
    with factory() as session:
        assert session.scalars(statement).one().name == "ann"
    with factory(autoflush=False) as session:
        writer = session.get_one(Writer, 1)
        writer.name = "changed"

        def reload(state: Any) -> None:
            state.update_execution_options(populate_existing=True)

        event.listen(session, "do_orm_execute", reload)
        assert session.scalars(statement).one() is writer
        assert writer.name == "ann"
        event.remove(session, "do_orm_execute", reload)
    with factory() as session:
        session.add(Writer(id=3, name="ann"))

        def no_flush(state: Any) -> None:
            state.update_execution_options(autoflush=False)

        event.listen(session, "do_orm_execute", no_flush)
        assert len(session.scalars(statement).all()) == 1
        assert session.new
        event.remove(session, "do_orm_execute", no_flush)


def test_a_listener_that_gives_each_tenant_its_schema(
    cache: RedisCache, factory: sessionmaker[Session], engine: Engine, tmp_path: Path
) -> None:
    """A schema map that a listener sets is no other statement's: the cache stays out."""

    def attach(connection: Any, record: Any) -> None:
        connection.execute(f"ATTACH DATABASE '{tmp_path / 'other.db'}' AS other")

    engine.dispose()
    event.listen(engine, "connect", attach)
    other = engine.execution_options(schema_translate_map={None: "other"})
    Base.metadata.create_all(other)
    with Session(other) as session, session.begin():
        session.add(Writer(id=1, name="ann of the other", books=[Book(id=7)]))

    def of_tenant(state: Any) -> None:
        if state.session.info.get("tenant"):
            state.update_execution_options(schema_translate_map={None: "other"})

    event.listen(factory, "do_orm_execute", of_tenant)
    for tenant in (False, True, False, True):
        with factory(info={"tenant": tenant}) as session:
            writer = session.scalars(select(Writer).where(Writer.id == 1)).one()
            assert writer.name == ("ann of the other" if tenant else "ann")
            assert [book.id for book in writer.books] == ([7] if tenant else [1])
            asked = session.scalars(select(Writer.name).options(from_cache())).all()
            assert asked == (["ann of the other"] if tenant else ["ann", "bob"])
            assert session.get_one(Writer, 1) is writer
    assert cache.stats().query_hits > 0


@pytest.mark.parametrize("option", ["skip_cache", "refresh_cache"])
def test_a_listener_that_asks_for_the_database(
    factory: sessionmaker[Session], engine: Engine, option: str
) -> None:
    """The cache's own execution options may come from a listener."""
    by_key = select(Writer).where(Writer.id == 1)
    query = select(Writer.name).where(Writer.id < 2).options(from_cache())
    for change in (False, True):
        with engine.connect() as connection:
            if change:  # behind the cache's back
                driver: Any = connection.connection.driver_connection
                driver.execute("UPDATE writer SET name = 'new' WHERE id = 1")
                driver.commit()
        with factory() as session:
            if change:
                event.listen(
                    session,
                    "do_orm_execute",
                    lambda state: state.update_execution_options(**{option: True}),
                )
            assert session.scalars(by_key).one().name == ("new" if change else "ann")
            assert session.scalars(query).all() == ["new" if change else "ann"]
    with factory() as session:
        expected = "new" if option == "refresh_cache" else "ann"
        assert session.scalars(by_key).one().name == expected
        assert session.scalars(query).all() == [expected]


def test_a_column_that_is_selected_twice(
    factory: sessionmaker[Session], caplog: pytest.LogCaptureFixture
) -> None:
    """The second has nothing but a name: such a query is not cached, and that is no fault."""
    statement = select(Writer.id, Writer.name, Writer.id).order_by(Writer.id).options(from_cache())
    with caplog.at_level(logging.WARNING, "sqlalchemy_rediscache"):
        for _ in range(2):
            with factory() as session:
                found = [tuple(row) for row in session.execute(statement)]
                assert found == [(1, "ann", 1), (2, "bob", 2)]
    assert not caplog.records


STAR: Any = select(literal_column("*")).select_from(Writer).join(Book).where(Writer.id == 1)


@pytest.mark.parametrize(
    "statement",
    [STAR, select(STAR.subquery()), union_all(STAR, STAR).limit(1)],
    ids=["alone", "of a subquery", "of a union"],
)
def test_a_star_is_all_columns(
    cache: RedisCache, factory: sessionmaker[Session], statement: Any
) -> None:
    """What stands for several columns is one to the compiler: such a query is not cached."""
    for _ in range(2):
        with factory() as session:
            rows = session.execute(statement.options(from_cache())).all()
            assert [tuple(row) for row in rows] == [(1, "ann", 1, 1)]
    assert cache.stats().query_fills == 0
    assert cache.explain(statement.options(from_cache())).reason == "text"


def test_a_star_by_key_is_explained(cache: RedisCache, factory: sessionmaker[Session]) -> None:
    """A lookup by primary key of what the cache does not know is none from the row cache."""
    with factory() as session:
        session.get(Writer, 1)
    statement: Any = select(literal_column("*")).select_from(Writer).where(Writer.id == 1)
    assert cache.explain(statement.options(from_cache())).reason == "text"
    assert cache.explain(select(Writer).where(Writer.id == 1)).cached


def test_a_row_that_an_inner_join_drops_is_not_absent(factory: sessionmaker[Session]) -> None:
    """A statement that loads more than the row does not tell that there is none."""
    eager = select(Writer).options(joinedload(Writer.books, innerjoin=True), refresh_cache())
    with factory() as session:
        assert session.scalars(eager.where(Writer.id == 2)).unique().all() == []
        several = session.scalars(eager.where(Writer.id.in_([1, 2]))).unique().all()
        assert [writer.id for writer in several] == [1]
    with factory() as session:
        assert session.get_one(Writer, 2).name == "bob"
        assert session.get_one(Writer, 1).name == "ann"


def test_the_judge_sees_rows_that_an_inner_join_drops(
    cache: RedisCache, factory: sessionmaker[Session], engine: Engine
) -> None:
    """`audit()` reads the tables without what is loaded with them."""
    with factory() as session:
        statement = select(Chapter).options(lazyload(Chapter.pages)).where(Chapter.id == 1)
        assert session.scalars(statement).one().id == 1
    assert cache.stats().fills == 1
    assert audit(cache, engine) == []


def test_a_column_that_the_statement_lacks(factory: sessionmaker[Session]) -> None:
    """The error is SQLAlchemy's, with the rows from the cache as with those of a cursor."""
    table: Any = Writer.__table__
    statement = select(Writer.id, Writer.name).from_statement(select(table.c.id))
    for _ in range(2):
        with factory() as session, pytest.raises(exc.NoSuchColumnError, match=r"writer\.name"):
            session.execute(statement.options(from_cache())).all()


@pytest.mark.filterwarnings("ignore:The Query.instances|Using the Query.instances")
def test_objects_of_a_core_result(factory: sessionmaker[Session]) -> None:
    """`Query.instances()` takes the rows of a table from the cache as it does those of a cursor."""
    table: Any = Writer.__table__
    statement = select(table).order_by(table.c.id).options(from_cache())
    for _ in range(2):
        with factory() as session:
            result: Any = session.execute(statement)
            names = [writer.name for writer in session.query(Writer).instances(result)]
            assert names == ["ann", "bob"]


def test_a_primary_key_that_is_null_in_part(factory: sessionmaker[Session]) -> None:
    """Such a row is in the result like others."""
    statement = select(Edge).where(Edge.start == 1).options(from_cache())
    with factory() as session, session.begin():
        session.execute(insert(Edge), [{"start": 1, "end": None}, {"start": 1, "end": 2}])
    for _ in range(3):
        with factory() as session:
            found = {(edge.start, edge.end) for edge in session.scalars(statement)}
            assert found == {(1, None), (1, 2)}
            assert (
                len(session.execute(select(Edge, Edge.start + 1).options(from_cache())).all()) == 2
            )


def test_rows_without_the_only_entity(factory: sessionmaker[Session]) -> None:
    """An outer join gives None where there is no such row."""
    joined: Any = select(Book).select_from(Writer).outerjoin(Writer.books).order_by(Writer.id)
    for _ in range(3):
        with factory() as session:
            found = session.scalars(joined.options(from_cache())).all()
            assert [None if book is None else book.id for book in found] == [1, None]


def test_objects_of_a_cached_result_remember_its_options(
    factory: sessionmaker[Session],
) -> None:
    """They hand them on to what they load, as those that the database gave do."""
    statement = select(Book).where(Book.writer_id == 1).options(from_cache())
    for _ in range(2):
        with factory() as session:
            book = session.scalars(statement).one()
            assert inspect(book).load_options == statement._with_options
            writer = book.writer
            assert inspect(writer).load_options == statement._with_options
            relation = inspect(Book).relationships["writer"]
            path = inspect(book).load_path[relation] + inspect(Writer)._path_registry
            assert inspect(writer).load_path == path


def test_objects_of_a_cached_result_are_refreshed_from_the_cache(
    factory: sessionmaker[Session], cache: RedisCache
) -> None:
    """That they remember an option of the cache does not keep them from it."""
    statement = select(Writer).where(Writer.name == "ann").options(from_cache())
    with factory() as session:
        session.scalars(statement).one()
    with factory() as session:
        writer = session.scalars(statement).one()
        session.commit()
        before = cache.stats()
        assert writer.name == "ann"
        assert cache.stats().hits == before.hits + 1
        assert inspect(writer).load_options == statement._with_options


@pytest.mark.parametrize("load", [lazyload, selectinload, subqueryload])
def test_options_go_on_to_related_objects_after_the_statement_ran_without_them(
    factory: sessionmaker[Session], cache: RedisCache, load: Any
) -> None:
    """SQLAlchemy's cache of statements takes options of its own for the whole of them."""
    statement = select(Writer).options(load(Writer.books)).order_by(Writer.id)
    for _ in range(2):
        with factory() as session:
            assert [len(writer.books) for writer in session.scalars(statement)] == [1, 0]
    for option in skip_cache(), from_cache():
        for options in ([option], [option, defer(Writer.name)], [defer(Writer.name), option]):
            before = cache.stats()
            with factory() as session:
                found = session.scalars(statement.options(*options)).unique().all()
                assert [len(writer.books) for writer in found] == [1, 0]
                given = inspect(found[0]).load_options
                assert [one for one in given if one is option] == [option]
                assert len(given) == len(options) + 1
            assert option.mode == "cache" or cache.stats().query_hits == before.query_hits
