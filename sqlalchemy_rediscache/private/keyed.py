"""Options that are part of the key by which SQLAlchemy caches what a statement compiles to."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import UserDefinedOption


class KeyedOption(UserDefinedOption):
    """An option whose class tells statements apart, whatever it holds.

    Options of SQLAlchemy's users have no part in that key: of statements that differ in nothing
    else, the first decides whether the option goes on to the loads of related objects.
    """

    _is_has_cache_key = True

    def _gen_cache_key(self, anon_map: Any, bindparams: Any) -> tuple[Any, ...]:
        return (type(self),)
