"""From the tables that a statement writes to the regions that are to be emptied."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import MetaData, Table
from sqlalchemy.engine import Connection

from ..models import Models, tables_of
from ..sql_text import Kind, Name
from .engines import EngineInfo
from .foreign_keys import reached_by_delete, reached_by_update
from .plans import Emptied, Named, Plans, between
from .relations import writes_itself_alone
from .written import Effects

logger = logging.getLogger("sqlalchemy_rediscache")

_Kinds = frozenset[Kind]


class _Reached(NamedTuple):
    """What writes to one table reach."""

    regions: frozenset[str]
    """The names of regions."""
    declared: bool
    """The metadata of the cached classes has the table."""
    cached: bool
    """The table itself is one of cached classes."""


class Reach:
    """Tells which regions hold, or depend on, rows that a statement writes.

    Those of the written tables, and of the tables that the database changes with them, by foreign
    keys that the models' metadata has. A table that no cached class is mapped to may be a view, or
    a partition, of one that is: the catalog is asked, and where it does not say that the table is
    one by itself, all regions are emptied.

    Args:
        models: Which classes are cached.
        plans: Tells the regions of tables.
    """

    def __init__(self, models: Models, plans: Plans) -> None:
        self._models = models
        self._plans = plans
        self._known: tuple[object, tuple[weakref.ref[MetaData], ...]] = (None, ())
        self._warned = False

    def regions(
        self, effects: Effects, engine: EngineInfo, connection: Connection
    ) -> tuple[Emptied, ...]:
        """What to empty.

        Args:
            effects: What is written.
            engine: Where.
            connection: The writer's.
        """
        self._models.doubt()
        metadata = self._metadata()
        if not metadata:
            return self._by_name_alone(effects)
        if effects.everything:
            return self._plans.all(engine)
        found: set[str] = set()
        asked: list[tuple[Name, bool]] = []
        written: list[Table | Name] = [*effects.tables, *effects.names]
        for one in written:
            reached = self._of(one, effects.kinds, engine, metadata)
            found |= reached.regions
            if not reached.cached:
                name = (one.schema, one.name) if isinstance(one, Table) else one
                asked.append((name, reached.declared))
        if not effects.kinds <= {Kind.DDL}:
            for name, declared in asked:
                if not writes_itself_alone(connection, engine, name, declared=declared):
                    return self._plans.all(engine)
        return tuple(Named(name) for name in found)

    def _by_name_alone(self, effects: Effects) -> tuple[Emptied, ...]:
        """Before any cached class is mapped: other processes may know some, under these names."""
        if effects.everything and not self._warned:
            self._warned = True
            logger.warning(
                "SQL that may write any table was sent before a cached class was mapped, so that "
                "it is not known what to invalidate: import the models first"
            )
        written = [(table.schema, table.name) for table in effects.tables]
        names = [".".join(part for part in name if part) for name in (*written, *effects.names)]
        return tuple(Named(one) for name in names for one in (name, between(name)))

    def _metadata(self) -> list[MetaData]:
        """Of the tables of all cached classes."""
        version, known = self._known
        if version is not self._models.version:
            version = self._models.version
            tables = (table for mapper in self._models.cached() for table in tables_of(mapper))
            found = {id(table.metadata): table.metadata for table in tables}
            known = tuple(weakref.ref(one) for one in found.values())
            self._known = (version, known)
        return [alive for one in known if (alive := one()) is not None]

    def _of(
        self, written: Table | Name, kinds: _Kinds, engine: EngineInfo, metadata: list[MetaData]
    ) -> _Reached:
        kept: dict[Any, Any]
        searched = list(metadata)
        if isinstance(written, Table):
            kept, key = engine.reached.setdefault(written, {}), kinds
            if written.metadata not in searched:
                searched.append(written.metadata)
        else:
            kept, key = engine.reached_by_name, (written, kinds)  # type: ignore[assignment]
        state = (self._models.version, sum(len(one.tables) for one in searched))
        known = kept.get(key)
        if known is None or known[0] != state:
            known = kept[key] = (state, self._reached(written, kinds, engine, metadata, searched))
        found: _Reached = known[1]
        return found

    def _reached(
        self,
        written: Table | Name,
        kinds: _Kinds,
        engine: EngineInfo,
        metadata: list[MetaData],
        searched: list[MetaData],
    ) -> _Reached:
        if isinstance(written, Table) and written.metadata in metadata:
            start, declared = {written}, True
        else:
            name = (written.schema, written.name) if isinstance(written, Table) else written
            start = set(_named(name, metadata))
            declared = bool(start)
            if isinstance(written, Table):
                start.add(written)
        among = [table for one in searched for table in one.tables.values()]
        tables = set(start)
        if Kind.DELETE in kinds:
            tables |= reached_by_delete(start, among)
        if Kind.UPDATE in kinds:
            tables |= reached_by_update(start, among)
        return _Reached(
            frozenset(one.name for one in self._plans.of_tables(tables, engine)),
            declared,
            bool(self._plans.of_tables(start, engine)),
        )


def _named(name: Name, metadata: Iterable[MetaData]) -> Iterator[Table]:
    """The tables that a name may mean.

    Schemas decide only where both sides name one: which one is meant by no name tells the
    connection's ``search_path``, and a schema map may have put another in its place.
    """
    schema = None if name[0] is None else name[0].lower()
    alike = [
        table
        for one in metadata
        for table in one.tables.values()
        if table.name.lower() == name[1].lower()
    ]
    schemas = {None if table.schema is None else table.schema.lower() for table in alike}
    meant = (schema, None) if schema is not None and schema in schemas else schemas
    for table in alike:
        if (None if table.schema is None else table.schema.lower()) in meant:
            yield table
