"""Going around the cache, refreshing it, emptying it, and what it counts."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import select

from sqlalchemy_rediscache import ConfigurationError, refresh_cache, skip_cache
from tests.fix_caches import CacheMaker
from tests.integration.models import Log, User
from tests.integration.stage import Stage

BEHIND = "UPDATE users SET city = 'behind' WHERE id = 1"


@pytest.mark.stale_allowed
@pytest.mark.parametrize("how", ["option", "execution option"])
def test_skip_cache(stage: Stage, how: str) -> None:
    """A skipping statement gets the database's row and leaves the cached one alone."""
    stage.warm(User, 1)
    stage.behind(BEHIND)
    with stage.Session() as session:
        if how == "option":
            user = session.get_one(User, 1, options=[skip_cache()])
        else:
            user = session.get_one(User, 1, execution_options={"skip_cache": True})
        assert user.city == "behind"
    with stage.Session() as session:
        statement = select(User).where(User.id == 1)
        if how == "option":
            statement = statement.options(skip_cache())
        else:
            statement = statement.execution_options(skip_cache=True)
        assert session.scalars(statement).one().city == "behind"
    with stage.Session() as session:
        assert session.get_one(User, 1).city == "x"


@pytest.mark.parametrize("how", ["option", "execution option"])
@pytest.mark.parametrize("by", ["get", "select"])
def test_refresh_cache(stage: Stage, how: str, by: str) -> None:
    """A refreshing statement gets the database's row and puts it in the cache."""
    stage.warm(User, 1)
    stage.behind(BEHIND)
    with stage.Session() as session:
        options = {"refresh_cache": True} if how == "execution option" else {}
        given = [refresh_cache()] if how == "option" else []
        if by == "get":
            user = session.get_one(User, 1, options=given, execution_options=options)
        else:
            statement = select(User).where(User.id == 1).options(*given)
            user = session.scalars(statement.execution_options(**options)).one()
        assert user.city == "behind"
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(User, 1).city == "behind"
    assert count.statements == []


@pytest.mark.stale_allowed
def test_skip_cache_goes_on_to_lazy_loads(stage: Stage) -> None:
    """What is loaded lazily from a skipping statement's objects skips the cache too."""
    stage.warm(User, 1)
    with stage.Plain.begin() as session:
        session.add(Log(id=1, user_id=1))
    stage.behind(BEHIND)
    with stage.Session() as session:
        log = session.scalars(select(Log).options(skip_cache())).one()
        assert log.user is not None
        assert log.user.city == "behind"


@pytest.mark.stale_allowed
def test_bypass(stage: Stage) -> None:
    """Within the block the database is asked and nothing is filled; writes still invalidate."""
    stage.warm(User, 1)
    stage.behind(BEHIND)
    before = stage.cache.stats()
    with stage.cache.bypass(), stage.Session() as session:
        assert session.get_one(User, 1).city == "behind"
        assert session.get_one(User, 2).name == "bob"
        assert stage.cache.stats() == before
    with stage.cache.bypass(), stage.Session.begin() as session:
        session.get_one(User, 2).city = "new"
    with stage.Session() as session:
        assert session.get_one(User, 1).city == "x"
        assert session.get_one(User, 2).city == "new"


def test_invalidate_a_row(stage: Stage) -> None:
    """One row is forgotten, the others stay."""
    stage.warm(User, 1, 2)
    stage.behind(BEHIND)
    stage.cache.invalidate(User, 1)
    with stage.counting() as count, stage.Session() as session:
        assert session.get_one(User, 2).name == "bob"
    assert count.statements == []
    with stage.Session() as session:
        assert session.get_one(User, 1).city == "behind"


@pytest.mark.parametrize("what", ["model", "all"])
def test_invalidate_everything(stage: Stage, what: str) -> None:
    """A model's rows, or all, are forgotten by every cache on the server."""
    stage.warm(User, 1, 2)
    stage.behind("UPDATE users SET city = 'behind'")
    if what == "model":
        stage.cache.invalidate(User)
    else:
        stage.cache.clear()
    for number in (1, 2):
        with stage.Session() as session:
            assert session.get_one(User, number).city == "behind"


def test_invalidate_reaches_other_processes(stage: Stage, make_cache: CacheMaker) -> None:
    """A second cache object, as another process has, does not serve what the first forgot."""
    other = Stage(stage.database, make_cache())
    other.warm(User, 1)
    stage.behind(BEHIND)
    stage.warm(User, 2)
    stage.cache.invalidate(User, 1)
    with other.Session() as session:
        assert session.get_one(User, 1).city == "behind"
    stage.behind("UPDATE users SET city = 'again'")
    stage.cache.clear()
    with other.Session() as session:
        assert session.get_one(User, 1).city == "again"


def test_wrong_use_of_invalidate_is_an_error(stage: Stage) -> None:
    """A class that is not cached or a key of another type is told, not ignored."""
    stage.warm(User, 1)
    with pytest.raises(ConfigurationError, match="not a cached model"):
        stage.cache.invalidate(Log, 1)
    with pytest.raises(ConfigurationError, match="not of the type"):
        stage.cache.invalidate(User, "one")
    with pytest.raises(ConfigurationError, match="1 columns"):
        stage.cache.invalidate(User, (1, 2))


def test_clear_leaves_other_prefixes_alone(
    stage: Stage, make_cache: CacheMaker, redis_client: redis.Redis
) -> None:
    """Only this cache's keys go."""
    other = Stage(stage.database, make_cache(prefix="other"))
    other.warm(User, 1)
    stage.warm(User, 1)
    redis_client.set("t:mine", "kept", ex=60)
    stage.cache.clear()
    with other.counting() as count, other.Session() as session:
        session.get(User, 1)
    assert count.statements == []
    assert redis_client.get("t:mine") == b"kept"


def test_stats_count_what_happened(stage: Stage) -> None:
    """Hits, misses, fills and published rows, without a round trip."""
    stage.warm(User, 1, 1, 1, 99, 99)
    stats = stage.cache.stats()
    assert (stats.hits, stats.negative_hits, stats.misses) == (3, 1, 2)
    assert stats.hit_ratio == pytest.approx(0.6)
    assert stats.stores == stats.fills + stats.published
    with stage.counting() as count:
        stage.cache.stats()
    assert count.trips == 0
    with stage.Session.begin() as session:
        session.get_one(User, 1).city = "new"
    assert stage.cache.stats().invalidated + stage.cache.stats().published == 1
