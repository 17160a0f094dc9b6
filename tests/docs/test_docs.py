"""What the documentation says is there, is there."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sqlalchemy_rediscache
from sqlalchemy_rediscache import CacheError, CachePolicy, RedisCache, Stats
from tests.docs.pages import DOCS, README, anchors, block_after, guide, links, pages, prose
from tests.docs.pages import table_rows as rows_of

LONGEST_LINE = 100


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link between pages names a file that exists, and a heading that it has."""
    broken = []
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    """Lines of prose are at most 100 characters long; rows of tables may be longer."""
    long = [
        line
        for line in prose(page).splitlines()
        if len(line) > LONGEST_LINE and not line.startswith("|")
    ]
    assert long == []


def test_every_page_is_in_the_navigation() -> None:
    """The navigation names every page once, and no other."""
    named = re.findall(r"^  - [^:]+: (\S+\.md)$", (DOCS / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_readme_has_the_commands(name: str) -> None:
    """README has one command line for the demo and one for the tests, from nothing."""
    lines = block_after(README, f"command: {name}").strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_readme_example_runs(tmp_path: Path) -> None:
    """The example of README runs as it stands, says what its comments say, in at most 20 lines."""
    program = block_after(README, "example")
    assert sum(1 for line in program.splitlines() if line) <= 20  # blank ones not counted
    done = subprocess.run(
        # Python 3.13 warns of the connection in memory that the engine has until the end.
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:unclosed database in:ResourceWarning",
            "-c",
            program,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "lamp 1\n", "")


def test_public_names_are_documented() -> None:
    """Each public name of the package, and each public method of the cache, is in the guide."""
    text = guide()
    names = [*sqlalchemy_rediscache.__all__]
    names += [name for name in vars(RedisCache) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_counters_are_documented() -> None:
    """Each counter of the statistics is explained on the page for operations."""
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    names = [field.name for field in dataclasses.fields(Stats)] + ["hit_ratio", "stores"]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_errors_are_documented() -> None:
    """Each error that is exported has a row of its own, but for their common base."""
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    exported = [getattr(sqlalchemy_rediscache, name) for name in sqlalchemy_rediscache.__all__]
    errors = [kind for kind in exported if isinstance(kind, type) and issubclass(kind, CacheError)]
    missing = [kind.__name__ for kind in errors if f"\n| `{kind.__name__}` |" not in text]
    assert missing == ["CacheError"]


@pytest.mark.parametrize("kind", [RedisCache, CachePolicy])
def test_parameters_are_documented_with_their_defaults(kind: type) -> None:
    """The tables of the configuration page have each parameter, with its default."""
    documented = {
        name: ast.literal_eval(cells[0].strip("`"))
        for name, cells in rows_of(DOCS / "configuration.md", kind.__name__).items()
    }
    signature = inspect.signature(kind)
    actual = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert documented == actual


def test_modules_of_the_design_page_exist() -> None:
    """Each module and folder in the design page's table is in the package, and none is missing."""
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    table = text.partition("| module | one line |")[2].partition("\n\n")[0]
    package = Path(sqlalchemy_rediscache.__file__).parent
    named: set[str] = set()
    for line in table.splitlines()[2:]:
        folder = ""
        for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
            known = name if "/" in name or (package / name).exists() else f"{folder}{name}"
            known = known if (package / known).exists() else f"{folder}{name}"
            folder = f"{known.rpartition('/')[0]}/" if "/" in known else ""
            named.add(known)
    assert [name for name in named if not (package / name).exists()] == []
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert modules - named == set()
