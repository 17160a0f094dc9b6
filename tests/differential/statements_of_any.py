"""Selects of any model, in an order that is total."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import bindparam, case, exists, func, literal, select, union, union_all
from sqlalchemy.orm import Bundle, aliased, with_loader_criteria

from tests.differential.conditions import Condition, keys_of, tag_of, values_of


def _plain(model: Any, where: Condition, number: int) -> Any:
    keys = keys_of(model)
    order = [keys[0].desc(), *keys[1:]] if number % 3 == 2 else keys
    return select(model).where(where.of(model)).order_by(*order)


def _limited(model: Any, where: Condition, number: int) -> Any:
    last = sorted(values_of(model))[-1]
    statement = select(model).where(where.of(model))
    statement = statement.order_by(getattr(model, last), *keys_of(model)).limit(1 + number % 3)
    return statement.offset(1) if number % 2 else statement


def _columns(model: Any, where: Condition, number: int) -> Any:
    keys = {one.key for one in keys_of(model)}  # a column that is selected twice is not cached
    names = [name for name in sorted(values_of(model)) if name not in keys]
    value = getattr(model, names[number % len(names)])
    return (
        select(*keys_of(model), value, value.label("again"), literal(7).label("seven"))
        .where(where.of(model))
        .order_by(*keys_of(model))
    )


def _count(model: Any, where: Condition, number: int) -> Any:
    return select(func.count()).select_from(model).where(where.of(model))


def _exists(model: Any, where: Condition, number: int) -> Any:
    return select(exists(select(keys_of(model)[0]).where(where.of(model))))


def _distinct(model: Any, where: Condition, number: int) -> Any:
    column = tag_of(model, number)
    return select(column).where(where.of(model)).distinct().order_by(column)


def _grouped(model: Any, where: Condition, number: int) -> Any:
    column, key = tag_of(model, number), keys_of(model)[0]
    statement = select(column, func.count(key).label("n")).where(where.of(model))
    statement = statement.group_by(column).order_by(column)
    return statement.having(func.count() > 1) if number % 3 == 2 else statement


def _aliased(model: Any, where: Condition, number: int) -> Any:
    alias = aliased(model)
    return select(alias).where(where.of(alias)).order_by(*keys_of(alias))


def _beside(model: Any, where: Condition, number: int) -> Any:
    other = aliased(model)
    both = tag_of(model, number) == tag_of(other, number)
    return (
        select(model, other)
        .join(other, both, isouter=bool(number % 2))
        .where(where.of(model))
        .order_by(*keys_of(model), *keys_of(other))
    )


def _cte(model: Any, where: Condition, number: int) -> Any:
    key = keys_of(model)[0]
    chosen = select(key.label("key")).where(where.of(model)).distinct().cte("chosen")
    return select(model).join(chosen, key == chosen.c.key).order_by(*keys_of(model))


def _derived(model: Any, where: Condition, number: int) -> Any:
    alias = aliased(model, select(model).where(where.of(model)).subquery())
    return select(alias).order_by(*keys_of(alias))


def _united(model: Any, where: Condition, number: int) -> Any:
    key, tag = keys_of(model)[0], tag_of(model, number)
    unite = union_all if number % 2 else union
    both = unite(select(key).where(where.of(model)), select(key).where(tag.is_(None)))
    return select(model).where(key.in_(both)).order_by(*keys_of(model))


def _union_of_columns(model: Any, where: Condition, number: int) -> Any:
    key = keys_of(model)[0]
    both = union(
        select(key.label("key"), literal(1).label("part")).where(where.of(model)),
        select(key, literal(2)).where(tag_of(model, number).is_not(None)),
    )
    return both.order_by("key", "part")


def _criteria(model: Any, where: Condition, number: int) -> Any:
    more = with_loader_criteria(model, where.of(model), include_aliases=True)
    return select(model).order_by(*keys_of(model)).options(more)


def _bundled(model: Any, where: Condition, number: int) -> Any:
    bundle: Any = Bundle("both", keys_of(model)[0], getattr(model, max(values_of(model))))
    chosen = case((where.of(model), 1), else_=0).label("chosen")
    return select(bundle, chosen).order_by(*keys_of(model))


def _from_statement(model: Any, where: Condition, number: int) -> Any:
    return select(model).from_statement(_plain(model, where, 0))


def _parameter(model: Any, where: Condition, number: int) -> Any:
    tag = tag_of(model, number)
    known = values_of(model)[tag.key]
    value = known[number % len(known)]
    statement = select(model).where(where.of(model), tag == bindparam("given", type_=tag.type))
    return statement.params(given=value).order_by(*keys_of(model))


def _not_repeatable(model: Any, where: Condition, number: int) -> Any:
    return (
        select(*keys_of(model), func.now() == func.now())
        .where(where.of(model))
        .order_by(*keys_of(model))
    )


OF_ANY: Mapping[str, Callable[[Any, Condition, int], Any]] = {
    one.__name__[1:]: one
    for one in (
        _plain, _limited, _columns, _count, _exists, _distinct, _grouped, _aliased, _beside, _cte,
        _derived, _united, _union_of_columns, _criteria, _bundled, _from_statement, _parameter,
        _not_repeatable,
    )
}  # fmt: skip
"""Each makes a statement of the model, a condition, and a number that chooses details."""
