"""Rules about single objects: looked up, changed, expired, saved, within transactions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import func, inspect, select

from tests.differential.models import Book
from tests.differential.side import Side
from tests.differential.stage import Stage, few, models, needs, numbers, possible, repr_of_key, who
from tests.differential.values import COLUMNS, OPTIONS, REFERENCES, key_of, key_values


class SessionRules(Stage):
    """What a program does with the objects of a session."""

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

        (self.write if more == "l" else self.read)(pair, operation)  # it locks the row

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
        self.pairs[pair].writes = 0
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
        self.pairs[pair].writes = 0

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
        self.pairs[pair].writes = 0

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

    @rule(pair=who)
    @possible
    def commit(self, pair: int) -> None:
        """Commit."""
        self.commit_pair(pair)

    @precondition(lambda self: any(pair.wrote for pair in self.pairs))
    @rule()
    @possible
    def commit_the_writer(self) -> None:
        """Commit what was written: often, so that others meet it."""
        self.commit_pair(0 if self.pairs[0].wrote else 1)

    @precondition(lambda self: any(pair.wrote for pair in self.pairs))
    @rule(warm=st.booleans())
    @possible
    def commit_and_look(self, warm: bool) -> None:
        """Commit what was written, and have others read it."""
        self.commit_pair(0 if self.pairs[0].wrote else 1)
        if warm:
            self.twins.warm()
        self.others_look()

    @rule(pair=who)
    @possible
    def roll_back(self, pair: int) -> None:
        """Roll back."""

        def operation(side: Side, _: int) -> None:
            side.savepoints = []
            side.session.rollback()

        self.read(pair, operation)
        self.pairs[pair].writes = 0

    @rule(pair=who)
    @possible
    def save(self, pair: int) -> None:
        """Begin a savepoint."""
        needs(not self.pairs[1 - pair].wrote)
        self.read(pair, lambda side, _: side.savepoints.append(side.session.begin_nested()))
        self.pairs[pair].writes += 1

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
