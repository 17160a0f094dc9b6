"""What a closed cache leaves behind: nothing."""

from __future__ import annotations

import gc

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin
from tests.fix_caches import CacheMaker


class Base(DeclarativeBase):
    """The models of this file."""


class Leaf(CacheMixin, Base):
    """A row."""

    __tablename__ = "leaf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_an_engine_outlives_the_one_that_shares_its_dialect(
    engine: Engine, make_cache: CacheMaker
) -> None:
    """A closed cache hears no engine, though it met it under options that are gone since."""
    Base.metadata.create_all(engine)
    cache = make_cache()
    factory = cache.enable(sessionmaker(engine.execution_options(schema_translate_map={})))
    with factory() as session:
        assert session.get(Leaf, 1) is None
    cache.disable(factory)
    del session, factory
    gc.collect()
    hooks = cache._hooks.engine_events
    cache.close()
    assert not event.contains(engine, "do_execute", hooks.on_execute)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO leaf VALUES (1, 'a')"))
