"""What SQLAlchemy's statements are made of: which are plain key lookups, and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    Integer,
    Select,
    bindparam,
    event,
    func,
    inspect,
    select,
    tablesample,
    text,
    union,
)
from sqlalchemy.orm import (
    Bundle,
    Session,
    aliased,
    defer,
    joinedload,
    load_only,
    selectinload,
    subqueryload,
    undefer,
    with_loader_criteria,
)

from sqlalchemy_rediscache import private, skip_cache
from tests.private.conftest import Watch
from tests.private.models import Animal, Child, Dog, Kennel, Pair, Parent, plain_table

PLAIN = select(Child).where(Child.id == 1)
OTHER = aliased(Child)


def names(stmt: Any) -> dict[str, Any]:
    """Parts of a statement by name, for messages."""
    return {name: value for name, value in vars(stmt).items() if value}


@pytest.mark.parametrize(
    "statement",
    [
        PLAIN,
        select(Child),
        select(Child).where(Child.id.in_([1, 2])),
        select(Pair).where(Pair.left == 1, Pair.right == "r"),
        select(Child.id).where(Child.id == 1),
        PLAIN.options(load_only(Child.name), joinedload(Child.parent), skip_cache()),
        PLAIN.execution_options(populate_existing=True),
        PLAIN.order_by(Child.id).order_by(None),
        select(Child).select_from(Child).where(Child.id == 1),
        PLAIN.set_label_style(PLAIN.get_label_style()),
    ],
    ids=lambda statement: " ".join(str(statement).split())[-60:],
)
def test_plain_selects_are_recognised(statement: Any) -> None:
    """A SELECT of columns with a WHERE is plain, with options of any kind."""
    assert private.plain_select(statement), names(statement)


NOT_PLAIN: dict[str, Callable[[Select[Any]], Any]] = {
    "limit": lambda stmt: stmt.limit(1),
    "offset": lambda stmt: stmt.offset(1),
    "slice": lambda stmt: stmt.slice(0, 1),
    "fetch": lambda stmt: stmt.fetch(1),
    "distinct": lambda stmt: stmt.distinct(),
    "order by": lambda stmt: stmt.order_by(Child.id),
    "group by": lambda stmt: stmt.group_by(Child.id),
    "having": lambda stmt: stmt.having(func.count() > 1),
    "join": lambda stmt: stmt.join(Child.parent),
    "outer join": lambda stmt: stmt.outerjoin(Child.parent),
    "join from": lambda stmt: stmt.join_from(Child, Parent),
    "select from another": lambda stmt: stmt.select_from(Parent),
    "select from an alias": lambda stmt: stmt.select_from(OTHER),
    "select from two": lambda stmt: stmt.select_from(Child, Parent),
    "for update": lambda stmt: stmt.with_for_update(),
    "for share": lambda stmt: stmt.with_for_update(read=True),
    "prefix": lambda stmt: stmt.prefix_with("SQL_NO_CACHE"),
    "suffix": lambda stmt: stmt.suffix_with("OPTION (RECOMPILE)"),
    "hint": lambda stmt: stmt.with_hint(Child, "USE INDEX (x)"),
    "statement hint": lambda stmt: stmt.with_statement_hint("x"),
    "correlate": lambda stmt: stmt.correlate(Parent),
    "correlate nothing": lambda stmt: stmt.correlate(None),
    "correlate except": lambda stmt: stmt.correlate_except(Parent),
    "common table expression": lambda stmt: stmt.add_cte(select(Parent.id).cte("other")),
    "dialect's own option": lambda stmt: stmt.ext(_postgresql_distinct()),
    "union": lambda stmt: union(stmt, stmt),
    "subquery": lambda stmt: stmt.subquery(),
    "from statement": lambda stmt: select(Child).from_statement(stmt),
    "text": lambda stmt: text("SELECT 1"),
    "insert": lambda stmt: plain_table.insert(),
    "nothing": lambda stmt: None,
}


def _postgresql_distinct() -> Any:
    return pytest.importorskip("sqlalchemy.dialects.postgresql").distinct_on(Child.id)


@pytest.mark.parametrize("construct", NOT_PLAIN)
def test_everything_else_is_not_plain(construct: str) -> None:
    """Each construct that could change which rows a SELECT returns makes it not plain."""
    if construct == "dialect's own option" and not private.SQLALCHEMY_2_1:
        pytest.skip("SQLAlchemy 2.0 has no such thing")
    statement = NOT_PLAIN[construct](PLAIN)
    assert not private.plain_select(statement)
    assert private.plain_select(PLAIN)


def test_a_table_sample_is_not_its_table() -> None:
    """What is selected from a sample of a table belongs to no mapper."""
    sample = tablesample(Child.__table__, func.bernoulli(1))
    sampled = aliased(Child, sample)
    assert private.subject(select(sampled).where(sampled.id == 1)) is None


def test_a_statement_that_ran_is_still_plain(session: Session) -> None:
    """What SQLAlchemy keeps with a statement when it runs is not taken for a part of it."""
    statement = select(Child).where(Child.id == 1)
    for _ in range(2):
        session.scalars(statement).all()
        assert private.plain_select(statement)
    limited = statement.limit(1)
    session.scalars(limited).all()
    assert not private.plain_select(limited)


def test_a_limit_may_be_allowed() -> None:
    """One that leaves a row at least: the LIMIT of `Query.first()`."""
    for limit, expected in ((1, True), (7, True), (0, False), (func.abs(1), False)):
        statement = PLAIN.limit(limit)
        assert private.is_limited(statement)
        assert private.plain_select(statement, limited=True) is expected
        assert not private.plain_select(statement)
    assert not private.is_limited(PLAIN)
    assert private.plain_select(PLAIN, limited=True)
    assert not private.plain_select(PLAIN.limit(1).offset(1), limited=True)


def test_sqlalchemys_own_key_lookups_are_plain(session: Session, watch: Watch) -> None:
    """`get`, lazy and selectin many-to-one and refreshes send SELECTs that are recognised."""
    plain = watch(session, lambda state: private.plain_select(state.statement))
    child = session.get_one(Child, 1)
    assert child.parent is not None
    session.expire(child)
    assert child.name == "ann"
    session.refresh(child)
    session.expunge_all()
    session.scalars(select(Child).options(selectinload(Child.parent))).all()
    assert plain == [True, True, True, True, True, True]


def test_the_lookup_clause_is_the_mappers(session: Session, watch: Watch) -> None:
    """`get_clause` is the very WHERE of key lookups, its names those of their parameters.

    SQLAlchemy 2.0 sends a copy: there the lookup is recognised by what the clause says.
    """

    def keys(state: Any) -> Any:
        mapper = private.subject(state.statement)
        assert mapper is not None
        clause, parameters = private.get_clause(mapper)
        (where,) = private.criteria(state.statement)
        given = [state.parameters[parameters[column].key] for column in mapper.primary_key]
        return where is clause or not private.SQLALCHEMY_2_1, given

    found = watch(session, keys)
    pair = session.get_one(Pair, (3, "r"))
    child = session.get_one(Child, 1)
    assert child.parent is not None
    session.refresh(pair)
    assert found == [(True, [3, "r"]), (True, [1]), (True, [2]), (True, [3, "r"])]


def test_the_parts_of_a_statement() -> None:
    """`selected`, `criteria` and `options_of` are what the statement was given."""
    option = load_only(Child.name)
    statement = select(Child, Parent.name).where(Child.id == 1, Child.name == "x").options(option)
    assert [private.entity_of(one) for one in private.selected(statement)] == [
        inspect(Child),
        None,
    ]
    assert len(private.criteria(statement)) == 2
    assert private.options_of(statement) == (option,)


@pytest.mark.parametrize(
    ("statement", "mapper"),
    [
        (select(Child), Child),
        (select(Child.id), Child),
        (select(Dog), Dog),
        (select(Animal), Animal),
        (select(func.count(Child.id)), Child),
        (select(OTHER), None),
        (select(plain_table), None),
        (select(func.now()), None),
        (text("SELECT 1"), None),
    ],
    ids=str,
)
def test_the_subject_of_a_statement(statement: Any, mapper: Any) -> None:
    """`subject` is the mapper of what is selected first, None for aliases and plain tables."""
    assert private.subject(statement) is (None if mapper is None else inspect(mapper))


@pytest.mark.parametrize(
    ("element", "entity"),
    [
        (Child, Child),
        (Dog, Dog),
        (Child.id, None),
        (Child.id.label("x"), None),
        (Bundle("b", Child.id), None),
        (plain_table.c.id, None),
        (func.now(), None),
    ],
    ids=["class", "subclass", "column", "label", "bundle", "table", "function"],
)
def test_the_entity_of_a_selected_element(element: Any, entity: Any) -> None:
    """`entity_of` tells whole entities from columns."""
    (selected,) = private.selected(select(element))
    assert private.entity_of(selected) is (None if entity is None else inspect(entity))


def test_an_alias_is_no_mapper() -> None:
    """`entity_of` gives the alias itself, and its columns are told from the class's own."""
    (selected,) = private.selected(select(OTHER))
    assert private.entity_of(selected) is inspect(OTHER)
    assert private.entity_of_attribute(OTHER.id.expression)
    assert not private.entity_of_attribute(Child.id.expression)
    assert not private.entity_of_attribute(plain_table.c.id)


