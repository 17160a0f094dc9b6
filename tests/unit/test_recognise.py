"""Which statements are lookups by primary key, and of which keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import and_, bindparam, func, inspect, literal, not_, or_, select, tuple_
from sqlalchemy.orm import aliased, load_only

from sqlalchemy_rediscache.session.recognise import MOST_KEYS, key_lookup
from tests.private.models import Child, Dog, Pair, Parent

ALIAS = aliased(Child)
Case = tuple[Callable[[], Any], dict[str, Any], Any, Any]

CASES: dict[str, Case] = {
    "equality": (lambda: select(Child).where(Child.id == 1), {}, Child, [(1,)]),
    "reversed": (lambda: select(Child).where(literal(1) == Child.id), {}, Child, [(1,)]),
    "parameter": (
        lambda: select(Child).where(Child.id == bindparam("x")), {"x": 5}, Child, [(5,)]),
    "filter by": (lambda: select(Child).filter_by(id=3), {}, Child, [(3,)]),
    "list": (lambda: select(Child).where(Child.id.in_([3, 1, 2])), {}, Child, [(3,), (1,), (2,)]),
    "tuple": (lambda: select(Child).where(Child.id.in_((3, 1))), {}, Child, [(3,), (1,)]),
    "empty list": (lambda: select(Child).where(Child.id.in_([])), {}, Child, []),
    "composite": (
        lambda: select(Pair).where(Pair.left == 1, Pair.right == "r"), {}, Pair, [(1, "r")]),
    "composite reversed": (
        lambda: select(Pair).where(Pair.right == "r").where(Pair.left == 1), {}, Pair, [(1, "r")]),
    "composite and": (
        lambda: select(Pair).where(and_(Pair.left == 1, Pair.right == "r")), {}, Pair, [(1, "r")]),
    "with options": (
        lambda: select(Child).where(Child.id == 1).options(load_only(Child.name)),
        {}, Child, [(1,)]),
    "first": (lambda: select(Child).where(Child.id == 1).limit(1), {}, Child, [(1,)]),
    "limit of a list": (lambda: select(Child).where(Child.id.in_([3])).limit(5), {}, Child, [(3,)]),
    "limit of two": (lambda: select(Child).where(Child.id.in_([3, 1])).limit(2), {}, Child, None),
    "limit of none": (lambda: select(Child).where(Child.id == 1).limit(0), {}, Child, None),
    "limit given later": (
        lambda: select(Child).where(Child.id == 1).limit(bindparam("x")), {"x": 1}, Child, None),
    "limit by expression": (
        lambda: select(Child).where(Child.id == 1).limit(func.abs(1)), {}, Child, None),
    "offset": (lambda: select(Child).where(Child.id == 1).limit(1).offset(1), {}, Child, None),
    "columns": (lambda: select(Child.name).where(Child.id == 1), {}, Child, [(1,)]),
    "null": (lambda: select(Child).where(Child.id.is_(None)), {}, Child, None),
    "no criteria": (lambda: select(Child), {}, Child, None),
    "another column": (lambda: select(Child).where(Child.name == "x"), {}, Child, None),
    "more criteria": (
        lambda: select(Child).where(Child.id == 1, Child.name == "x"), {}, Child, None),
    "half a key": (lambda: select(Pair).where(Pair.left == 1), {}, Pair, None),
    "a key twice": (lambda: select(Pair).where(Pair.left == 1, Pair.left == 2), {}, Pair, None),
    "list of half a key": (lambda: select(Pair).where(Pair.left.in_([1])), {}, Pair, None),
    "list of tuples": (
        lambda: select(Pair).where(tuple_(Pair.left, Pair.right).in_([(1, "r")])), {}, Pair, None),
    "or": (lambda: select(Child).where(or_(Child.id == 1, Child.id == 2)), {}, Child, None),
    "not": (lambda: select(Child).where(not_(Child.id == 1)), {}, Child, None),
    "unequal": (lambda: select(Child).where(Child.id != 1), {}, Child, None),
    "not in": (lambda: select(Child).where(Child.id.not_in([1])), {}, Child, None),
    "greater": (lambda: select(Child).where(Child.id > 1), {}, Child, None),
    "expression": (lambda: select(Child).where(Child.id + 1 == 2), {}, Child, None),
    "function": (lambda: select(Child).where(Child.id == func.abs(1)), {}, Child, None),
    "two columns": (lambda: select(Child).where(Child.id == Child.parent_id), {}, Child, None),
    "subquery": (lambda: select(Child).where(Child.id.in_(select(Parent.id))), {}, Child, None),
    "other type": (
        lambda: select(Child).where(Child.id == bindparam("x", "1", Child.name.type)),
        {}, Child, None),
    "alias": (lambda: select(ALIAS).where(ALIAS.id == 1), {}, Child, None),
    "another's key": (lambda: select(Child).where(Parent.id == 1), {}, Child, None),
    "for update": (lambda: select(Child).where(Child.id == 1).with_for_update(), {}, Child, None),
    "join": (lambda: select(Child).join(Child.parent).where(Child.id == 1), {}, Child, None),
    "too many": (
        lambda: select(Child).where(Child.id.in_(range(MOST_KEYS + 1))), {}, Child, None),
    "as many as allowed": (
        lambda: select(Child).where(Child.id.in_(list(range(MOST_KEYS)))), {}, Child,
        [(number,) for number in range(MOST_KEYS)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_key_lookups(name: str) -> None:
    """A statement is the lookup of these keys, or anything else."""
    make, parameters, model, expected = CASES[name]
    assert key_lookup(make(), parameters, inspect(model)) == expected


def test_a_subclass_by_its_bases_key() -> None:
    """A joined subclass is looked up by the key that its root has; other columns are not it."""
    found = key_lookup(select(Dog).where(Dog.id == 1), {}, inspect(Dog))
    assert found in ([(1,)], None)
    assert key_lookup(select(Dog).where(Dog.tricks == 1), {}, inspect(Dog)) is None


def test_a_callable_parameter_is_called() -> None:
    """A parameter whose value is made at execution has that value."""
    statement = select(Child).where(Child.id == bindparam("x", callable_=lambda: 9, type_=None))
    assert key_lookup(statement, {}, inspect(Child)) in ([(9,)], None)
