"""What the package must never do: unpickle, keep state in modules, raise errors of no family."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import sqlalchemy_rediscache
from sqlalchemy_rediscache.errors import CacheError
from tests.architecture.source import PACKAGE, Source, sources

UNSAFE = {"cloudpickle", "dill", "jsonpickle", "marshal", "pickle", "shelve", "yaml"}
# The benchmark compares the bytes of a row with those of a pickle of it: it may dump, not load.
MAY_DUMP = "sqlalchemy_rediscache/cli/bench/"

MUTABLE_CALLS = {
    "ChainMap", "Counter", "OrderedDict", "WeakKeyDictionary", "WeakSet", "WeakValueDictionary",
    "bytearray", "defaultdict", "deque", "dict", "list", "local", "set",
}  # fmt: skip
MUTABLE_DISPLAYS = (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Set, ast.SetComp)
READ_ONLY_ANNOTATIONS = ("Mapping[", "Sequence[", "frozenset[", "tuple[")


def test_nothing_that_runs_code_reads_data() -> None:
    """No module imports pickle or its like; the benchmark only measures what it would make."""
    found = [
        f"{source.name}: {name}"
        for source in sources(PACKAGE)
        for name in source.imports()
        if name.split(".")[0] in UNSAFE
        and not (name == "pickle" and source.name.startswith(MAY_DUMP))
    ]
    assert found == []
    assert [line for source in sources(PACKAGE) for line in _loads(source)] == []


def test_no_state_lives_in_modules() -> None:
    """Everything hangs on a cache object: no module has a mutable value or a `global`."""
    found = [line for source in sources(PACKAGE) for line in _module_state(source)]
    found += [
        f"{source.name}:{node.lineno} global"
        for source in sources(PACKAGE)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_errors_are_one_family() -> None:
    """Every exception class of the package derives from CacheError and says when it is raised."""
    strangers = []
    for module in _modules():
        for name, value in inspect.getmembers(module, inspect.isclass):
            if not issubclass(value, BaseException) or value.__module__ != module.__name__:
                continue
            if not name.startswith("_") and not issubclass(value, CacheError):
                strangers.append(f"{module.__name__}.{name}")
            assert value.__doc__, name
    assert strangers == []


def test_the_public_names_are_exact() -> None:
    """`__all__` of the package holds its public names, all and only those, in order."""
    source = Source(PACKAGE / "__init__.py")
    listed = list(sqlalchemy_rediscache.__all__)
    assert set(listed) == set(_bound_names(source)) | ({"__version__"} & set(listed))
    assert len(set(listed)) == len(listed)
    assert all(hasattr(sqlalchemy_rediscache, name) for name in listed)


def test_every_list_of_public_names_is_exact() -> None:
    """A module with an `__all__` defines each name in it and lists each public definition."""
    for module in _modules():
        listed = getattr(module, "__all__", None)
        if listed is None or module is sqlalchemy_rediscache:
            continue
        assert [name for name in listed if not hasattr(module, name)] == [], module.__name__
        defined = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__ == module.__name__
        }
        assert defined <= set(listed), module.__name__


def _modules() -> Iterator[ModuleType]:
    yield sqlalchemy_rediscache
    for found in pkgutil.walk_packages(sqlalchemy_rediscache.__path__, "sqlalchemy_rediscache."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _loads(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "pickle"
            and node.attr not in {"dumps", "HIGHEST_PROTOCOL", "DEFAULT_PROTOCOL"}
        ):
            yield f"{source.name}:{node.lineno} pickle.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            names = {alias.name for alias in node.names} - {"dumps"}
            yield from (f"{source.name}:{node.lineno} {name}" for name in sorted(names))


def _module_state(source: Source) -> Iterator[str]:
    for node in source.tree.body:
        if isinstance(node, ast.Assign):
            targets, annotation = node.targets, ""
        elif isinstance(node, ast.AnnAssign):
            targets, annotation = [node.target], ast.unparse(node.annotation)
        else:
            continue
        names = [ast.unparse(target) for target in targets]
        # What is declared read-only is kept so by the type checker.
        declared = annotation.removeprefix("Final[").startswith(READ_ONLY_ANNOTATIONS)
        if names != ["__all__"] and not declared and node.value and _is_mutable(node.value):
            yield f"{source.name}:{node.lineno} {', '.join(names)}: declare a Mapping or a tuple"


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        called = value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in MUTABLE_CALLS
    return isinstance(value, MUTABLE_DISPLAYS)


def _bound_names(source: Source) -> Iterator[str]:
    for node in source.tree.body:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        yield from (name for name in names if not name.startswith("_"))
