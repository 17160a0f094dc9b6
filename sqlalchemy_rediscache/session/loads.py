"""A row that a lookup missed: loaded, kept, and made an object of, without SQLAlchemy's ORM.

What makes an object of a cached row makes one of a row that the database has just returned, in a
tenth of the time of the ORM's loading: that pays for a good part of a miss's round trips to Redis.
The statement is SQLAlchemy's own, the one that it built for the first row that was missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy.engine import Row as ResultRow
from sqlalchemy.orm import LoaderCallableStatus, Mapper, ORMExecuteState, Session

from .. import private
from ..region import Region
from ..row import Row
from ..store import Lease
from .access import Access, Services
from .events_seen import only_own_listeners
from .hydrate import hydrate
from .recognise import key_parameters
from .unit import expect_statement, unit_of

ABSENT = LoaderCallableStatus.PASSIVE_CLASS_MISMATCH
"""What SQLAlchemy takes for "there is no such object, and no need to ask the database"."""

_PLAIN_OPTIONS = frozenset({"_sa_orm_load_options", "_result_disable_adapt_to_context"})


class RowStatement(NamedTuple):
    """How SQLAlchemy loads one row of a class.

    Args:
        version: For which state of the models, and how many attributes of the class.
        statement: The SELECT.
        options: The execution options that came with it.
        names: What its parameters are called, in the order of the key's columns.
    """

    version: tuple[object, int]
    statement: Any
    options: Mapping[str, Any]
    names: tuple[str, ...]


class Asked(NamedTuple):
    """The row that a lookup asked for, and did not find.

    Args:
        mapper: Its class.
        identity: The values of its primary key.
        token: The last part of its key in Redis.
        shard: The identity token of its object.
        path: The load path of its object.
        options: The options that the object hands on.
    """

    mapper: Mapper[Any]
    identity: Sequence[Any]
    token: bytes
    shard: Any
    path: Any
    options: tuple[Any, ...]


class Loads:
    """Loads single rows for one cache's sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def learn(
        self, access: Access, mapper: Mapper[Any], state: ORMExecuteState, cursor: Any
    ) -> None:
        """Remember a statement that SQLAlchemy built for one row of a class, if it is a plain one.

        Args:
            access: Where the row is.
            mapper: The class.
            state: The statement, which asks for plain entities of the class by its key.
            cursor: What the database answered.
        """
        memo, options = access.engine.memo(mapper), state.local_execution_options
        parameters: Any = state.parameters
        keys = key_parameters(state.statement, parameters, mapper)
        if keys is None or options.keys() - _PLAIN_OPTIONS or not _has_all(cursor, access.region):
            return
        memo.load = RowStatement(self._version(mapper), state.statement, options, keys)

    def _version(self, mapper: Mapper[Any]) -> tuple[object, int]:
        return self._services.models.version, private.property_count(mapper)

    def load(self, session: Session, access: Access, asked: Asked, lease: Lease | None) -> Any:
        """The object of a row that was missed, `ABSENT`, or None to have SQLAlchemy load it.

        Args:
            session: The session, which does not have the object.
            access: Where the row is.
            asked: The row.
            lease: The lease to fill it under, if one was granted.
        """
        known: RowStatement | None = access.engine.memo(asked.mapper).load
        loadable = (
            known is not None
            and known.version == self._version(asked.mapper)
            and private.own_bindings(session)
            and _unheard(asked.mapper, access.region)
        )
        if known is None or not loadable:
            _leave(session, access, asked, lease)
            return None
        reads, scripts, region = self._services.reads, access.scripts, access.region
        filled = False
        try:
            found = self._rows(session, region, asked, known)
            values = found[0] if found is not None and len(found) == 1 else None
            row = None if values is None else region.row(values)
            sure = found == [] or (row is not None and row.key == asked.token)
            if sure and lease is not None and not unit_of(session).closed:
                filled = True
                reads.fill(scripts, region, [(lease, values)])
        finally:
            if lease is not None and not filled:
                reads.give_back(scripts, [lease])
        if found == []:
            return ABSENT
        made = None
        if sure and row is not None:
            made = _made(session, region, row, asked)
        if made is None:  # not what was expected: SQLAlchemy has its own ways
            _leave(session, access, asked, None)
        return made

    @staticmethod
    def _rows(
        session: Session, region: Region, asked: Asked, known: RowStatement
    ) -> list[list[Any]] | None:
        """The rows that the database returns, in the order of the region's columns.

        None where it lacks some: SQLAlchemy goes on with what it compiled before a class got them.
        """
        connection = private.connection_of(session, {"mapper": asked.mapper})
        parameters = dict(zip(known.names, asked.identity, strict=True))
        cursor: Any = connection.execute(
            known.statement, parameters, execution_options=known.options
        )
        rows = cast(Sequence[ResultRow[Any]], cursor.all())
        if not _has_all(cursor, region):
            return None
        at = private.result_places(cursor.context.compiled)
        places = [at[column] for column in region.columns]
        return [[row[place] for place in places] for row in rows]


def _leave(session: Session, access: Access, asked: Asked, lease: Lease | None) -> None:
    """Leave the load to SQLAlchemy, whose statement comes next."""
    expected = (access.place, asked.token, access.region.field)
    expect_statement(session, expected, lease, is_async=access.engine.is_async)


def _has_all(cursor: Any, region: Region) -> bool:
    return private.result_places(cursor.context.compiled).keys() >= region.index.keys()


def _made(session: Session, region: Region, row: Row, asked: Asked) -> Any:
    """The object of a row; None where there is one by now, or the row is of no class of these."""
    mapper = region.mapper if region.only_class else region.concrete(row)
    if mapper is None:
        return None
    key = (private.identity_class(mapper), row.identity, asked.shard)
    if not private.none_present(session, [key]):  # a listener to the statement loaded it
        return None
    return hydrate(session, region, row, asked.shard, asked.path, asked.options)


def _unheard(mapper: Mapper[Any], region: Region) -> bool:
    """Would no listener to loads of a class, or of those below it, want to see the query?"""
    if region.only_class:
        return only_own_listeners(mapper.class_manager.dispatch.load)
    return all(
        only_own_listeners(one.class_manager.dispatch.load)
        for one in private.with_subclasses(mapper)
    )
