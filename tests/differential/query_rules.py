"""Rules about queries: asked once and again, by the pair and by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from sqlalchemy_rediscache import from_cache, refresh_cache, skip_cache
from tests.differential.conditions import (
    Condition,
    conditions,
    keys_of,
    tag_columns,
    values_of,
)
from tests.differential.models import Author, Book, Country, Item, Label, Lamp, Publisher, Shelf
from tests.differential.side import Side
from tests.differential.stage import Operation, Stage, few, needs, numbers, possible, who
from tests.differential.statements import Question, questions
from tests.differential.twins import Pair
from tests.differential.values import COLUMNS, MODELS, OPTIONS, Model, key_of

REMEMBERED = 6
"""Questions that are asked again."""

OFTEN: tuple[Model, ...] = (Author, Book, Shelf, Item, Label, Lamp, Country, Publisher)


some_question = questions((*OFTEN, *OFTEN, *MODELS))


def _partitioned(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    result = session.execute(statement, **options)
    return [list(part) for part in (result.unique() if question.several else result).partitions(2)]


def _all(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    result = session.execute(statement, **options)
    if question.several:
        result = result.unique()
    return [list(result.keys()), result.all()]


def _scalars(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    result = session.scalars(statement, **options)
    return (result.unique() if question.several else result).all()


def _mappings(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    return session.execute(statement, **options).unique().mappings().all()


def _first(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    return session.execute(statement, **options).unique().first()


def _one(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    return session.execute(statement, **options).unique().scalar_one_or_none()


def _columns(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    return session.execute(statement, **options).unique().columns(0).all()


def _unique(session: Session, statement: Any, question: Question, **options: Any) -> Any:
    return session.scalars(statement, **options).unique(strategy=lambda one: repr(one)[:9]).all()


WAYS: tuple[Callable[..., Any], ...] = (
    _all, _all, _all, _scalars, _scalars, _partitioned, _mappings, _first, _one, _columns, _unique,
)  # fmt: skip
_ASKED: dict[str, Any] = {"populate": {"populate_existing": True}, "no flush": {"autoflush": False},
                          "skip, executed": {"skip_cache": True},
                          "refresh, executed": {"refresh_cache": True}}  # fmt: skip
_HOW = ["cache"] * 9 + ["plain", "skip", "refresh", "in pages", *sorted(_ASKED)]


def asked(session: Session, question: Question, way: Callable[..., Any], how: str) -> Any:
    """Ask a question in one way of executing, with options of the cache."""
    statement = question.statement()
    if how != "plain":
        statement = statement.options(from_cache(ttl=60))
    if how == "skip":
        statement = statement.options(skip_cache())
    if how == "refresh":
        statement = statement.options(refresh_cache())
    options = _ASKED.get(how, {})
    if how == "in pages" and not question.several:
        options = {"yield_per": 2}
    return way(session, statement, question, execution_options=options)


def _asking(question: Question, way: Callable[..., Any] = _all, how: str = "cache") -> Operation:
    return lambda side, _: asked(side.session, question, way, how)


_LEGACY: Mapping[str, Callable[[Any], Any]] = {
    "all": lambda query: query.all(),
    "first": lambda query: query.first(),
    "one or none": lambda query: query.one_or_none(),
    "count": lambda query: query.count(),
    "slice": lambda query: query[1:3],
    "exists": lambda query: query.session.query(query.exists()).scalar(),
    "entities": lambda query: query.with_entities(func.count()).order_by(None).all(),
    "statement": lambda query: (
        query.session.query(query.column_descriptions[0]["entity"])
        .from_statement(query.statement)
        .all()
    ),
}


def _written(session: Session, model: Any, number: int, values: dict[str, Any], how: str) -> Any:
    """Write one row, in a way of which the cache knows which it is."""
    key = [keys_of(model)[0] == key_of(model, number)]
    if how == "update":
        session.execute(update(model).where(*key).values(values))
        return None
    if how == "Core":
        statement = update(model.__table__).where(*key).values(values)
        session.connection().execute(statement)
        return None
    found = session.get(model, key_of(model, number))
    if found is not None and how == "delete":
        session.delete(found)
    elif found is not None:
        for name, value in values.items():
            setattr(found, name, value)
    return found


class QueryRules(Stage):
    """Queries that come from the cache where it takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[Question] = []

    @initialize(rows=st.sampled_from([3, 3, 3, 1]), warm=st.sampled_from([True, True, False]),
                patience=st.sampled_from([1, 1, 2, 4, 100]), data=st.data(),
                some=st.lists(some_question, min_size=3, max_size=3))  # fmt: skip
    def begin_to_ask(
        self, rows: int, warm: bool, patience: int, data: Any, some: list[Question]
    ) -> None:
        """Begin with rows that others have asked for, and that one of them wrote."""
        self.begin(rows, warm, patience)
        self.questions = some
        self.others_ask(some)
        self._ask_around(0, data)

    def _remember(self, question: Question) -> None:
        known = [one for one in self.questions if one != question]
        self.questions = [*known, question][-REMEMBERED:]

    def others_ask(self, some: list[Question]) -> None:
        """Have new sessions ask, as other processes would."""
        for question in some:
            pair = Pair(self.twins.cached, self.twins.plain)
            try:
                pair.do(_asking(question))
            finally:
                pair.close()

    def others_look(self) -> None:
        """What was asked is answered as by the database."""
        self.others_ask(self.questions)

    @rule(pair=who, question=some_question, way=st.sampled_from(WAYS), how=st.sampled_from(_HOW),
          before=st.booleans(), anew=st.booleans())  # fmt: skip
    @possible
    def ask(
        self, pair: int, question: Question, way: Any, how: str, before: bool, anew: bool
    ) -> None:
        """Ask something new, perhaps after others did."""
        if before:
            self.others_ask([question])
        if anew:
            self.end_reading(pair)
        self._remember(question)
        self.read(pair, _asking(question, way, how))

    @rule(pair=who, some=st.lists(few, min_size=1, max_size=3), way=st.sampled_from(WAYS),
          how=st.sampled_from(_HOW), anew=st.booleans())  # fmt: skip
    @possible
    def ask_again(self, pair: int, some: list[int], way: Any, how: str, anew: bool) -> None:
        """Ask something that was asked before."""
        for number in some:
            if anew:
                self.end_reading(pair)
            question = self.questions[-1 - number % len(self.questions)]
            self.read(pair, _asking(question, way, how))

    @rule(pair=who, anew=st.booleans())
    @possible
    def ask_all(self, pair: int, anew: bool) -> None:
        """Ask all that was asked before, as others do after a commit."""
        if anew:
            self.end_reading(pair)
        for question in self.questions:
            self.read(pair, _asking(question))

    @rule(pair=who, data=st.data(), times=st.integers(1, 3))
    @possible
    def ask_around(self, pair: int, data: Any, times: int) -> None:
        """Others ask by each value of a column, before and after a row is written and committed."""
        needs(not any(one.wrote for one in self.pairs))
        for _ in range(times):
            self._ask_around(pair, data)

    def _ask_around(self, pair: int, data: Any) -> None:
        model = data.draw(st.sampled_from([Author, Book, Item, Lamp, Shelf, Label, Publisher]))
        name = data.draw(st.sampled_from(sorted({*tag_columns(model)} & {*COLUMNS[model]})))
        changed = data.draw(
            st.sampled_from([name, *sorted({*values_of(model)} & {*COLUMNS[model]})])
        )
        value = data.draw(st.sampled_from(COLUMNS[model][changed]))
        number = data.draw(numbers)
        how = data.draw(st.sampled_from(["set", "set", "delete", "update", "Core"]))
        shape = data.draw(st.sampled_from(["plain", "columns", "count"]))
        around = [
            Question(shape, model, Condition("null" if one is None else "=", (name, one)), at)
            for at, one in enumerate(COLUMNS[model][name])
        ]
        self.others_ask(around)
        self.pairs[pair].do(
            lambda side, _: _written(side.session, model, number, {changed: value}, how)
        )
        self.commit_pair(pair)
        self.others_ask(around)

    @rule(pair=who, model=st.sampled_from([Shelf, Label]), code=st.sampled_from(["aa", "bb", "cc"]),
          choice=st.none() | few, legacy=st.booleans())  # fmt: skip
    @possible
    def look_up(self, pair: int, model: Any, code: str, choice: int | None, legacy: bool) -> None:
        """Look a row up by a unique column, of which nobody says that it is cached."""

        def operation(side: Side, _: int) -> Any:
            options = [] if choice is None else [OPTIONS[model][choice % len(OPTIONS[model])]()]
            if legacy:
                query = side.session.query(model).options(*options)
                return query.filter_by(code=code).one_or_none()
            found = side.session.scalars(select(model).filter_by(code=code).options(*options))
            return found.unique().one_or_none()

        self.read(pair, operation)

    @rule(pair=who, data=st.data(), model=st.sampled_from(OFTEN), choice=st.none() | few,
          how=st.sampled_from(sorted(_LEGACY)))  # fmt: skip
    @possible
    def query(self, pair: int, data: Any, model: Any, choice: int | None, how: str) -> None:
        """Ask by `session.query()`."""
        condition = data.draw(conditions(model))

        def operation(side: Side, _: int) -> Any:
            query = side.session.query(model).filter(condition.of(model))
            query = query.options(from_cache(ttl=60)).order_by(*keys_of(model))
            if choice is not None:
                query = query.options(OPTIONS[model][choice % len(OPTIONS[model])]())
            return _LEGACY[how](query)

        self.read(pair, operation)
