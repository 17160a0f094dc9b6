"""What an integration test stands on: a database, a cache, factories with and without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, MetaData, event, text
from sqlalchemy.orm import Session, sessionmaker

from sqlalchemy_rediscache import RedisCache
from tests.integration.models import Base, Team, User
from tests.servers import Database


@dataclass
class Count:
    """What happened within a `Stage.counting` block."""

    statements: list[str] = field(default_factory=list)
    trips: int = 0

    @property
    def selects(self) -> int:
        """How many SELECTs the database got."""
        return sum(1 for one in self.statements if one.lstrip().upper().startswith("SELECT"))


class Stage:
    """A database with the tables of some models, and a cache.

    Args:
        database: Where the rows are.
        cache: What is tested.
        metadata: The tables to create.
        begin: Have SQLite begin transactions where SQLAlchemy does (see `make_engine`).

    Attributes:
        Session: A factory that the cache serves.
        Plain: A factory on the same engine that it does not serve.
    """

    def __init__(
        self,
        database: Database,
        cache: RedisCache,
        metadata: MetaData = Base.metadata,
        *,
        begin: bool = False,
    ) -> None:
        self.database = database
        self.cache = cache
        self.engine = make_engine(database, begin=begin)
        self.outside = make_engine(database)
        metadata.create_all(self.outside)
        self.Session: sessionmaker[Session] = cache.enable(sessionmaker(self.engine))
        self.Plain = sessionmaker(self.outside)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.database.name == "sqlite"

    def populate(self) -> None:
        """Put a team and three users in the database, without telling the cache."""
        with self.Plain.begin() as session:
            session.add(Team(id=1, name="red"))
            session.flush()
            for number, name in enumerate(("ann", "bob", "cid"), start=1):
                session.add(User(id=number, name=name, city="x", team_id=1))

    def warm(self, model: Any, *keys: Any) -> None:
        """Have the cache hold rows."""
        for key in keys:
            with self.Session() as session:
                session.get(model, key)

    def behind(self, statement: str) -> None:
        """Run SQL that the cache does not hear of."""
        with self.outside.begin() as connection:
            connection.execute(text(statement))

    @contextmanager
    def counting(self) -> Iterator[Count]:
        """Count statements and round trips to Redis."""
        count = Count()
        before = self.cache.stats().round_trips

        def executed(
            connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
        ) -> None:
            count.statements.append(statement)

        event.listen(self.engine, "before_cursor_execute", executed)
        try:
            yield count
        finally:
            event.remove(self.engine, "before_cursor_execute", executed)
            count.trips = self.cache.stats().round_trips - before


def make_engine(database: Database, *, begin: bool = False, **options: Any) -> Engine:
    """An engine that checks foreign keys.

    Args:
        database: Where.
        begin: Take the beginning of SQLite's transactions out of the driver's hands, as
            SQLAlchemy's documentation advises those who use savepoints.
        options: Passed to `create_engine`.
    """
    engine = database.engine(**options)
    if database.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connected(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")
            if begin:
                connection.isolation_level = None

        if begin:

            @event.listens_for(engine, "begin")
            def began(connection: Any) -> None:
                connection.exec_driver_sql("BEGIN")

    return engine
