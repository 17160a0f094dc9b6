"""Rules about collections: read, changed as lists, asked as queries."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload, subqueryload, with_parent

from sqlalchemy_rediscache import from_cache
from tests.differential.conditions import keys_of
from tests.differential.models import Author, Book, Label, Shelf
from tests.differential.side import Side
from tests.differential.stage import Stage, few, needs, numbers, possible, repr_of_key, who
from tests.differential.values import COLLECTIONS, COLUMNS, key_of, key_values

_PAIRS = [(owner, name) for owner, known in COLLECTIONS.items() for name in known]
owned = st.sampled_from(_PAIRS)
_ORDERED = {"items", "lamps", "labels"}
"""Those with an ORDER BY."""


def _shown(name: str, found: Any) -> Any:
    return list(found) if name in _ORDERED else sorted(found, key=repr_of_key)


class CollectionRules(Stage):
    """What is related to many."""

    @rule(pair=who, which=owned, number=numbers)
    @possible
    def collect(self, pair: int, which: tuple[Any, str], number: int) -> None:
        """Look a row up and load its collection."""
        owner, name = which

        def operation(side: Side, _: int) -> Any:
            found = side.session.get(owner, key_of(owner, number))
            return None if found is None else _shown(name, getattr(found, name))

        self.read(pair, operation)

    @rule(pair=who, which=owned, wanted=st.lists(numbers, min_size=1, max_size=3, unique=True),
          how=st.sampled_from([selectinload, subqueryload, joinedload]), cached=st.booleans(),
          again=st.booleans())  # fmt: skip
    @possible
    def collect_eagerly(
        self, pair: int, which: tuple[Any, str], wanted: list[int], how: Any, cached: bool,
        again: bool,
    ) -> None:  # fmt: skip
        """Load some rows with their collections, by key or as a query."""
        owner, name = which
        options = {"populate_existing": True} if again else {}

        def operation(side: Side, _: int) -> Any:
            key = keys_of(owner)[0]
            statement = select(owner).where(key.in_([key_of(owner, one) for one in wanted]))
            statement = statement.order_by(key).options(how(getattr(owner, name)))
            if cached:
                statement = statement.options(from_cache(ttl=60))
            found = side.session.scalars(statement, execution_options=options).unique().all()
            return [[one, _shown(name, getattr(one, name))] for one in found]

        self.read(pair, operation)

    def _owner(self, pair: int, number: int, which: int) -> tuple[tuple[Any, Any], str, Any]:
        """An object that has collections, and one of them: its name and its class."""
        both = [
            one for one in self.pairs[pair].handles if COLLECTIONS.get(type(one[0])) is not None
        ]
        needs(both)
        chosen = both[-1 - number % len(both)]
        known = sorted(COLLECTIONS[type(chosen[0])].items())
        return chosen, *known[which % len(known)]

    @rule(pair=who, number=few, which=few, other=few,
          how=st.sampled_from(["append", "append", "remove", "replace"]))  # fmt: skip
    @possible
    def put(self, pair: int, number: int, which: int, other: int, how: str) -> None:
        """Put an object into a collection, take it out, or have it alone there."""
        both, name, target = self._owner(pair, number, which)
        some = [one for one in self.pairs[pair].handles if isinstance(one[0], target)]
        needs(some)
        one = some[-1 - other % len(some)]

        def operation(side: Side, place: int) -> Any:
            found = getattr(both[place], name)
            if how == "replace":
                setattr(both[place], name, [one[place]])
            elif how == "append" and one[place] not in found:
                found.append(one[place])
            elif how == "remove" and one[place] in found:
                found.remove(one[place])

        self.write(pair, operation)

    @rule(pair=who, number=few, which=few, how=st.sampled_from(["clear", "pop", "del"]))
    @possible
    def empty(self, pair: int, number: int, which: int, how: str) -> None:
        """Take everything out of a collection, or its only or first ordered one."""
        both, name, _ = self._owner(pair, number, which)

        def operation(side: Side, place: int) -> Any:
            found = getattr(both[place], name)
            if how == "del":
                delattr(both[place], name)
            elif how == "clear" or not found:
                found.clear()
            else:
                found.remove(_shown(name, found)[0])

        self.write(pair, operation)

    @rule(pair=who, number=few, which=few, key=numbers, data=st.data())
    @possible
    def grow(self, pair: int, number: int, which: int, key: int, data: Any) -> None:
        """Put a new object into a collection."""
        both, name, target = self._owner(pair, number, which)
        values = key_values(target, key)
        column = data.draw(st.sampled_from(sorted(COLUMNS[target].keys())))
        values[column] = data.draw(st.sampled_from(COLUMNS[target][column]))

        def operation(side: Side, place: int) -> Any:
            new = target(**values)
            getattr(both[place], name).append(new)
            return new

        self.write(pair, operation)

    @rule(pair=who, number=few, which=few, cached=st.booleans())
    @possible
    def ask_of(self, pair: int, number: int, which: int, cached: bool) -> None:
        """Select what is in a collection."""
        both, name, target = self._owner(pair, number, which)
        relation = getattr(type(both[0]), name)

        def operation(side: Side, place: int) -> Any:
            statement = select(target).where(with_parent(both[place], relation))
            if cached:
                statement = statement.options(from_cache(ttl=60))
            return side.session.scalars(statement.order_by(*keys_of(target))).unique().all()

        self.read(pair, operation)

    @rule(pair=who, label=numbers, book=numbers,
          how=st.sampled_from(["read", "read", "add", "remove", "update", "delete"]))  # fmt: skip
    @possible
    def stick(self, pair: int, label: int, book: int, how: str) -> None:
        """Use a collection that is never loaded as a whole."""

        def operation(side: Side, _: int) -> Any:
            session = side.session
            found = session.get(Label, label + 1)
            if found is None:
                return None
            if how == "read":
                statement = found.books.select().order_by(Book.id).options(from_cache(ttl=60))
                return session.scalars(statement).unique().all()
            one = session.get(Book, book + 1)
            if one is not None and how == "add":
                found.books.add(one)
            if one is not None and how == "remove":
                found.books.remove(one)
            if how == "update":
                session.execute(found.books.update().values(title="stuck"))
            if how == "delete":
                session.execute(found.books.delete())
            return None

        (self.read if how == "read" else self.write)(pair, operation)

    @rule(pair=who, number=numbers)
    @possible
    def look_through(self, pair: int, number: int) -> None:
        """Go from object to object."""

        def operation(side: Side, _: int) -> Any:
            author = side.session.get(Author, number + 1)
            labels = [book.labels for book in author.books] if author else []
            shelf = side.session.get(Shelf, number + 1)
            shelves = [item.shelf for item in shelf.items] if shelf else []
            return [sorted(repr([repr_of_key(one) for one in some]) for some in labels), shelves]

        self.read(pair, operation)
