"""The caching recipe of the SQLAlchemy documentation, rebuilt with dogpile.cache for comparison.

It follows the documented plan: a dogpile region on Redis, a user-defined option that asks for the
region, and a `do_orm_execute` hook that answers from it with `merge_frozen_result`. It does not
invalidate anything when a row is written: an application has to do that itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from dogpile.cache import CacheRegion, make_region
from dogpile.cache.util import sha1_mangle_key
from sqlalchemy import FrozenResult, Result, event
from sqlalchemy.orm import (
    InstrumentedAttribute,
    ORMExecuteState,
    QueryableAttribute,
    Session,
    sessionmaker,
)
from sqlalchemy.orm.interfaces import UserDefinedOption
from sqlalchemy.orm.loading import merge_frozen_result


class FromRegion(UserDefinedOption):
    """Statement option: answer this statement, but not its lazy loads, from the region."""

    propagate_to_loaders = False


class RelatedFromRegion(UserDefinedOption):
    """Statement option: answer the lazy loads of one relationship from the region."""

    propagate_to_loaders = True

    def __init__(self, relation: QueryableAttribute[Any] | InstrumentedAttribute[Any]) -> None:
        super().__init__((relation.class_, relation.key))

    def covers(self, execution: ORMExecuteState) -> bool:
        """Return whether `execution` is a lazy load of this option's relationship."""
        path: Any = execution.loader_strategy_path
        mapper, prop = path[-2], path[-1]
        owner, key = cast("Any", self.payload)
        return bool(prop.key == key and mapper.class_ is owner)


class DogpileRecipe:
    """A dogpile region on Redis, and the hook that serves the statements which ask for it.

    Args:
        url: the Redis URL.
        prefix: put before every key.
        expiration: seconds for which an entry is served, and for which Redis keeps it.
    """

    def __init__(self, url: str, prefix: str, expiration: int = 3600) -> None:
        def mangle(key: str) -> str:
            hashed: str = sha1_mangle_key(key.encode())
            return f"{prefix}:{hashed}"

        self.prefix = prefix
        self.region: CacheRegion = make_region(key_mangler=mangle).configure(
            "dogpile.cache.redis",
            expiration_time=expiration,
            arguments={"url": url, "redis_expiration_time": expiration},
        )
        self._sql_of: dict[Any, str] = {}

    def listen(self, factory: sessionmaker[Session]) -> None:
        """Serve the sessions of `factory`."""
        event.listen(factory, "do_orm_execute", self._answer)

    def close(self) -> None:
        """Close the connections to Redis."""
        self.region.backend.reader_client.close()

    def serialized_size(self, value: object) -> int:
        """Return the number of bytes of `value` in the form in which dogpile serializes it."""
        return len(self.region.backend.serializer(value))

    def _answer(self, execution: ORMExecuteState) -> Result[Any] | None:
        if not execution.is_select or not _asks(execution):
            return None

        def load() -> FrozenResult[Any]:
            return execution.invoke_statement().freeze()

        frozen = self.region.get_or_create(self._key(execution), load)
        merge: Callable[..., Callable[[], Result[Any]]] = merge_frozen_result
        return merge(execution.session, execution.statement, frozen, load=False)()

    def _key(self, execution: ORMExecuteState) -> str:
        statement: Any = execution.statement
        cache_key = statement._generate_cache_key()
        if cache_key is None:
            raise ValueError("the benchmark ran a statement that has no cache key")
        parameters: Any = execution.parameters or {}
        key: str = cache_key.to_offline_string(self._sql_of, statement, parameters)
        return key


def _asks(execution: ORMExecuteState) -> bool:
    if execution.is_relationship_load:
        return any(
            isinstance(option, RelatedFromRegion) and option.covers(execution)
            for option in execution.user_defined_options
        )
    return any(isinstance(option, FromRegion) for option in execution.user_defined_options)
