"""Files, functions and docstrings keep the form that lets a reader find things."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGE, ROOT, TESTS, Function, Source, sources

LONGEST_FILE = 400
LONGEST_TEST_FILE = 500
LONGEST_FUNCTION = 50


def test_files_are_small() -> None:
    """A file of the package is shorter than 400 lines, one of the tests than 500."""
    limits = [(path, LONGEST_FILE) for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua"}]
    limits += [(path, LONGEST_TEST_FILE) for path in TESTS.rglob("*.py")]
    lengths = {
        path.relative_to(ROOT).as_posix(): (len(path.read_text().splitlines()), limit)
        for path, limit in limits
    }
    assert {name: both for name, both in lengths.items() if both[0] > both[1]} == {}


def test_functions_are_short() -> None:
    """A function of the package has at most 50 lines, its docstring not counted."""
    too_long = {
        f"{source.name}:{function.lineno} {function.name}": length
        for source in sources(PACKAGE)
        for function in source.functions()
        if (length := _length(function)) > LONGEST_FUNCTION
    }
    assert too_long == {}


def test_no_file_is_named_for_nothing() -> None:
    """A file is named by what it holds: `utils`, `helpers`, `common` and `misc` say nothing."""
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    found = [path for path in (*PACKAGE.rglob("*"), *TESTS.rglob("*")) if path.stem in vague]
    assert found == []


def test_public_names_have_docstrings() -> None:
    """Each module, public class, function and method of the package says what it is for."""
    bare = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in sources(PACKAGE)
        for node in source.public()
        if ast.get_docstring(node) is None and not _inherits_its_contract(node)
    ]
    bare += [
        source.name
        for source in sources(PACKAGE)
        if source.tree.body and ast.get_docstring(source.tree) is None
    ]
    assert bare == []


def test_tests_say_what_they_show() -> None:
    """Each test states the behaviour it shows as a sentence."""
    silent = [
        f"{source.name}:{function.lineno} {function.name}"
        for source in sources(TESTS)
        for function in source.functions()
        if function.name.startswith("test_")
        and not (ast.get_docstring(function) or "").rstrip().endswith((".", "?", "!", ":"))
    ]
    assert silent == []


def test_users_install_three_packages_and_types() -> None:
    """The package is marked as typed, and needs SQLAlchemy, redis-py and msgpack alone."""
    assert (PACKAGE / "py.typed").exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {line.split(">=")[0].split("[")[0] for line in project["dependencies"]} == {
        "msgpack",
        "redis",
        "sqlalchemy",
    }


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=lambda folder: folder.name)
def test_annotations_are_never_evaluated(folder: Path) -> None:
    """Each file with code begins with ``from __future__ import annotations``."""
    assert [source.name for source in sources(folder) if not _has_future_import(source)] == []


def _length(function: Function) -> int:
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def _inherits_its_contract(node: Function | ast.ClassDef) -> bool:
    names = {
        part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
        for part in node.decorator_list
    }
    return bool(names & {"override", "overload", "setter"})


def _has_future_import(source: Source) -> bool:
    body = source.tree.body
    code = [node for node in body if not isinstance(node, ast.Expr)]
    if not code or source.path.name == "__init__.py":
        return True
    first = code[0]
    return isinstance(first, ast.ImportFrom) and first.module == "__future__"
