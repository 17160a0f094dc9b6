"""`QueryPlan`: what a form of statement means to the cache, whatever its parameters.

A plan is made once for each form (0.5 to 3 ms) and kept with the compiled statement. With the
values of one call it gives the query's name and what it depends on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, Select, Table, null, type_coerce
from sqlalchemy.engine import Dialect

from .. import private
from ..codec import Wire, fingerprint_of
from ..region import Region, shows_withheld
from ..stats import Reason
from ..tags import MADE, MEMBERS, TagSet
from .dependencies import Dependency, dependencies
from .layout import Layout, layout_of
from .parameters import Parameters
from .refusal import Refusal

_MOST_TAGS = 200
"""A query with more tags in one region depends on the whole region."""

NO_ROW = b"none"
"""The tag of a query that no row can matter to."""


@dataclass(frozen=True)
class Source:
    """The rows of one table, for those who watch them.

    Args:
        table: The table's name.
        space: What its keys are called: only its name matters.
        tagset: The columns that its rows can be told by.
        region: How its rows are cached as entities; None where they are not.
    """

    table: str
    space: Any
    tagset: TagSet
    region: Region | None


Sources = Callable[[Table], Source | None]


@dataclass(frozen=True)
class Way:
    """One way for rows to matter: a column has one of these values, by parameter name."""

    column: Column[Any]
    names: tuple[str, ...]
    null: bool
    """It may be NULL, too."""


@dataclass(frozen=True)
class Watch:
    """What a query depends on in one table; with None as its ways, on every row.

    With `members`, on which rows there are, and not on what is in them. With `named`, on the rows
    that the result names, and these are read with it.
    """

    source: Source
    ways: tuple[Way, ...] | None
    members: bool = False
    named: bool = False

    def tags(self, values: Mapping[str, Any]) -> list[bytes]:
        """The tags that matter with these values; none when the whole region does."""
        if self.members or self.named:
            return [MEMBERS if self.members else NO_ROW]
        if self.ways is None:
            return []
        found: dict[bytes, None] = {}
        for way in self.ways:
            if way.null:
                found[self.source.tagset.tag(way.column, None) or b""] = None
            for name in way.names:
                value = values[name]
                for one in value if isinstance(value, list | tuple) else (value,):
                    if one is None:
                        continue  # equal to no row
                    tag = self.source.tagset.tag(way.column, one)
                    if tag is None:
                        return []  # the database may convert it
                    found[tag] = None
                    if way.column in self.source.tagset.made:
                        found[MADE] = None
        return [] if len(found) > _MOST_TAGS else list(found) or [NO_ROW]


@dataclass(eq=False)
class QueryPlan:
    """A form of statement.

    Args:
        form: A digest of its SQL and of its result's columns, the same in every process.
        parameters: Its parameters.
        layout: What the columns of its result are.
        watches: What it depends on; its entries lie with the first.
        named: The entity of the watch that is `named`, and where the value is in a row of the
            result that refers to it.
    """

    form: bytes
    parameters: Parameters
    layout: Layout
    watches: tuple[Watch, ...]
    named: tuple[int, int] | None = None
    where: Any = None
    """Where its regions are: kept here by its caller, who works it out once."""

    def digest(self, values: Mapping[str, Any], wire: Wire, added: bytes = b"") -> bytes:
        """The name of the query with these values, and with what the application adds.

        Raises:
            EncodeError: A value has no exact form.
        """
        packed = self.parameters.packed(values, wire)
        return hashlib.blake2b(self.form + packed + added, digest_size=16).hexdigest().encode()


def plan_of(
    statement: Any,
    compiled: Any,
    dialect: Dialect,
    sources: Sources,
    max_bytes: int,
    *,
    whole: bool = False,
) -> QueryPlan | Refusal:
    """The plan of a statement, or why its results can't be cached.

    Args:
        statement: The statement as the application executes it.
        compiled: Its compiled form.
        dialect: The dialect that it is sent through.
        sources: What is known of a table; None for one whose writes are not watched.
        max_bytes: Rows larger than this are not stored.
        whole: Its entries hold all values, those of entities too: they are of one moment then,
            however old they are.
    """

    def taggable(column: Column[Any]) -> bool:
        table: Any = column.table
        source = sources(table) if isinstance(table, Table) else None
        return source is not None and column in source.tagset.columns

    found = dependencies(statement, taggable, dialect)
    if isinstance(found, Refusal):
        return found
    if not found:
        return Refusal("it reads no table", Reason.NO_TABLE)
    watches = []
    for one in found:
        source = sources(one.table)
        if source is None:
            text = f"{one.table.fullname} is of no cached model: nobody tells of its writes"
            return Refusal(text, Reason.UNCACHED_TABLE)
        watches.append(Watch(source, _ways(one, statement, compiled)))
    if not isinstance(statement, Select) and shows_withheld(statement):
        text = "it holds a column that is kept out of Redis (info={'cache': False})"
        return Refusal(text, Reason.WITHHELD_COLUMN)
    columns = private.result_expressions(compiled)

    def region_of(table: Table) -> Region | None:
        # The columns of a union are named by those of its first SELECT: its rows are no rows of
        # that one's table.
        source = sources(table) if isinstance(statement, Select) and not whole else None
        return None if source is None else source.region

    layout = layout_of(columns, region_of, dialect, max_bytes)
    if isinstance(layout, Refusal):
        return layout
    form = _form(compiled, layout, columns, dialect)
    told = _with_members(found, watches, layout)
    parameters = Parameters(compiled, dialect)
    named = next(_named(found, told, layout, columns), None)
    if named is None:
        return QueryPlan(form, parameters, layout, told)
    index, entity, place = named
    told = (*told[:index], replace(told[index], named=True), *told[index + 1 :])
    return QueryPlan(form, parameters, layout, told, (entity, place))


def _with_members(
    found: Sequence[Dependency], watches: Sequence[Watch], layout: Layout
) -> tuple[Watch, ...]:
    return tuple(
        replace(watch, members=_of_members(one, watches, watch.source, layout))
        for one, watch in zip(found, watches, strict=True)
    )


def _of_members(
    found: Dependency, watches: Sequence[Watch], source: Source, layout: Layout
) -> bool:
    """Does the result depend on which rows a table has, and not on what is in them?

    That is so where nothing of it is used but its primary key. An entity of it may be in the
    result: of that the entry has the key alone. It must be the only entity: the rows of one region
    are read in one moment, and here no stamp would tell that those of two belong together.
    """
    region, key = source.region, list(found.table.primary_key.columns)
    if found.ways is not None or found.beside_key is None or region is None:
        return False
    if region.key_columns != key or not source.tagset.columns.keys() >= set(key):
        return False  # a write may change the key without a word
    if sum(one.source.space.name == source.space.name for one in watches) > 1:
        return False
    shown = 0
    for entity in layout.entities:
        if entity.region is region:
            if len(layout.entities) > 1:
                return False
            shown = sum(not region.columns[at].primary_key for _, at in entity.columns)
    return found.beside_key == shown


def _named(
    found: Sequence[Dependency],
    watches: Sequence[Watch],
    layout: Layout,
    columns: Sequence[Any],
) -> Iterator[tuple[int, int, int]]:
    """Of which table does the result depend on the rows alone that it names?

    On those of an entity that is joined by its primary key to a column of another one, where
    nothing else is used of it: while the other's rows stay the same, so do the keys in the result.
    One table at most: the rows of two are read in two moments. Yields the place of its watch, of
    its entity, and of the column that refers to it.
    """
    if any(watch.members for watch in watches):
        return
    for index, (one, watch) in enumerate(zip(found, watches, strict=True)):
        region, refers = watch.source.region, one.refers
        if index == 0 or refers is None or one.ways is not None or region is None:
            continue
        key = list(one.table.primary_key.columns)
        if region.key_columns != key or not watch.source.tagset.columns.keys() >= set(key):
            continue
        own = [place for place, one in enumerate(layout.entities) if one.region is region]
        spaces = [other.source.space.name for other in watches]
        if len(own) != 1 or spaces.count(watch.source.space.name) > 1:
            continue
        filled = layout.entities[own[0]].columns
        shown = sum(not region.columns[at].primary_key for _, at in filled)
        at = next((place for place, column in enumerate(columns) if column is refers), None)
        if one.beside_key == shown and at is not None:
            yield index, own[0], at


def _ways(found: Dependency, statement: Any, compiled: Any) -> tuple[Way, ...] | None:
    if found.ways is None:
        return None
    ways = []
    for tagged in found.ways:
        names = [
            private.parameter_name(compiled, statement, value)
            for value in tagged.values
            if value is not None
        ]
        known = tuple(name for name in names if name is not None)
        if len(known) < len(names):
            return None
        null = any(value is None for value in tagged.values)
        ways.append(Way(tagged.column, known, null))
    return tuple(ways)


def _form(compiled: Any, layout: Layout, columns: Sequence[Any], dialect: Dialect) -> bytes:
    parts = [str(compiled.string)]
    parts += [f"{entity.region.field!r} {entity.columns}" for entity in layout.entities]
    parts += [repr(column.type) for column in columns]
    # Of the other columns the types alone: what they are is in the SQL, but for the parameters of
    # whichever call came first, which are none of the form's.
    others = [type_coerce(null(), columns[place].type) for place in layout.others]
    parts.append(fingerprint_of(others, dialect))
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
