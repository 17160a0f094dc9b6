"""The Lua scripts: each documented, each with one typed caller."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGE, Function, Source

LUA = PACKAGE / "store" / "lua"
CALLERS = (PACKAGE / "store" / "scripts.py", PACKAGE / "store" / "queries.py")
# Not a script of its own: the lines that stand before each of them.
SHARED = {"ask_short", "guard", "read_short", "tags"}

HEADER = ("purpose", "keys", "argv", "returns", "invariant")


def scripts() -> list[Path]:
    """Every script that the server is sent."""
    return sorted(path for path in LUA.glob("*.lua") if path.stem not in SHARED)


def test_there_are_scripts() -> None:
    """The tests below look at something."""
    assert scripts() != []


@pytest.mark.parametrize("script", sorted(LUA.glob("*.lua")), ids=lambda path: path.stem)
def test_a_script_says_what_it_does(script: Path) -> None:
    """A script begins with its purpose, keys, arguments, result and the invariant it keeps."""
    comment = []
    for line in script.read_text().splitlines():
        if not line.startswith("--"):
            break
        comment.append(line.removeprefix("--").strip().lower())
    missing = [part for part in HEADER if not any(line.startswith(part) for line in comment)]
    assert missing == []


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.stem)
def test_a_script_has_one_typed_caller(script: Path) -> None:
    """One public method of the store, named as the script and fully typed, calls it."""
    callers = [
        function
        for path in CALLERS
        for function in Source(path).functions()
        if not function.name.startswith("_") and script.stem in _called(function)
    ]
    assert [function.name for function in callers] == [script.stem]
    (caller,) = callers
    arguments = [*caller.args.args, *caller.args.kwonlyargs]
    untyped = [part.arg for part in arguments if part.annotation is None and part.arg != "self"]
    assert untyped == []
    assert caller.returns is not None


def _called(function: Function) -> set[str]:
    """The strings that a function hands to the methods it calls."""
    return {
        argument.value
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
