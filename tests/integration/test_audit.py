"""The judge itself: it finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

from typing import cast

import pytest
import redis
from sqlalchemy import ForeignKey, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, undefer

from sqlalchemy_rediscache import CacheMixin, ConfigurationError
from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.servers import Database


class _Base(DeclarativeBase):
    pass


class Letter(CacheMixin, _Base):
    """With a deferred column."""

    __tablename__ = "letter"
    id: Mapped[int] = mapped_column(primary_key=True)
    head: Mapped[str]
    body: Mapped[str] = mapped_column(deferred=True)


class Stamp(CacheMixin, _Base):
    """Its deferred foreign key comes with the letter, which is joined."""

    __tablename__ = "stamp"
    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letter.id"), deferred=True)
    letter: Mapped[Letter] = relationship(lazy="joined")


def entry(client: redis.Redis, number: int) -> tuple[bytes, bytes]:
    """The key and field of a user's row."""
    (key,) = client.scan_iter(match=f"*{{users@*:{number}")
    fields = cast("list[bytes]", client.hkeys(key))
    (field,) = [field for field in fields if field.startswith(b"row:")]
    return key, field


def test_it_is_content_with_a_right_cache(stage: Stage) -> None:
    """Rows, and absences, that are as in the database."""
    stage.warm(User, 1, 2, 99)
    assert audit(stage.cache, stage.engine) == []
    assert audit(stage.cache, stage.outside) == []


@pytest.mark.stale_allowed
def test_it_finds_what_was_changed_behind_the_cache(stage: Stage) -> None:
    """A changed, a deleted and an inserted row are each named."""
    stage.warm(User, 1, 2, 3, 99)
    stage.behind("UPDATE users SET city = 'new' WHERE id = 1")
    stage.behind("DELETE FROM users WHERE id = 2")
    stage.behind("INSERT INTO users (id, name) VALUES (99, 'zoe')")
    changed, deleted, inserted = audit(stage.cache, stage.engine)
    assert "users.city: the cache has 'x', the database 'new'" in changed
    assert "the database has no such row" in deleted
    assert "the cache says there is no such row" in inserted


@pytest.mark.stale_allowed
def test_it_finds_what_does_not_decode(stage: Stage, redis_client: redis.Redis) -> None:
    """A broken entry, and the row of another key."""
    stage.warm(User, 1, 2, 3)
    key, field = entry(redis_client, 1)
    redis_client.hset(key, field, redis_client.hget(*entry(redis_client, 2)))
    redis_client.hset(*entry(redis_client, 3), b"\xff\xff")
    other, broken = audit(stage.cache, stage.engine)
    assert "the row of another key" in other
    assert "does not decode" in broken


@pytest.mark.stale_allowed
def test_it_finds_deferred_columns(database: Database, make_cache: CacheMaker) -> None:
    """The fields of deferred columns are judged like rows."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        session.add(Letter(id=1, head="h", body="b"))
    for _ in range(2):
        with stage.Session() as session:
            assert session.get_one(Letter, 1).body == "b"
        with stage.Session() as session:
            assert session.get_one(Letter, 1, options=[undefer(Letter.body)]).body == "b"
    assert audit(stage.cache, stage.engine) == []
    stage.behind("UPDATE letter SET body = 'new'")
    assert any("letter.body" in line for line in audit(stage.cache, stage.engine))


@pytest.mark.stale_allowed
def test_it_finds_a_deferred_foreign_key(database: Database, make_cache: CacheMaker) -> None:
    """In the row of a class that loads an object by it: with an eager join it is not deferred."""
    stage = Stage(database, make_cache(), _Base.metadata)
    with stage.Plain.begin() as session:
        letters = [Letter(id=number, head="h", body="b") for number in (1, 2)]
        session.add_all([*letters, Stamp(id=1, letter=letters[0])])
    with stage.Session() as session:
        stamp = session.get_one(Stamp, 1)
        session.commit()
        session.refresh(stamp)
    assert audit(stage.cache, stage.engine) == []
    stage.behind("UPDATE stamp SET letter_id = 2")
    assert any("stamp.letter_id" in line for line in audit(stage.cache, stage.engine))


def test_it_compiles_no_class_without_entries(stage: Stage) -> None:
    """What it costs follows what Redis holds, not how many classes there are."""
    stage.warm(User, 1)
    assert audit(stage.cache, stage.engine) == []
    engine = stage.cache._services.engine(stage.engine)
    assert engine.memo(inspect(User)).region is not None
    assert engine.memo(inspect(Letter)).region is None


def test_it_needs_a_synchronous_engine(stage: Stage) -> None:
    """Anything else is refused with a word about what is wanted."""
    with pytest.raises(ConfigurationError, match="Engine"):
        audit(stage.cache, stage.database.async_engine())  # type: ignore[arg-type]
