"""`Explanation`: what the cache makes of a statement, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy.engine import Engine

from .. import private
from ..codec import Wire
from ..errors import ConfigurationError, EncodeError
from ..options import CacheOption
from ..query.plan import NO_ROW, QueryPlan, Watch
from .access import Services
from .engines import EngineInfo
from .queries import Queries
from .recognise import key_lookup, unique_lookup


@dataclass(frozen=True)
class Explanation:
    """What the cache makes of a statement.

    Attributes:
        cached: Its result can come from the cache.
        how: As what: ``"rows"`` (a lookup by primary key), ``"query"`` (asked for, or by a unique
            column), or ``""``.
        why: Why not, or what would have to be done; empty where it is cached.
        key: The name of its entry, the same in every process; empty where it has none.
        depends_on: For each table what its result depends on: tags (``book.author_id = 5``), or the
            whole table.
    """

    cached: bool
    how: str
    why: str
    key: str
    depends_on: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"cached as {self.how}" if self.cached else f"not cached: {self.why}"]
        if self.key:
            lines.append(f"key: {self.key}")
        lines += [f"depends on {one}" for one in self.depends_on]
        return "\n".join(lines)


def explain(
    services: Services, queries: Queries, statement: Any, engine: Engine | None
) -> Explanation:
    """Explain a statement.

    Raises:
        ConfigurationError: It is not clear which engine is meant.
    """
    info = _engine(services, engine)
    option = next((o for o in private.options_given(statement) if isinstance(o, CacheOption)), None)
    if option is not None and option.mode == "skip":
        return Explanation(False, "", "it has the option skip_cache()", "", ())
    mapper = private.subject(statement)
    caches = mapper is not None and services.models.caches(mapper)
    if caches and mapper is not None and key_lookup(statement, None, mapper) is not None:
        return Explanation(True, "rows", "", "", (f"{mapper.local_table}: the rows of these keys",))
    state: Any = SimpleNamespace(statement=statement, parameters=None)
    found = queries.plan(state, info)
    if found is None:
        return Explanation(False, "", "SQLAlchemy has no cache key for it", "", ())
    _, plan, values = found
    if not isinstance(plan, QueryPlan):
        return Explanation(False, "", plan, "", ())
    try:
        key = plan.digest(values, Wire("")).decode()
    except EncodeError as error:
        return Explanation(
            False, "", f"its parameters can't be told apart exactly: {error}", "", ()
        )
    watches = tuple(_watched(watch, values) for watch in plan.watches)
    if option is None and not (caches and mapper is not None and unique_lookup(statement, mapper)):
        return Explanation(
            False, "", "it does not ask for it: add the option from_cache()", key, watches
        )
    return Explanation(True, "query", "", key, watches)


def _engine(services: Services, engine: Engine | None) -> EngineInfo:
    if engine is not None:
        return services.engine(engine)
    infos = [info for _, info in services.engines()]
    if len(infos) != 1:
        raise ConfigurationError(
            f"this cache has met {len(infos)} engines: say which one is meant by engine="
        )
    return infos[0]


def _watched(watch: Watch, values: Mapping[str, Any]) -> str:
    tagset = watch.source.tagset
    tags = watch.tags(values)
    if not tags:
        return f"{watch.source.table}: any row"
    if tags == [NO_ROW]:
        return f"{watch.source.table}: no row"
    names = {place: column.name for column, place in tagset.columns.items()}
    texts = []
    for tag in tags:
        text = tag.decode()
        place, _, value = text.partition("=")
        texts.append(
            f"{names[int(place)]} = {value}" if value else f"{names[int(text[:-1])]} IS NULL"
        )
    return f"{watch.source.table}: " + ", ".join(texts)
