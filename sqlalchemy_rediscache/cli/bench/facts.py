"""What a reader of the figures must know about where they were made."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sqlalchemy import Engine

from sqlalchemy_rediscache.cli.bench.floor import Floor
from sqlalchemy_rediscache.cli.bench.servers import Servers

_PACKAGES = (
    "sqlalchemy-rediscache",
    "sqlalchemy",
    "redis",
    "hiredis",
    "msgpack",
    "dogpile.cache",
    "psycopg",
)


def gather(engine: Engine, floor: Floor, servers: Servers) -> dict[str, Any]:
    """Return versions, processors and load, without names of hosts or folders.

    Args:
        engine: connected to the database.
        floor: connected to Redis.
        servers: tells how both are reached.
    """
    with engine.connect() as connection:
        found = connection.dialect.server_version_info or ()
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "load_average": load_average(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "server": _server(floor),
        "server_transport": _transport(servers.redis_url),
        "database": engine.dialect.name,
        "database_driver": engine.dialect.driver,
        "database_version": ".".join(str(part) for part in found),
        "database_transport": "unix socket" if servers.own_database else "as given",
    }


def usable_cpus() -> int | None:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def load_average() -> list[float] | None:
    """Return the load of the last 1, 5 and 15 minutes; None where the system has no such figure."""
    if not hasattr(os, "getloadavg"):
        return None
    return [round(value, 2) for value in os.getloadavg()]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _server(floor: Floor) -> str:
    info = floor.server()
    for name in ("valkey", "redis"):
        if f"{name}_version" in info:
            return f"{name} {info[f'{name}_version']}"
    return "unknown"


def _transport(url: str) -> str:
    return "unix socket" if url.startswith("unix") else "tcp"
