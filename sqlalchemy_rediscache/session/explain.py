"""`Explanation`: what the cache makes of a statement, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Mapper

from .. import private
from ..codec import Wire
from ..errors import ConfigurationError, EncodeError
from ..options import CacheOption
from ..policy import CachePolicy
from ..query import Refusal
from ..query.plan import NO_ROW, Watch
from ..stats import Reason
from ..tags import MADE
from .access import Services
from .asked import strange_options
from .engines import EngineInfo
from .queries import Queries
from .recognise import key_lookup, unique_lookup

_ANY_ROW = ": any row"


@dataclass(frozen=True)
class Explanation:
    """What the cache makes of a statement.

    Attributes:
        cached: Its result can come from the cache.
        how: As what: ``"rows"`` (a lookup by primary key), ``"query"`` (asked for, or by a unique
            column), or ``""``.
        why: Why not, or what would have to be done; empty where it is cached.
        reason: The same in one word, that under which `Stats.reasons` counts it; empty where it is
            cached, or is left to the database because it says so, or does not ask.
        stale_ttl: Seconds for which a result may be served that is not the latest; 0.0 where it
            never is.
        key: The name of its entry, the same in every process; empty where it has none.
        depends_on: For each table what its result depends on: tags (``book.author_id = 5``), or the
            whole table; then the tags that it was given by name.
    """

    cached: bool
    how: str
    why: str
    key: str
    depends_on: tuple[str, ...]
    reason: str = ""
    stale_ttl: float = 0.0

    def __str__(self) -> str:
        name = f" ({self.reason})" if self.reason else ""
        lines = [f"cached as {self.how}" if self.cached else f"not cached{name}: {self.why}"]
        if self.key:
            lines.append(f"key: {self.key}")
        lines += [f"depends on {one}" for one in self.depends_on]
        if self.stale_ttl:
            lines.append(f"may be stale: up to {self.stale_ttl:g} s old (stale_ttl)")
        return "\n".join(lines)


def explain(
    services: Services, queries: Queries, statement: Any, engine: Engine | None
) -> Explanation:
    """Explain a statement.

    Raises:
        ConfigurationError: It is not clear which engine is meant.
    """
    info = _engine(services, engine)
    options = {o.mode: o for o in private.options_given(statement) if isinstance(o, CacheOption)}
    execution: Mapping[str, Any] = getattr(statement, "get_execution_options", dict)()
    if "skip" in options or execution.get("skip_cache"):
        return Explanation(False, "", "it has the option skip_cache()", "", ())
    mapper = private.subject(statement)
    policy = None if mapper is None else services.models.policy(mapper)
    if mapper is not None and policy is not None:
        keys = key_lookup(statement, None, mapper)
        if keys is not None and _has_star(statement):
            keys = None
        if keys is not None and _in_rows(statement, mapper, info):
            rows = f"{mapper.local_table}: the rows of these keys"
            return Explanation(True, "rows", "", "", (rows,))
        if "cache" not in options and policy.query_defaults is not None:
            options["cache"] = policy.query_defaults
        elif keys is not None and "cache" not in options:
            return _executed(execution) or _more(queries, info, statement, len(keys), policy)
        elif "cache" not in options and _asked_by_itself(statement, mapper, policy, queries):
            options["cache"] = CacheOption("cache")
    return _executed(execution) or _query(queries, info, statement, options.get("cache"))


def _asked_by_itself(
    statement: Any, mapper: Mapper[Any], policy: CachePolicy, queries: Queries
) -> bool:
    return policy.collections and unique_lookup(statement, mapper, queries.unique)


def _in_rows(statement: Any, mapper: Mapper[Any], info: EngineInfo) -> bool:
    """Does a SELECT return nothing but what the cached rows of a class have?"""
    region = info.region(mapper)
    if region is None:
        return False
    state: Any = SimpleNamespace(statement=statement, parameters=None)
    compiled, _, _ = private.compile_cached(state, region.dialect, info.compiled)
    return region.group(private.result_columns(compiled)) is not None


def _more(
    queries: Queries, info: EngineInfo, statement: Any, keys: int, policy: CachePolicy
) -> Explanation:
    """What becomes of a lookup by key that loads more than the rows, and asks for nothing."""
    found = _query(queries, info, statement, CacheOption("cache"))
    unasked = policy.collections and keys == 1 and not any(map(_any_row, found.depends_on))
    if unasked or not found.cached:
        return found
    why = (
        "it loads more than the rows of its keys (an eager join): let the relationship be "
        'lazy="selectin", or add the option from_cache()'
    )
    return Explanation(False, "", why, found.key, found.depends_on, Reason.EAGER.value)


def _has_star(statement: Any) -> bool:
    """Does a SELECT ask for columns that only the database knows?"""
    return any(getattr(one, "is_literal", False) for one in private.selected(statement))


def _executed(options: Mapping[str, Any]) -> Explanation | None:
    """What execution options stand in the way."""
    if options.get("populate_existing"):
        return _refused("populate_existing wants the database's answer", Reason.RELOAD)
    strange = strange_options(options)
    if strange:
        names = ", ".join(sorted(strange))
        return _refused(f"it has execution options: {names}", Reason.EXECUTION_OPTION)
    return None


def _query(
    queries: Queries, info: EngineInfo, statement: Any, option: CacheOption | None
) -> Explanation:
    state: Any = SimpleNamespace(statement=statement, parameters=None)
    found = queries.plan(state, info, None, whole=option is not None and option.stale_ttl > 0)
    if found is None:
        return _refused("SQLAlchemy has no cache key for it", Reason.NO_CACHE_KEY)
    _, plan, values = found
    if isinstance(plan, Refusal):
        return _refused(plan.reason, plan.name)
    try:
        values = plan.parameters.canonical(values, Wire(""))
        key = plan.digest(values, Wire(""), option.name if option else b"").decode()
    except EncodeError as error:
        return _refused(f"its parameters can't be told apart exactly: {error}", Reason.PARAMETER)
    watches = tuple(_watched(watch, values) for watch in plan.watches)
    if option is None:
        why = "it does not ask for it: add the option from_cache()"
        return Explanation(False, "", why, key, watches)
    watches += tuple(f"the tag {name!r}" for name in option.tags)
    return Explanation(True, "query", "", key, watches, stale_ttl=option.stale_ttl)


def _refused(why: str, reason: Reason) -> Explanation:
    return Explanation(False, "", why, "", (), reason.value)


def _engine(services: Services, engine: Engine | None) -> EngineInfo:
    if engine is not None:
        return services.engine(engine)
    infos = [info for _, info in services.engines()]
    if len(infos) != 1:
        raise ConfigurationError(
            f"this cache has met {len(infos)} engines: say which one is meant by engine="
        )
    return infos[0]


def _any_row(depends_on: str) -> bool:
    return depends_on.endswith(_ANY_ROW)


def _watched(watch: Watch, values: Mapping[str, Any]) -> str:
    tagset = watch.source.tagset
    tags = watch.tags(values)
    if not tags:
        return f"{watch.source.table}{_ANY_ROW}"
    if watch.members:
        return f"{watch.source.table}: which rows there are"
    if watch.named:
        return f"{watch.source.table}: the rows that are joined"
    if tags == [NO_ROW]:
        return f"{watch.source.table}: no row"
    names = {place: column.name for column, place in tagset.columns.items()}
    texts = []
    for tag in tags:
        if tag == MADE:
            continue  # says the same of a key that is not known yet
        text = tag.decode()
        place, _, value = text.partition("=")
        texts.append(
            f"{names[int(place)]} = {value}" if value else f"{names[int(text[:-1])]} IS NULL"
        )
    return f"{watch.source.table}: " + ", ".join(texts)