def test_what_a_class_is_selected_by() -> None:
    """`is_of` knows a class and its columns, and not those of others, or what is made of them."""
    mapper = inspect(Child)
    for wanted in (Child, Child.name):
        assert all(private.is_of(one, mapper) for one in private.selected(select(wanted)))
    for other in (OTHER, OTHER.name, Parent, func.count(Child.id), Child.__table__.c.name):
        assert not any(private.is_of(one, mapper) for one in private.selected(select(other)))


@pytest.mark.parametrize(
    "option",
    [
        load_only(Child.name),
        defer(Child.name),
        undefer(Child.name),
        joinedload(Child.parent),
        selectinload(Child.parent),
    ],
)
def test_loader_options_are_recognised(option: Any) -> None:
    """Options about what is loaded are told from those that change which rows are."""
    assert private.is_loader_option(option)


@pytest.mark.parametrize("option", [with_loader_criteria(Child, Child.id > 0), skip_cache()])
def test_other_options_are_not_loader_options(option: Any) -> None:
    """Criteria and the package's own options are not loader options."""
    assert not private.is_loader_option(option)


def test_kinds_of_values() -> None:
    """`affinity` is the same for types whose parameters compare alike."""
    assert private.affinity(Child.id.type) is private.affinity(bindparam("x", 1).type)
    assert private.affinity(Integer()) is not private.affinity(Child.name.type)


