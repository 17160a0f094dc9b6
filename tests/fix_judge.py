"""The judge: what must hold after every integration test, asked for or not.

It judges the tests under ``tests/integration`` and those marked ``judged``, once they passed:

- every key left in Redis has a time to live (else ``permanent_keys("pattern", ...)`` names it);
- every entry of every cache of `make_cache` equals its database row (else ``stale_allowed``);
- the package logged no warning (else ``warnings_allowed``).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from sqlalchemy import Engine, create_engine

from tests.fix_caches import CacheMaker
from tests.servers import Database

PASSED = pytest.StashKey[bool]()

_INTEGRATION = Path(__file__).parent / "integration"
# Requested before the judge, so that they are still there when it judges.
_EVIDENCE = ("redis_client", "redis_url", "database", "sqlite_url", "make_cache")


class WarningRecorder(logging.Handler):
    """Keeps the messages that need someone's attention."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.messages.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test passed: the judge would only add noise to a failure."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture(autouse=True)
def judge(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an integration test that left something wrong behind."""
    if not _is_judged(request.node):
        yield
        return
    evidence = {
        name: request.getfixturevalue(name) for name in _EVIDENCE if name in request.fixturenames
    }
    recorder = WarningRecorder()
    logger = logging.getLogger("sqlalchemy_rediscache")
    logger.addHandler(recorder)
    try:
        yield
    finally:
        logger.removeHandler(recorder)
    if request.node.stash.get(PASSED, False):
        findings = list(_findings(request.node, evidence, recorder.messages))
        if findings:
            pytest.fail("the judge found:\n  " + "\n  ".join(findings), pytrace=False)


def judge_keys(client: redis.Redis, permanent: Iterable[str] = ()) -> Iterator[str]:
    """Describe each key that never expires, except those that match a pattern of `permanent`."""
    keys = sorted(cast("Iterable[bytes]", client.scan_iter(count=1000)))
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pttl(key)
        lifetimes = cast("list[int]", pipeline.execute())
    patterns = list(permanent)
    for key, lifetime in zip(keys, lifetimes, strict=True):
        name = key.decode(errors="backslashreplace")
        # -2: it expired between the two commands
        if lifetime == -1 and not any(fnmatchcase(name, pattern) for pattern in patterns):
            yield f"the key {name} never expires"


def judge_rows(cache: Any, engine: Engine) -> Iterator[str]:
    """Describe each entry of a cache that differs from its database row."""
    from sqlalchemy_rediscache.testing import audit  # noqa: PLC0415 - only what is judged needs it

    yield from audit(cache, engine)


def _is_judged(node: pytest.Item) -> bool:
    return node.get_closest_marker("judged") is not None or _INTEGRATION in node.path.parents


def _findings(node: pytest.Item, evidence: dict[str, Any], messages: list[str]) -> Iterator[str]:
    if "redis_url" in evidence:
        permanent = [
            pattern for marker in node.iter_markers("permanent_keys") for pattern in marker.args
        ]
        with redis.Redis.from_url(evidence["redis_url"]) as client:
            yield from judge_keys(client, permanent)
    if "make_cache" in evidence and node.get_closest_marker("stale_allowed") is None:
        yield from _stale_rows(evidence)
    if node.get_closest_marker("warnings_allowed") is None:
        yield from (f"logged: {message}" for message in messages)


def _stale_rows(evidence: dict[str, Any]) -> Iterator[str]:
    maker: CacheMaker = evidence["make_cache"]
    database: Database | None = evidence.get("database")
    url = evidence.get("sqlite_url") if database is None else database.url
    if url is None or not maker.caches:
        return
    engine = create_engine(url)
    try:
        for cache in maker.caches:
            yield from judge_rows(cache, engine)
    finally:
        engine.dispose()
