"""SQLAlchemy's private names are used in the package `private` alone."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from sqlalchemy.orm import Session

from sqlalchemy_rediscache import private
from tests.architecture.source import PACKAGE, Source, sources

PYTHONS = {"_replace", "_asdict", "_fields", "_make"}
OWNERS = {"self", "cls"}
OVERRIDES = {"_execute_internal", "_get_impl", "_identity_lookup"}
"""What `CachedSession` overrides, and so calls on `super()`."""
BENCH = {"sqlalchemy_rediscache/cli/bench/dogpile_recipe.py": {"_generate_cache_key"}}
"""The recipe that SQLAlchemy documents for dogpile.cache uses it."""


def test_no_module_but_private_touches_private_names() -> None:
    """An attribute with a leading underscore is the package's own, or is used in `private`."""
    found = []
    defined = _defined()
    for source in _others():
        own = defined | PYTHONS | BENCH.get(source.name, set())
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr):
                own_object = isinstance(node.value, ast.Name) and node.value.id in OWNERS
                if not (own_object or node.attr in own):
                    found.append(f"{source.name}:{node.lineno} .{node.attr}")
    assert found == []


def test_the_names_that_private_uses_are_used_nowhere_else() -> None:
    """Neither as attributes of anything, nor as strings for `getattr` and the like."""
    names = _used_by_private()
    assert {"_sa_instance_state", "_where_criteria", "_with_options", "_transaction"} <= names
    found = []
    defined = _defined()
    for source in _others():
        allowed = defined | BENCH.get(source.name, set())
        for node in ast.walk(source.tree):
            name = ""
            if isinstance(node, ast.Attribute):
                own_object = isinstance(node.value, ast.Name) and node.value.id in OWNERS
                name = "" if own_object else node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
            if name in names - allowed:
                found.append(f"{source.name} {name}")
    assert found == []


def test_nothing_is_imported_from_private_modules() -> None:
    """No other module imports a name with a leading underscore."""
    found = []
    for source in _others():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                found += [f"{source.name} {name}" for name in names if _is_private(name)]
    assert found == []


def test_every_private_function_is_used() -> None:
    """What nothing uses any more is deleted."""
    text = "\n".join(source.text for source in sources(PACKAGE))
    public = [
        name
        for name, value in vars(private).items()
        if inspect.isfunction(value) and value.__module__.startswith("sqlalchemy_rediscache")
    ]
    unused = [name for name in public if f"private.{name}" not in text and name[0] != "_"]
    assert unused == []


def test_the_overrides_fit_their_session() -> None:
    """The private methods that `CachedSession` overrides take what it passes on."""
    for name in OVERRIDES:
        assert name in vars(private.CachedSession)
        assert name in vars(Session)
    theirs = inspect.signature(vars(Session)["_identity_lookup"]).parameters
    ours = inspect.signature(vars(private.CachedSession)["_identity_lookup"]).parameters
    assert list(ours) == list(theirs)
    assert "_add_event" in inspect.signature(vars(Session)["_execute_internal"]).parameters
    assert "options" in inspect.signature(vars(Session)["_get_impl"]).parameters


def _others() -> list[Source]:
    return [one for one in sources(PACKAGE) if "private" not in one.path.with_suffix("").parts]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _defined() -> set[str]:
    """Names with an underscore that the package itself gives to something."""
    found: set[str] = set()
    for one in _others():
        for node in ast.walk(one.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in OWNERS:
                    found.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


def _used_by_private() -> set[str]:
    return {name for source in sources(PACKAGE / "private") for name in _names_in(source)}


def _names_in(source: Source) -> Iterator[str]:
    """SQLAlchemy's names with an underscore, attributes or strings."""
    own = {
        node.attr
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in OWNERS
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            yield node.attr
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.isidentifier()
            and _is_private(node.value)
            and not node.value.startswith("_rediscache")
        ):
            yield node.value
