"""What the two sides of a pair are made to do."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import delete, func, insert, inspect, select, text, update

from tests.differential.models import Author, Book
from tests.differential.side import InstanceEvents, Side
from tests.differential.twins import Pair, Twins
from tests.differential.values import (
    COLUMNS,
    MODELS,
    OPTIONS,
    REFERENCES,
    key_of,
    key_values,
)

models = st.sampled_from(MODELS)
numbers = st.integers(0, 3)
few = st.integers(0, 9)
who = st.sampled_from([0, 0, 0, 1])
Operation = Callable[[Side, int], Any]
Rule = Callable[..., None]


class ImpossibleNowError(Exception):
    """A rule has nothing to work on (`hypothesis.assume` would give up the whole example)."""


def needs(condition: Any) -> None:
    """End the rule unless it can be done now.

    Raises:
        ImpossibleNowError: It can't.
    """
    if not condition:
        raise ImpossibleNowError


def possible(rule: Rule) -> Rule:
    """Have a rule do nothing where it can't be done."""

    @functools.wraps(rule)
    def wrapped(self: DifferentialMachine, **drawn: Any) -> None:
        with contextlib.suppress(ImpossibleNowError):
            rule(self, **drawn)

    return wrapped


class DifferentialMachine(RuleBasedStateMachine):
    """Two pairs of sessions; subclasses give the twins and choose how events are heard."""

    twins: ClassVar[Twins]
    as_sqlalchemy: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        # Objects in reference cycles leave an identity map when the collector runs: at one moment
        # for both sides, or their loads differ.
        gc.collect()
        gc.disable()
        self.events = InstanceEvents(as_sqlalchemy=self.as_sqlalchemy)
        self.pairs: list[Pair] = []

    @initialize(rows=st.sampled_from([3, 3, 3, 1]), warm=st.booleans())
    def begin(self, rows: int, warm: bool) -> None:
        """Begin with rows, in the cache or not."""
        self.twins.reset(rows)
        if warm:
            self.twins.warm()
        self.pairs = [Pair(self.twins.cached, self.twins.plain) for _ in range(2)]

    def teardown(self) -> None:
        """End with a cache that is right."""
        try:
            for pair in self.pairs:
                pair.close()
            if self.pairs:
                self.twins.judge()
        finally:
            self.events.close()
            gc.enable()

    # -- helpers ------------------------------------------------------------------------------

    def read(self, pair: int, operation: Operation) -> None:
        """Have a pair do what writes nothing by itself (an autoflush may)."""
        self.pairs[pair].do(operation)

    def write(self, pair: int, operation: Operation) -> None:
        """Have a pair do what may write: one pair at a time, or they would wait for each other."""
        needs(not self.pairs[1 - pair].wrote)
        self.pairs[pair].wrote = True
        self.pairs[pair].do(operation)

    def handle(self, pair: int, number: int) -> tuple[Any, Any]:
        """One of the objects that a pair has met, later ones first."""
        handles = self.pairs[pair].handles
        needs(handles)
        return handles[-1 - number % len(handles)]

    # -- reading ------------------------------------------------------------------------------

    @rule(some=st.lists(models, min_size=1, max_size=4, unique=True))
    @possible
    def warm(self, some: list[Any]) -> None:
        """Others read every row of some classes."""
        self.twins.warm(some)

    @rule(pair=who, model=models, number=numbers)
    @possible
    def get(self, pair: int, model: Any, number: int) -> None:
        """Look a row up."""
        self.read(pair, lambda side, _: side.session.get(model, key_of(model, number)))

    @rule(pair=who, model=models, number=numbers, choice=few, more=st.sampled_from(["", "p", "l"]))
    @possible
    def get_with(self, pair: int, model: Any, number: int, choice: int, more: str) -> None:
        """Look a row up with an option."""
        options = OPTIONS[model]
        given: dict[str, Any] = {"p": {"populate_existing": True}, "l": {"with_for_update": True},
                                 "": {}}[more]  # fmt: skip

        def operation(side: Side, _: int) -> Any:
            option = options[choice % len(options)]()
            return side.session.get(model, key_of(model, number), options=[option], **given)

        self.read(pair, operation)

    @rule(pair=who, model=models, number=numbers, choice=st.none() | few)
    @possible
    def select_one(self, pair: int, model: Any, number: int, choice: int | None) -> None:
        """Select by primary key."""

        def operation(side: Side, _: int) -> Any:
            statement = select(model)
            key = key_of(model, number)
            for column, value in zip(
                inspect(model).primary_key, key if isinstance(key, tuple) else (key,), strict=True
            ):
                attribute = inspect(model).get_property_by_column(column).class_attribute
                statement = statement.where(attribute == value)
            if choice is not None:
                options = OPTIONS[model]
                statement = statement.options(options[choice % len(options)]())
            return list(side.session.scalars(statement).unique())

        self.read(pair, operation)

    @rule(pair=who, model=models, wanted=st.lists(numbers, max_size=5), choice=st.none() | few)
    @possible
    def select_in(self, pair: int, model: Any, wanted: list[int], choice: int | None) -> None:
        """Select by a list of keys."""
        needs(len(inspect(model).primary_key) == 1)

        def operation(side: Side, _: int) -> Any:
            key = inspect(model).primary_key[0]
            attribute = inspect(model).get_property_by_column(key).class_attribute
            statement = select(model).where(attribute.in_([key_of(model, n) for n in wanted]))
            if choice is not None:
                options = OPTIONS[model]
                statement = statement.options(options[choice % len(options)]())
            found = side.session.scalars(statement).unique()
            return sorted(found, key=repr_of_key)  # the database gives no order

        self.read(pair, operation)

    @rule(pair=who, model=models)
    @possible
    def select_all(self, pair: int, model: Any) -> None:
        """Select every row."""
        keys = [inspect(model).get_property_by_column(column).class_attribute
                for column in inspect(model).primary_key]  # fmt: skip
        statement = select(model).order_by(*keys)
        self.read(pair, lambda side, _: list(side.session.scalars(statement).unique()))

    @rule(pair=who, number=few, which=st.integers(0, 20))
    @possible
    def touch(self, pair: int, number: int, which: int) -> None:
        """Look at an attribute: lazy, deferred, expired or loaded."""
        both = self.handle(pair, number)
        names = [*sorted(inspect(both[0]).mapper.attrs.keys()), "label"]

        def operation(side: Side, place: int) -> Any:
            value = getattr(both[place], names[which % len(names)])
            return sorted(value, key=repr_of_key) if isinstance(value, list) else value

        self.read(pair, operation)

    @rule(pair=who, number=few, which=st.none() | few)
    @possible
    def refresh(self, pair: int, number: int, which: int | None) -> None:
        """Ask for the row anew."""
        both = self.handle(pair, number)
        names = None if which is None else [self._column(both, which)]
        self.read(pair, lambda side, place: side.session.refresh(both[place], names))

    def _column(self, both: tuple[Any, Any], which: int) -> str:
        names = sorted(inspect(both[0]).mapper.column_attrs.keys())
        return str(names[which % len(names)])

    @rule(pair=who, wanted=st.lists(st.tuples(models, numbers), min_size=1, max_size=4))
    @possible
    def look_anew(self, pair: int, wanted: list[tuple[Any, int]]) -> None:
        """Look rows up in a new session."""
        self.pairs[pair].wrote = False
        self.pairs[pair].handles.clear()

        def operation(side: Side, _: int) -> Any:
            side.session.close()
            side.open(expire_on_commit=True)
            return [side.session.get(model, key_of(model, number)) for model, number in wanted]

        self.read(pair, operation)

    @rule(pair=who, model=models, number=numbers, data=st.data(), again=st.booleans())
    @possible
    def edit(self, pair: int, model: Any, number: int, data: Any, again: bool) -> None:
        """Look a row up, change it, commit, look again."""
        known = COLUMNS[model]
        name = data.draw(st.sampled_from(sorted(known)))
        value = data.draw(st.sampled_from(known[name]))

        def operation(side: Side, _: int) -> Any:
            found = side.session.get(model, key_of(model, number))
            if found is not None:
                setattr(found, name, value)
            side.savepoints = []
            side.session.commit()
            return found if again else None

        self.write(pair, operation)
        self.pairs[pair].wrote = False

    @rule(pair=who, number=few, which=few)
    @possible
    def express(self, pair: int, number: int, which: int) -> None:
        """Set an attribute to an SQL expression."""
        both = self.handle(pair, number)
        names = sorted({"name", "title", "first", "body"} & COLUMNS[type(both[0])].keys())
        needs(names)
        self.write(pair, lambda side, place: setattr(both[place], names[0], func.lower("SQL")))

    # -- the session's objects ----------------------------------------------------------------

    @rule(pair=who, number=few, which=st.none() | few)
    @possible
    def expire(self, pair: int, number: int, which: int | None) -> None:
        """Forget an object's attributes, or one."""
        both = self.handle(pair, number)
        names = None if which is None else [self._column(both, which)]
        self.read(pair, lambda side, place: side.session.expire(both[place], names))

    @rule(pair=who)
    @possible
    def expire_all(self, pair: int) -> None:
        """Forget all attributes."""
        self.read(pair, lambda side, _: side.session.expire_all())

    @rule(pair=who, number=few)
    @possible
    def expunge(self, pair: int, number: int) -> None:
        """Take an object out of the session."""
        both = self.handle(pair, number)
        self.read(pair, lambda side, place: side.session.expunge(both[place]))

    @rule(pair=who, expire_on_commit=st.booleans())
    @possible
    def reopen(self, pair: int, expire_on_commit: bool) -> None:
        """Close the session and begin with a new one."""
        self.pairs[pair].wrote = False

        def operation(side: Side, _: int) -> None:
            side.session.close()
            side.open(expire_on_commit=expire_on_commit)

        self.read(pair, operation)
        self.pairs[pair].handles.clear()

    # -- writing ------------------------------------------------------------------------------

    @rule(pair=who, model=models, number=numbers, data=st.data(), how=st.sampled_from("aamb"))
    @possible
    def create(self, pair: int, model: Any, number: int, data: Any, how: str) -> None:
        """Add, merge, or save in bulk an object."""
        values = key_values(model, number)
        for name, known in COLUMNS[model].items():
            if name != "at" and data.draw(st.booleans()):
                values[name] = data.draw(st.sampled_from(known))

        def operation(side: Side, _: int) -> Any:
            instance = model(**values)
            if how == "m":
                return side.session.merge(instance)
            if how == "b":
                return side.session.bulk_save_objects([instance])
            side.session.add(instance)
            return instance

        self.write(pair, operation)

    @rule(pair=who, number=few, which=few, data=st.data())
    @possible
    def change(self, pair: int, number: int, which: int, data: Any) -> None:
        """Set an attribute."""
        both = self.handle(pair, number)
        known = COLUMNS[type(both[0])]
        name = sorted(known)[which % len(known)]
        value = data.draw(st.sampled_from(known[name]))
        self.write(pair, lambda side, place: setattr(both[place], name, value))

    @rule(pair=who, number=few, other=few, nothing=st.booleans())
    @possible
    def relate(self, pair: int, number: int, other: int, nothing: bool) -> None:
        """Set a reference to another object."""
        both = self.handle(pair, number)
        known = REFERENCES.get(type(both[0]))
        needs(known)
        name, target = sorted((known or {}).items())[other % len(known or {})]
        value = (None, None) if nothing else self.handle(pair, other)
        needs(nothing or isinstance(value[0], target))
        self.write(pair, lambda side, place: setattr(both[place], name, value[place]))

    @rule(pair=who, number=few, add=st.booleans())
    @possible
    def mutate(self, pair: int, number: int, add: bool) -> None:
        """Change a value in place."""
        both = self.handle(pair, number)
        needs(isinstance(both[0], Book))

        def operation(side: Side, place: int) -> Any:
            book = both[place]
            if add:
                book.tags.append(5)
            else:
                book.meta["new"] = {"deep": [None]}

        self.write(pair, operation)

    @rule(pair=who, number=few)
    @possible
    def delete(self, pair: int, number: int) -> None:
        """Delete an object."""
        both = self.handle(pair, number)
        self.write(pair, lambda side, place: side.session.delete(both[place]))

    @rule(pair=who, number=few, key=numbers)
    @possible
    def change_key(self, pair: int, number: int, key: int) -> None:
        """Change an object's primary key."""
        both = self.handle(pair, number)
        values = key_values(type(both[0]), key)
        name = min(values)
        self.write(pair, lambda side, place: setattr(both[place], name, values[name]))

    @rule(pair=who)
    @possible
    def flush(self, pair: int) -> None:
        """Send what is pending."""
        self.read(pair, lambda side, _: side.session.flush())

    def _commit(self, pair: int) -> None:
        def operation(side: Side, _: int) -> None:
            side.savepoints = []
            side.session.commit()

        self.read(pair, operation)
        self.pairs[pair].wrote = False

    @rule(pair=who)
    @possible
    def commit(self, pair: int) -> None:
        """Commit."""
        self._commit(pair)

    @precondition(lambda self: any(pair.wrote for pair in self.pairs))
    @rule()
    @possible
    def commit_the_writer(self) -> None:
        """Commit what was written: often, so that others meet it."""
        self._commit(0 if self.pairs[0].wrote else 1)

    @precondition(lambda self: any(pair.wrote for pair in self.pairs))
    @rule(warm=st.booleans())
    @possible
    def commit_and_look(self, warm: bool) -> None:
        """Commit what was written, and have others read it."""
        self._commit(0 if self.pairs[0].wrote else 1)
        if warm:
            self.twins.warm()

    @rule(pair=who)
    @possible
    def roll_back(self, pair: int) -> None:
        """Roll back."""

        def operation(side: Side, _: int) -> None:
            side.savepoints = []
            side.session.rollback()

        self.read(pair, operation)
        self.pairs[pair].wrote = False

    @rule(pair=who)
    @possible
    def save(self, pair: int) -> None:
        """Begin a savepoint."""
        self.write(pair, lambda side, _: side.savepoints.append(side.session.begin_nested()))

    @precondition(lambda self: any(pair.plain.savepoints for pair in self.pairs))
    @rule(pair=who, keep=st.booleans())
    @possible
    def end_savepoint(self, pair: int, keep: bool) -> None:
        """End the innermost savepoint."""
        needs(self.pairs[pair].plain.savepoints)

        def operation(side: Side, _: int) -> None:
            savepoint = side.savepoints.pop()
            if keep:
                savepoint.commit()
            else:
                savepoint.rollback()

        self.read(pair, operation)

    @rule(pair=who, model=models, number=numbers, data=st.data(),
          how=st.sampled_from(["update", "delete", "insert", "text", "core"]),
          synchronize=st.sampled_from([False, "evaluate", "fetch"]))  # fmt: skip
    @possible
    def bulk(
        self, pair: int, model: Any, number: int, data: Any, how: str, synchronize: Any
    ) -> None:
        """Write by a statement."""
        name = data.draw(st.sampled_from(sorted(COLUMNS[model].keys() - {"at"})))
        value = data.draw(st.sampled_from(COLUMNS[model][name]))
        needs(len(inspect(model).tables) == 1 or how == "text")
        options = {"synchronize_session": synchronize}
        mapper = inspect(model)
        key = mapper.primary_key[0]
        attribute = mapper.get_property_by_column(key).class_attribute
        first = next(iter(key_values(model, number).values()))

        def operation(side: Side, _: int) -> Any:
            session = side.session
            if how == "update":
                statement: Any = update(model).where(attribute == first).values({name: value})
                result: Any = session.execute(statement, execution_options=options)
                return result.rowcount
            if how == "delete":
                statement = delete(model).where(attribute == first)
                result = session.execute(statement, execution_options=options)
                return result.rowcount
            if how == "insert":
                values = {**key_values(model, number), name: value}
                session.execute(insert(model), [values])
                return None
            if how == "core":
                table = mapper.local_table
                session.connection().execute(table.delete().where(table.c[key.name] == first))
                return None
            session.execute(text("UPDATE author SET first = 'text', last = 'text' WHERE id < 3"))
            return None

        self.write(pair, operation)

    @rule(pair=who, number=numbers)
    @possible
    def collect(self, pair: int, number: int) -> None:
        """Look a row up and load its collection."""

        def operation(side: Side, _: int) -> Any:
            author = side.session.get(Author, number + 1)
            return None if author is None else sorted(author.books, key=repr_of_key)

        self.read(pair, operation)


def repr_of_key(instance: Any) -> str:
    """What objects are sorted by where the database gives no order."""
    return repr(inspect(instance).key) if hasattr(instance, "_sa_instance_state") else ""
