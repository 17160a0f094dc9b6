"""What a statement renders: the elements that become SQL, and what each SELECT selects from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine


class Rendered(NamedTuple):
    """A statement as its compiler met it.

    `selects` are the SELECTs that were rendered at any depth, each with its FROM list: what the
    ORM made of them, eager joins and loader criteria included, without the FROMs that a correlated
    subquery takes from the SELECT around it.
    `elements` are all elements that were rendered through the compiler.
    """

    selects: Sequence[tuple[Any, Sequence[Any]]]
    elements: Sequence[Any]


def rendered(statement: Any, dialect: Dialect) -> Rendered:
    """Compile a statement and note what becomes SQL.

    Only the compiler knows: the ORM rewrites a statement when it is compiled, those inside of it
    too, and which FROMs of a subquery are correlated depends on where it stands. An element that
    is not rendered doesn't matter, one that is can't be missed.
    """
    base: Any = dialect.statement_compiler
    selects: list[tuple[Any, Sequence[Any]]] = []
    elements: list[Any] = []

    def noting(name: str) -> Callable[..., Any]:
        method = getattr(base, name)

        def visit(self: Any, element: Any, *args: Any, **options: Any) -> Any:
            elements.append(element)
            return method(self, element, *args, **options)

        return visit

    def _setup_select_stack(self: Any, select: Any, *args: Any, **options: Any) -> Any:
        froms = base._setup_select_stack(self, select, *args, **options)
        selects.append((select, tuple(froms)))
        return froms

    methods = {name: noting(name) for name in dir(base) if name.startswith("visit_")}
    methods["_setup_select_stack"] = _setup_select_stack
    type("Noting", (base,), methods)(dialect, statement)
    return Rendered(selects, elements)


def renders_itself(element: Any) -> bool:
    """Is an element's SQL made by a function of the application's (``@compiles``, or its own)?"""
    class_: Any = type(element)
    if hasattr(class_, "_compiler_dispatcher"):
        return True
    dispatch = getattr(class_, "_compiler_dispatch", None)
    return getattr(dispatch, "__module__", "sqlalchemy").partition(".")[0] != "sqlalchemy"


def parts(element: Any) -> list[Any]:
    """The elements that an element is made of, those in the rows of a VALUES too."""
    children = getattr(element, "get_children", None)
    found = [] if children is None else list(children())
    for rows in getattr(element, "_data", ()):
        found += [value for row in rows for value in row]
    return found


def locks(select: Any) -> bool:
    """Does a SELECT or compound lock what it reads?"""
    return getattr(select, "_for_update_arg", None) is not None


def hints(select: Any) -> bool:
    """Does a SELECT hold pieces of text for the database's optimizer?"""
    return bool(getattr(select, "_hints", None) or getattr(select, "_statement_hints", None))


def plain(element: Any) -> Any:
    """An element without the annotations that the ORM gave it: for a table, the table itself."""
    return element._deannotate()


def resolved(element: Any) -> Any:
    """The expression that a lambda in a statement stands for."""
    return element._resolved


def type_variants(type_: TypeEngine[Any]) -> list[TypeEngine[Any]]:
    """A type, and what `with_variant` put in its place for some dialects."""
    return [type_, *type_._variant_mapping.values()]


def converts_in_sql(type_: Any) -> bool:
    """Does a type wrap its values or columns into SQL of its own?"""
    return bool(type_._has_bind_expression or type_._has_column_expression)
