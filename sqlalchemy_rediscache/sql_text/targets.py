"""The tables that sqlglot's tree of a statement writes."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from .effects import Kind, Name
from .grammar import MARK

Found = tuple[list[exp.Table], set[Kind]]

_LONGEST_NAME = 63
"""PostgreSQL cuts off what is longer."""
_ASCII_LOWER: Mapping[int, int] = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ROOTS = (
    exp.Query,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.TruncateTable,
    exp.Copy,
    exp.Create,
    exp.Drop,
    exp.Alter,
)


class _Unclear(Exception):
    """The tree says no more than that something is written."""


def targets(tree: exp.Expr, grammar: str) -> tuple[set[Name], set[Kind], int]:
    """What a statement writes: tables, what is done to them, and how many nodes of the tree write.

    Args:
        tree: The statement.
        grammar: "mysql", "postgresql" or "sqlite".

    Raises:
        Exception: It can't be told.
    """
    if not isinstance(tree, _ROOTS):
        raise _Unclear(type(tree).__name__)
    names: set[Name] = set()
    kinds: set[Kind] = set()
    writing = 0
    # Below the WHEN of a MERGE are parts of statements, without tables.
    for node in tree.walk(prune=lambda one: isinstance(one, exp.Whens)):
        if isinstance(node, exp.Command):
            raise _Unclear(node.name)
        reader = _READERS.get(type(node))
        if reader is not None:
            writing += isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.Into)
            tables, done = reader(node, grammar)
            names.update(_name(table, grammar) for table in tables)
            kinds |= done
    return names, kinds, writing


def _name(table: exp.Table, grammar: str) -> Name:
    if not isinstance(table.this, exp.Identifier):
        raise _Unclear(table.sql())
    schema = table.args.get("db")
    if schema is not None and not isinstance(schema, exp.Identifier):
        raise _Unclear(table.sql())
    return (_folded(schema, grammar) if schema else None), _folded(table.this, grammar)


def _folded(identifier: exp.Identifier, grammar: str) -> str:
    name = identifier.name
    if not name or name == MARK:
        raise _Unclear("a string in the place of a name")
    if grammar != "postgresql":
        return name.lower()
    if len(name.encode()) > _LONGEST_NAME:
        raise _Unclear("a name that the database cuts off")
    return name if identifier.quoted else name.translate(_ASCII_LOWER)


# -- statements -------------------------------------------------------------------------------


def _insert(node: exp.Expr, grammar: str) -> Found:
    kinds = {Kind.INSERT}
    if node.args.get("conflict"):
        kinds.add(Kind.UPDATE)
    return _one(node.this), kinds


def _update(node: exp.Expr, grammar: str) -> Found:
    tables = list(_referred(node.this))
    if len(tables) > 1:
        tables = _assigned(node.expressions, tables)
    return _some(tables), {Kind.UPDATE}


def _assigned(assignments: list[exp.Expr], tables: list[exp.Table]) -> list[exp.Table]:
    """Those tables of a join whose columns are set; all, if one column does not name its own."""
    columns = [one.this for one in assignments if isinstance(one, exp.EQ)]
    if len(columns) != len(assignments):
        return tables
    named = [column.table.lower() if isinstance(column, exp.Column) else "" for column in columns]
    found = [_called(name, tables) for name in named]
    return [table for some in found for table in some] if all(found) else tables


def _delete(node: exp.Expr, grammar: str) -> Found:
    named = node.args.get("tables")
    if named:  # DELETE a, b FROM x AS a JOIN b
        return _some(_resolved([table for one in named for table in _one(one)], [node.this])), {
            Kind.DELETE
        }
    tables = list(_referred(node.this))
    if grammar == "mysql":  # DELETE FROM a, b USING x AS a JOIN b
        tables = _resolved(tables, node.args.get("using") or [])
    return _some(tables), {Kind.DELETE}


def _resolved(named: list[exp.Table], joined: list[exp.Expr]) -> list[exp.Table]:
    """The tables that MySQL's DELETE names as they are called in its join."""
    pool = [table for one in joined for table in _referred(one)]
    found: list[exp.Table] = []
    for table in named:
        found += [table] if table.args.get("db") else _called(table.name, pool) or [table]
    return found


def _merge(node: exp.Expr, grammar: str) -> Found:
    return _one(node.this), {Kind.INSERT, Kind.UPDATE, Kind.DELETE}


def _into(node: exp.Expr, grammar: str) -> Found:
    table = node.this
    if isinstance(table, exp.Table) and isinstance(table.this, exp.Parameter):
        return [], set()  # a variable
    return _one(table), {Kind.DDL, Kind.INSERT}


def _truncate(node: exp.Expr, grammar: str) -> Found:
    if node.args.get("is_database") or (node.args.get("option") or "").upper() == "CASCADE":
        raise _Unclear("tables that are not named")
    return _some([table for one in node.expressions for table in _one(one)]), {Kind.TRUNCATE}


def _copy(node: exp.Expr, grammar: str) -> Found:
    return (_one(node.this), {Kind.INSERT}) if node.args.get("kind") else ([], set())


def _create(node: exp.Expr, grammar: str) -> Found:
    if node.args.get("kind") == "INDEX":
        return [], {Kind.DDL}
    if node.args.get("kind") not in {"TABLE", "VIEW"}:
        raise _Unclear("not a table")
    return _one(node.this), {Kind.DDL}


def _drop(node: exp.Expr, grammar: str) -> Found:
    if node.find_ancestor(exp.Alter):
        return [], set()  # a column, a constraint
    if node.args.get("kind") == "INDEX":
        return [], {Kind.DDL}
    if node.args.get("kind") not in {"TABLE", "VIEW"}:
        raise _Unclear("not a table")
    # SQLite deletes the rows first, which its foreign keys follow.
    return _some(list(node.find_all(exp.Table))), {Kind.DDL, Kind.DELETE}


def _alter(node: exp.Expr, grammar: str) -> Found:
    if node.args.get("kind") != "TABLE":
        raise _Unclear("not a table")
    return _some(list(node.find_all(exp.Table))), {Kind.DDL}


_READERS: Mapping[type[exp.Expr], Callable[[exp.Expr, str], Found]] = {
    exp.Insert: _insert,
    exp.Update: _update,
    exp.Delete: _delete,
    exp.Merge: _merge,
    exp.Into: _into,
    exp.TruncateTable: _truncate,
    exp.Copy: _copy,
    exp.Create: _create,
    exp.Drop: _drop,
    exp.Alter: _alter,
}


# -- tables -----------------------------------------------------------------------------------


def _one(node: exp.Expr | None) -> list[exp.Table]:
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table):
        raise _Unclear("not a table")
    return [node]


def _some(tables: list[exp.Table]) -> list[exp.Table]:
    if not tables:
        raise _Unclear("no table")
    return tables


def _called(name: str, tables: list[exp.Table]) -> list[exp.Table]:
    """Those of the tables that a name means, by alias or name."""
    return [table for table in tables if (table.alias or table.name).lower() == name.lower()]


def _referred(node: exp.Expr | None) -> Iterator[exp.Table]:
    """A table and those that are joined with it, without those inside of subqueries."""
    if node is None:
        return
    if isinstance(node, exp.Table):
        yield node
    elif isinstance(node, exp.Schema | exp.Join | exp.Paren | exp.Subquery):
        if not isinstance(node.this, exp.Query):
            yield from _referred(node.this)
    else:
        raise _Unclear(type(node).__name__)
    for join in node.args.get("joins") or ():
        yield from _referred(join)
