"""Which elements a cached statement may hold: those of which all is known, and no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Time,
    Uuid,
)
from sqlalchemy.sql import operators

from .. import private
from ..stats import Reason
from .functions import impurity
from .refusal import Refusal

KNOWN: Final[frozenset[str]] = frozenset({
    # statements and what they select from
    "select", "compound_select", "select_statement_grouping", "orm_from_statement", "table",
    "join", "alias", "subquery", "cte", "lateral", "values", "scalar_values",
    # expressions
    "column", "label", "bindparam", "null", "true", "false", "clauselist",
    "expression_clauselist", "element_list", "order_by_list", "tuple", "case", "cast", "try_cast",
    "type_coerce", "extract", "label_reference", "textual_label_reference", "unary", "binary",
    "slice", "grouping", "override_binds", "over", "frame_clause", "aggregateorderby",
    "aggregate_orderby_inline", "withingroup", "funcfilter", "function", "collation",
    "typeclause", "lambda_element", "ilike_case_insensitive_operand",
    # of dialects
    "array", "aggregate_order_by", "json_int_index", "json_str_index", "postgresql_distinct_on",
})  # fmt: skip
"""Kinds of elements whose rendering reads nothing but what is rendered within them."""

_READS_ANY: Final = "a function that returns a table can read any"
_HIDES: Final = "text can hide a table: write it with SQLAlchemy's expressions"
_SEQUENCE: Final = "a sequence answers differently each time"

REFUSED: Final[Mapping[str, Refusal]] = {
    "delete": Refusal("it writes: a DELETE", Reason.WRITES),
    "insert": Refusal("it writes: an INSERT", Reason.WRITES),
    "update": Refusal("it writes: an UPDATE", Reason.WRITES),
    "sequence": Refusal(_SEQUENCE, Reason.NOT_REPEATABLE),
    "next_value_func": Refusal(_SEQUENCE, Reason.NOT_REPEATABLE),
    "scalar_function_column": Refusal(_READS_ANY, Reason.UNKNOWN_FUNCTION),
    "table_valued_alias": Refusal(_READS_ANY, Reason.UNKNOWN_FUNCTION),
    "table_valued_column": Refusal("a whole row as one value", Reason.UNKNOWN_FUNCTION),
    "tablesample": Refusal("a sample answers differently each time", Reason.NOT_REPEATABLE),
    "textclause": Refusal(_HIDES, Reason.TEXT),
    "textual_select": Refusal(_HIDES, Reason.TEXT),
    "tstring": Refusal(_HIDES, Reason.TEXT),
}

OPERATORS: Final[frozenset[str]] = frozenset({
    "+", "-", "*", "/", "%", "&", "|", "^", "#", "~", "<<", ">>", "||", "=", "<>", "!=", "<", ">",
    "<=", ">=", "<=>", "&&", "@>", "<@", "?", "?|", "?&", "->", "->>", "#>", "#>>", "~*", "!~",
    "!~*", "-|-", "&<", "&>", "@?", "@@", "DIV", "GLOB", "REGEXP", "RLIKE", "XOR",
})  # fmt: skip
"""What ``op()`` may hold: an operator of a database, and not a piece of SQL."""

_CONSTANT: Final = re.compile(r"\*|-?\d+(\.\d+)?|NULL|'[^'\\]*'")

_CAST: Final[frozenset[Any]] = frozenset(
    private.affinity(type_)
    for type_ in (
        *(Boolean(), Date(), DateTime(), Float(), Integer(), JSON(), LargeBinary(), Numeric()),
        *(String(), Time(), Uuid(), ARRAY(Integer)),
    )
)
_OF_TIME: Final[frozenset[Any]] = frozenset({Date, DateTime, Time})


def objection(rendered: private.Rendered) -> Refusal | None:
    """Why the result of what was rendered can't be cached, None if it can."""
    for select, _ in rendered.selects:
        reason = _statement(select) or _selected(select)
        if reason is not None:
            return reason
    for element in rendered.elements:
        reason = _own_rendering(element) or _kind(element) or _detail(element)
        if reason is not None:
            return reason
    return None


def _unknown(text: str) -> Refusal:
    return Refusal(text, Reason.UNKNOWN_CONSTRUCT)


def _statement(element: Any) -> Refusal | None:
    if private.locks(element):
        return Refusal("it locks rows (FOR UPDATE): that is for the database", Reason.LOCKING)
    if private.hints(element):
        return Refusal("a hint is text, and can hide a table", Reason.TEXT)
    return None


def _selected(select: Any) -> Refusal | None:
    # a column whose type wraps it is rendered as whatever the type makes of it
    reasons = (_type(column) for column in select.selected_columns)
    return next((reason for reason in reasons if reason is not None), None)


def _own_rendering(element: Any) -> Refusal | None:
    # an element that renders itself is met as the child of another, or as what it delegates to
    for one in (element, *private.parts(element)):
        if private.renders_itself(one):
            return _unknown(f"{type(one).__name__} renders SQL of its own (@compiles)")
    return None


def _kind(element: Any) -> Refusal | None:
    name = getattr(element, "__visit_name__", "")
    if name in REFUSED:
        return REFUSED[name]
    if name not in KNOWN:
        return _unknown(f"{type(element).__name__} is not known to the cache")
    return None


def _detail(element: Any) -> Refusal | None:
    """What is wrong with an element of a known kind."""
    check = _CHECKS.get(element.__visit_name__)
    return None if check is None else check(element)


def _table(element: Any) -> Refusal | None:
    if isinstance(element, Table):
        return None
    return Refusal(f"table({element.name!r}) has no metadata: use a Table", Reason.TEXT)


def _column(element: Any) -> Refusal | None:
    if not element.is_literal:
        if element.table is None:
            return Refusal(f"column({element.name!r}) belongs to no table", Reason.TEXT)
        return _type(element)
    if _CONSTANT.fullmatch(element.name):
        return None
    return Refusal(
        "literal_column() can hide a table: write it with SQLAlchemy's expressions", Reason.TEXT
    )


def _type(element: Any) -> Refusal | None:
    if private.converts_in_sql(element.type):
        return _unknown(f"{element.type!r} puts SQL of its own around its values")
    return None


def _cast(element: Any) -> Refusal | None:
    kind = private.affinity(element.type)
    if kind not in _CAST:
        return _unknown(f"a cast to {element.type!r} may depend on more than the value")
    if kind in _OF_TIME and private.affinity(element.clause.type) not in _OF_TIME:
        return Refusal(
            "a text that is cast to a time may depend on the clock ('now', 'today')",
            Reason.NOT_REPEATABLE,
        )
    return None


def _operator(element: Any) -> Refusal | None:
    for operator in (element.operator, getattr(element, "modifier", None)):
        if isinstance(operator, operators.custom_op):
            text = operator.opstring.strip()
            if text.upper() not in OPERATORS:
                return _unknown(f"op({text!r}) is not an operator that the cache knows")
    return None


def _function(element: Any) -> Refusal | None:
    names = [*getattr(element, "packagenames", ()), element.name]
    return impurity(".".join(names))


_CHECKS: Final[Mapping[str, Any]] = {
    "bindparam": _type,
    "cast": _cast,
    "column": _column,
    "compound_select": _statement,
    "function": _function,
    "select": _statement,
    "table": _table,
    "try_cast": _cast,
    "binary": _operator,
    "unary": _operator,
}
