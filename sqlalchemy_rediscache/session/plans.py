"""`WritePlan`: what a write to a mapped class or a table means for the cached regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Table
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper

from .. import private
from ..models import Models, tables_of
from ..policy import CachePolicy
from ..query.plan import Source
from ..region import KeySpace, Region
from ..tags import TagSet
from .engines import EngineInfo
from .foreign_keys import reached_by_delete, reached_by_update


class AssociationSpace:
    """The keys of a table that relates cached classes: no rows, only what depends on it.

    Args:
        table: The table.
        dialect: Whose values it has.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self.table = table
        self.name = between(table.fullname)
        self.tagset = TagSet(table, CachePolicy(), dialect, lambda column: False)

    def words(self, parameters: Mapping[str, Any]) -> list[bytes] | None:
        """The tags of a row that is written with these parameters; None where one is not known."""
        found = []
        for column in self.tagset.columns:
            tag = None
            if column.key in parameters:
                tag = self.tagset.tag(column, parameters[column.key])
            if tag is None:
                return None
            found.append(tag)
        return found


def between(fullname: str) -> str:
    """The name of the keys of a table that relates cached classes."""
    return f"between-{fullname}"


class Named(NamedTuple):
    """A region of which no more is known than its name."""

    name: str


Emptied = KeySpace | Region | AssociationSpace | Named
"""What is emptied as a whole: only its name matters."""


@dataclass(frozen=True)
class WritePlan:
    """What to invalidate when rows of one class are written by a flush.

    Args:
        region: The class's own region, whose rows are known one by one; None if not cached.
        beside: Regions of other classes on the same tables under other keys: emptied whole.
        on_delete: Regions whose rows the database changes when rows are deleted.
        on_key_change: Regions whose rows the database changes when keys are updated.
        keys: The attributes of the primary key.
        kinds: What flushes made of this plan, for each tenant and schema map.
    """

    region: Region | None
    beside: tuple[Emptied, ...]
    on_delete: tuple[Emptied, ...]
    on_key_change: tuple[Emptied, ...]
    keys: frozenset[str]
    kinds: dict[Any, Any] = field(default_factory=dict, compare=False)


class Plans:
    """Makes and keeps write plans for one cache.

    Args:
        models: Which classes are cached.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    @property
    def version(self) -> object:
        """Another one whenever an earlier answer may have changed."""
        return self._models.version

    def plan(self, mapper: Mapper[Any], engine: EngineInfo) -> WritePlan:
        """The plan of a class on an engine."""
        memo = engine.memo(mapper)
        known, count = memo.plan, private.property_count(mapper)
        if known is not None and known[0] is self._models.version and known[2] == count:
            return known[1]  # type: ignore[no-any-return]
        tables = tables_of(mapper)
        region = engine.region(mapper)
        if region is None:  # a class that is not cached, of a hierarchy that is
            bases = (engine.region(base) for base in mapper.iterate_to_root())
            region = next((base for base in bases if base is not None), None)
        name = None if region is None else region.name
        plan = WritePlan(
            region,
            tuple(one for one in self.of_tables(tables, engine) if one.name != name),
            self.of_tables(reached_by_delete(tables), engine),
            self.of_tables(reached_by_update(tables), engine),
            frozenset(mapper.get_property_by_column(one).key for one in mapper.primary_key),
        )
        memo.plan = (self._models.version, plan, count)
        return plan

    def of_tables(self, tables: Iterable[Table], engine: EngineInfo) -> tuple[Emptied, ...]:
        """One region for each set of keys that holds rows of any of these tables."""
        wanted = {(table.schema, table.name) for table in tables}
        found: dict[str, Emptied] = {}
        if wanted:
            for mapper in self._models.cached():
                if any((table.schema, table.name) in wanted for table in tables_of(mapper)):
                    region = engine.key_space(mapper)
                    if region is not None and (
                        region.name not in found or isinstance(region, Region)
                    ):
                        found[region.name] = region
            for table in tables:
                space = self.association(table, engine)
                if space is not None:
                    found[space.name] = space
        return tuple(found.values())

    def source(self, table: Table, engine: EngineInfo) -> Source | None:
        """What is known of a table whose writes are told to the cache; None of another."""
        spaces = self.of_tables((table,), engine)
        if not spaces:
            return None
        # A class of another metadata may have a table of the same name: its region is another's.
        mappers = [one for one in self._models.cached() if one.configured]
        mapped = [engine.region(one) for one in mappers if table in tables_of(one)]
        regions = [one for one in mapped if one is not None]
        regions = regions or [one for one in spaces if isinstance(one, Region)]
        own = [one for one in regions if one.only_class and one.mapper.local_table is table]
        # What a root class loads of its table is the same of every row, whatever its class; what a
        # subclass has beside it is a value of the result like others.
        own = own or [
            one for one in regions
            if one.mapper.inherits is None and one.mapper.local_table is table
        ]  # fmt: skip
        if own:
            return Source(table.fullname, own[0], own[0].tagset, own[0])
        if regions:
            return Source(table.fullname, regions[0], regions[0].tagset, None)
        space = spaces[0]
        if not isinstance(space, AssociationSpace):
            return None
        return Source(table.fullname, space, space.tagset, None)

    def association(self, table: Table, engine: EngineInfo) -> AssociationSpace | None:
        """The space of a table that cached classes are related through."""
        known = engine.associations.get(table)
        if known is None or known[0] is not self._models.version:
            mappers = list(self._models.cached())
            # What a class that is not configured is related through, is not known yet; another
            # process may know it, and keep what depends on any table between two others.
            open_ = any(not mapper.configured for mapper in mappers)
            related = (open_ and len(table.foreign_key_constraints) > 1) or any(
                relationship.secondary is table
                for mapper in mappers
                if mapper.configured
                for relationship in mapper.relationships
            )
            space = AssociationSpace(table, engine.dialect) if related else None
            known = (None if open_ else self._models.version, space)
            engine.associations[table] = known
        return known[1]

    def all(self, engine: EngineInfo) -> tuple[Emptied, ...]:
        """Every region that an engine may touch, one for each set of keys."""
        found: dict[str, Emptied] = {}
        tables: set[Table] = set()
        for mapper in self._models.cached():
            region = engine.key_space(mapper)
            if region is not None:
                found[region.name] = region
            tables.update(tables_of(mapper))
        for metadata in {table.metadata for table in tables}:
            for table in metadata.tables.values():
                space = None if table in tables else self.association(table, engine)
                if space is not None:
                    found[space.name] = space
        return tuple(found.values())
