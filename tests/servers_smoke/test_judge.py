"""The judge and the summary, seen from outside: in a run of pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Inventory

ROOT = Path(__file__).parents[2]

TESTS = """
import logging

import pytest

pytestmark = pytest.mark.judged

def test_leaves_a_key(redis_client):
    redis_client.set("for", "ever")

def test_warns():
    logging.getLogger("sqlalchemy_rediscache.x").warning("strange")

def test_is_fine(redis_client):
    redis_client.set("for", "a while", ex=100)

def test_fails_by_itself(redis_client):
    redis_client.set("for", "ever")
    assert redis_client is None

def test_database(database):
    pass
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run with Valkey and SQLite alone prints."""
    if Inventory().problem("valkey") or Inventory().problem("sqlite"):
        pytest.skip("needs valkey and sqlite")
    file = tmp_path_factory.mktemp("judged") / "test_judged.py"
    file.write_text(TESTS)
    plugins = ("fix_servers", "fix_report", "fix_caches", "fix_judge")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(file), "-v", "-c", str(ROOT / "pyproject.toml")),
            *(part for name in plugins for part in ("-p", f"tests.{name}")),
            *("-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
        ],
        cwd=ROOT,
        env={**os.environ, "REDISCACHE_TEST_SERVERS": "valkey,sqlite"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout


def test_it_names_a_key_that_never_expires(outcome: str) -> None:
    """A key without expiry makes the test an error that names the key."""
    assert "the judge found:\n  the key for never expires" in outcome


def test_it_shows_a_warning_of_the_package(outcome: str) -> None:
    """A logged warning makes the test an error that repeats it."""
    assert "logged: WARNING sqlalchemy_rediscache.x: strange" in outcome


def test_it_is_silent_about_the_rest(outcome: str) -> None:
    """A clean test passes; one that failed by itself is not judged as well."""
    assert "1 failed, 4 passed, 1 skipped, 2 errors" in outcome


def test_the_summary_names_every_server(outcome: str) -> None:
    """The end of a run says what was used, what was not, and how many tests that cost."""
    assert "postgresql: not in REDISCACHE_TEST_SERVERS, 1 test not run on it" in outcome
    assert "mariadb: " in outcome
    assert "sqlite: 3." in outcome
