"""The summary at the end of a run: which servers were used, and which were not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable

import pytest

from tests.fix_servers import INVENTORY
from tests.servers import Database, Inventory, RedisServer

_PROPERTY = "test_server"
_FIXTURES = ("redis_server", "database")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in the report which servers the test was meant for, and which version it met.

    A report's properties travel from the worker processes of pytest-xdist; nothing else does.
    """
    report = yield
    if call.when == "setup" and report.skipped:
        for fixture, name in _parameters(item):
            report.user_properties.append((_PROPERTY, f"{fixture}:{name}:"))
    if call.when == "call":
        for server in _servers(item):
            report.user_properties.append((_PROPERTY, f":{server.name}:{server.version}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each server."""
    inventory = terminalreporter.config.stash[INVENTORY]
    used: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    versions: dict[str, str] = {}
    for name, version, was_skipped in _noted(terminalreporter):
        (skipped if was_skipped else used)[name] += 1
        versions.setdefault(name, version)
    terminalreporter.section("servers", sep="-")
    for name in inventory.names:
        line = _line(inventory, name, used[name], versions.get(name, ""))
        missed = f", {_tests(skipped[name])} not run on it" if inventory.problem(name) else ""
        terminalreporter.line(f"{name}: {line}{missed}")


def _line(inventory: Inventory, name: str, tests: int, version: str) -> str:
    if problem := inventory.problem(name):
        return problem
    return f"{version}, {_tests(tests)}" if tests else "available, no test used it"


def _tests(number: int) -> str:
    return f"{number} test" if number == 1 else f"{number} tests"


def _noted(reporter: pytest.TerminalReporter) -> Iterable[tuple[str, str, bool]]:
    for reports in reporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            for key, value in report.user_properties:
                if key == _PROPERTY:
                    fixture, name, version = str(value).split(":", 2)
                    yield name, version, bool(fixture)


def _parameters(item: pytest.Item) -> Iterable[tuple[str, str]]:
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    return [(fixture, params[fixture]) for fixture in _FIXTURES if fixture in params]


def _servers(item: pytest.Item) -> Iterable[RedisServer | Database]:
    arguments: dict[str, object] = getattr(item, "funcargs", {})
    values = (arguments.get(fixture) for fixture in _FIXTURES)
    return [value for value in values if isinstance(value, (RedisServer, Database))]
