"""The program `rediscache`: its version, its subcommands, and what it says without its extras."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sqlalchemy_rediscache.cli import entry
from sqlalchemy_rediscache.cli.main import app


def test_version_is_shown() -> None:
    """`--version` prints the program's name and version."""
    result = CliRunner().invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.output.startswith("rediscache ")


def test_help_names_the_subcommands() -> None:
    """`--help` lists demo and bench without importing what they need."""
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    assert "demo" in result.output
    assert "bench" in result.output


def test_module_is_the_program() -> None:
    """`python -m sqlalchemy_rediscache` runs the program."""
    command = [sys.executable, "-m", "sqlalchemy_rediscache", "--version"]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout.startswith("rediscache ")


def test_bench_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench` without its extra says what to install, with exit code 2."""
    monkeypatch.setitem(sys.modules, "sqlalchemy_rediscache.cli.bench.run", None)

    result = CliRunner().invoke(app, ["bench"])

    assert result.exit_code == 2
    assert "pip install 'sqlalchemy-rediscache[bench]'" in result.stderr


def test_program_without_typer_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where typer or rich is missing, the program says what to install, with exit code 2."""
    monkeypatch.setattr(entry, "find_spec", lambda name: None if name == "typer" else object())

    with pytest.raises(SystemExit) as caught:
        entry.main()

    assert caught.value.code == 2
    assert (
        "typer not installed: pip install 'sqlalchemy-rediscache[cli]'" in capsys.readouterr().err
    )
