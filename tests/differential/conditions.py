"""Random conditions on a model's columns, as data that hypothesis can show and shrink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import ColumnElement, and_, func, inspect, literal, not_, or_, true

from tests.differential.values import COLUMNS, Model, key_values

_NOT_COMPARED = {"at", "meta", "tags"}
"""Composites, and JSON, which PostgreSQL can't compare."""


@dataclass(frozen=True)
class Condition:
    """A WHERE clause that is yet to be said of an entity, an alias of one too.

    Attributes:
        how: A name in `_LEAVES` or `_BRANCHES`.
        parts: The column's name and values, or conditions.
    """

    how: str
    parts: tuple[Any, ...] = ()

    def of(self, entity: Any) -> ColumnElement[bool]:
        """The clause about an entity."""
        if self.how in _BRANCHES:
            return _BRANCHES[self.how](*[part.of(entity) for part in self.parts])
        name, *values = self.parts
        return _LEAVES[self.how](getattr(entity, name), values)


_LEAVES: dict[str, Callable[[Any, list[Any]], ColumnElement[bool]]] = {
    "=": lambda column, values: column == values[0],
    "in": lambda column, values: column.in_(values),
    "null": lambda column, values: column.is_(None),
    "!=": lambda column, values: column != values[0],
    "not in": lambda column, values: column.not_in(values),
    "not null": lambda column, values: column.is_not(None),
    "from": lambda column, values: column >= values[0],
    "between": lambda column, values: column.between(values[0], values[-1]),
    "coalesce": lambda column, values: func.coalesce(column, values[-1]) == values[0],
    "reversed": lambda column, values: literal(values[0], column.type) == column,
    "distinct": lambda column, values: column.is_distinct_from(values[0]),
}
_ORDERED = {"from", "between"}
_BRANCHES: dict[str, Callable[..., ColumnElement[bool]]] = {
    "and": lambda *parts: and_(true(), *parts),
    "or": or_,
    "not": not_,
}


def values_of(model: Model) -> dict[str, tuple[Any, ...]]:
    """What columns are compared with: keys and those of `COLUMNS`."""
    keys = [key_values(model, number) for number in range(4)]
    found = {name: tuple(key[name] for key in keys) for name in keys[0]}
    known = COLUMNS[model].items()
    return found | {name: values for name, values in known if name not in _NOT_COMPARED}


def tag_columns(model: Model) -> list[str]:
    """The columns that queries are watched by: of keys, unique constraints, and named ones."""
    columns = inspect(model).columns
    policy = getattr(model, "__cache__", None)
    named = (policy and policy.query_tags) or ()
    return [
        name
        for name in values_of(model)
        if name in named
        or columns[name].primary_key
        or columns[name].foreign_keys
        or columns[name].unique
    ]


def _leaf(name: str, values: tuple[Any, ...], hows: list[str]) -> st.SearchStrategy[Condition]:
    known = [value for value in values if value is not None]
    if not isinstance(known[0], str | int):
        hows = [how for how in hows if how not in _ORDERED]  # enumerations, UUIDs

    def made(how: str, some: list[Any]) -> Condition:
        return Condition(how, (name, *some))

    # in one order, or `between` would be empty and one IN list two
    some = st.sampled_from(known) if len(known) == 1 else st.sampled_from(known[:3])
    lists = st.one_of(
        some.map(lambda one: [one]), st.tuples(some, some).map(lambda both: sorted(both, key=str))
    )
    return st.builds(made, st.sampled_from(hows), lists)


def conditions(model: Model) -> st.SearchStrategy[Condition]:
    """Conditions on a model: most often one on a tag column, so that they recur."""
    known = values_of(model)
    tags = tag_columns(model)
    simple = st.one_of([_leaf(name, known[name], ["=", "=", "=", "in", "null"]) for name in tags])
    leaves = st.one_of([_leaf(name, values, sorted(_LEAVES)) for name, values in known.items()])
    either = simple | leaves
    compound = st.builds(
        lambda how, parts: Condition(how, tuple(parts)),
        st.sampled_from(["and", "or"]),
        st.lists(either, min_size=2, max_size=3),
    )
    negated = leaves.map(lambda one: Condition("not", (one,)))
    return st.one_of(simple, simple, simple, leaves, compound, negated, st.just(Condition("and")))


def keys_of(entity: Any) -> list[Any]:
    """The attributes of an entity's primary key, of an alias too."""
    mapper = inspect(entity).mapper
    return [
        getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key
    ]


def tag_of(entity: Any, number: int) -> Any:
    """One of the columns that queries of an entity are watched by."""
    names = tag_columns(inspect(entity).mapper.class_)
    return getattr(entity, names[number % len(names)])