def test_the_columns_of_a_compiled_select(engine: Engine) -> None:
    """`result_columns` are the tables' columns and the labels, in the order of the row's values."""
    statement = select(Child.name, func.upper(Child.name).label("loud"), Child.id)
    compiled = statement.compile(engine)
    columns = private.result_columns(compiled)
    table: Any = Child.__table__
    assert columns[0] is table.c.name
    assert columns[2] is table.c.id
    assert columns[1].name == "loud"


def test_the_columns_of_a_joined_class(engine: Engine) -> None:
    """A column that two tables have is in the result once for each, as the mapper's own column."""
    columns = private.result_columns(private.own_select(inspect(Dog), engine.dialect))
    tables: Any = (Animal.__table__, Dog.__table__)
    assert {column.table for column in columns} == set(tables)
    assert tables[1].c.tricks in columns
    with engine.connect() as connection:
        row: Any = connection.execute(select(Dog)).one()
    assert row[columns.index(tables[1].c.tricks)] == 7
    assert len(row) == len(columns)


def test_attributes_loaded_by_key() -> None:
    """A refresh asks all tables of a class unless it wants the subclass's own columns alone."""
    assert private.loads_by_key(inspect(Child), ["name"])
    assert private.loads_by_key(inspect(Animal), ["name"])
    assert private.loads_by_key(inspect(Dog), ["name", "tricks"])
    assert not private.loads_by_key(inspect(Dog), ["tricks"])


@pytest.mark.parametrize(("wanted", "from_base"), [(["tricks"], False), (["name", "tricks"], True)])
def test_what_a_refresh_of_a_subclass_selects(
    session: Session, watch: Watch, wanted: list[str], from_base: bool
) -> None:
    """SQLAlchemy sends what `loads_by_key` foresees for expired attributes of a subclass."""
    dog = session.get_one(Dog, 1)
    session.expire(dog, wanted)
    sent = watch(session, lambda state: "FROM animal" in str(state.statement))
    assert dog.tricks == 7
    assert sent == [from_base]
    assert private.loads_by_key(inspect(Dog), wanted) is from_base


def test_attributes_are_counted() -> None:
    """`property_count` grows when an attribute is added to a mapped class."""
    mapper = inspect(Kennel)
    before = private.property_count(mapper)
    column: Any = Kennel.__table__.c.animal_id
    mapper.add_property("added", column)
    assert private.property_count(mapper) == before + 1


def test_the_options_of_subquery_loads_are_known(session: Session, watch: Watch) -> None:
    """subqueryload() keeps its state in execution options, all of which are recognised."""
    seen = watch(session, lambda state: list(state.execution_options))
    session.scalars(select(Parent).options(subqueryload(Parent.children))).all()
    options = {one for found in seen for one in found}
    found = {one for one in options if private.of_subquery_load(one)}
    path = ({one[0] for one in found} - {"orig_query"}).pop()
    assert path in ("subquery_rewritten_path", "subquery_paths")  # by the version
    assert len(found) == 2
    assert all(isinstance(one, str) for one in options - found)


def test_what_listeners_have_set(session: Session, watch: Watch) -> None:
    """Options that a listener sets are in neither of those that the state tells of."""
    changes: dict[str, Any] = {}
    event.listen(session, "do_orm_execute", lambda state: state.update_execution_options(**changes))
    found = watch(
        session,
        lambda state: (
            dict(private.listeners_options(state)),
            "autoflush" in state.execution_options,
            private.wants_autoflush(state),
        ),
    )
    session.scalars(select(Child)).all()
    changes["autoflush"] = False
    session.scalars(select(Child)).all()
    assert found == [({}, False, True), ({"autoflush": False}, False, True)]


def test_who_wants_tuples(session: Session, watch: Watch) -> None:
    """`only_return_tuples()` of a `Query` is told from others."""
    found = watch(session, private.returns_tuples)
    session.query(Child).all()
    session.query(Child).only_return_tuples(True).all()
    session.scalars(select(Child)).all()
    assert found == [False, True, False]


def test_where_a_column_is_first(engine: Engine) -> None:
    """`result_places` are the places of `result_columns`, the same object each time."""
    compiled = private.own_select(inspect(Dog), engine.dialect)
    columns = private.result_columns(compiled)
    places = private.result_places(compiled)
    assert [columns[place] for place in places.values()] == list(places)
    assert set(places) == set(columns)
    assert private.result_places(compiled) is places
