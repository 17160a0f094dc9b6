"""The programs of docs/examples run, and print what the guide says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES, guide

EXPECTED = {
    "basic.py": [
        "published: 3",
        "price: 17.50",
        "lamps: 3",
        "hits: 5 misses: 0",
        "hits: 5",
        "fills: 1",
    ],
    "async_example.py": ["Engines by Ada - hits: 2", "20 readers, fills: 1"],
    "register.py": ["Lima in Peru", "Peru - hits: 1", "Peru - hits: 2"],
}


def test_every_example_is_known_and_named() -> None:
    """Each example has its expected output here, and is named in the guide."""
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == set(EXPECTED)
    text = guide()
    assert [name for name in names if f"docs/examples/{name}" not in text] == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_example_runs(name: str, tmp_path: Path) -> None:
    """The example runs in an empty folder without a warning, and leaves nothing in it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == EXPECTED[name]
    assert list(tmp_path.iterdir()) == []
