"""What a statement asks of the cache, and what it asks beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import ORMExecuteState

from .. import private
from ..options import CacheOption
from ..stats import Reason

HARMLESS_OPTIONS = frozenset(
    {"_sa_orm_load_options", "_result_disable_adapt_to_context", "prebuffer_rows", "autoflush",
     "skip_cache", "refresh_cache", "sa_top_level_orm_context", "compiled_cache", "logging_token"}
)  # fmt: skip
"""Execution options that don't change what a statement returns."""
_NO_OPTIONS: Mapping[str, CacheOption] = MappingProxyType({})


def asks_refresh(state: ORMExecuteState) -> bool:
    """Does an execution option, of the statement or set by a listener, ask for a refresh?"""
    given = private.listeners_options(state)
    return bool(
        state.execution_options.get("refresh_cache") or (given and given.get("refresh_cache"))
    )


def cache_options(state: ORMExecuteState) -> Mapping[str, CacheOption]:
    """What the statement asks of the cache, by mode; of several of one mode the last."""
    given = private.options_given(state.statement)
    if not given:
        return _NO_OPTIONS
    return {option.mode: option for option in given if isinstance(option, CacheOption)}


def strange_options(options: Mapping[str, Any]) -> set[str]:
    """Execution options that could change what a statement returns."""
    strange = options.keys() - HARMLESS_OPTIONS
    return {one for one in strange if not private.of_subquery_load(one)} if strange else strange


def objection(state: ORMExecuteState, *, plainly: bool) -> Reason | None:
    """What is asked for beside the statement that could change what it returns."""
    if not plainly:
        if private.is_user_refresh(state) or private.populates_existing(state):
            return Reason.RELOAD
        if private.checks_version(state):
            return Reason.LOCKING
        if private.identity_token(state) is not None:
            return Reason.BINDING
    if strange_options(state.execution_options):
        return Reason.EXECUTION_OPTION
    return Reason.LISTENER if private.has_listeners_after(state) else None
