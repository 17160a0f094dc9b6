"""The coherence judge: is what Redis holds what the database holds?

For the tests of an application that uses the cache::

    from sqlalchemy_rediscache.testing import audit

    def test_checkout(cache, engine):
        ...
        assert audit(cache, engine) == []
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.orm import lazyload, undefer

from . import private
from .cache import RedisCache
from .codec import ABSENT_ROW
from .errors import ConfigurationError, DecodeError
from .group import Group
from .keys import Place
from .region import Region
from .store import Scripts

_VALUES = (b"row:", b"grp:")


def audit(cache: RedisCache, engine: Engine) -> list[str]:
    """Compare each row that a cache holds of a database with the database.

    Every entry that a reader could be served is decoded and compared, value and Python type, with
    the row as the database has it now; where the cache remembers that a row does not exist, there
    must be none. Rows that a writer holds have no values, and must not have any. What is out of
    reach (other generations, left to expire) is not looked at, nor are entries of tenants and
    schemas that no session of this process has used, or of other versions of the models.

    The tables that have entries are read whole, so this is meant for tests. A disagreement is
    reported when a second look shows it too: commits that happen during the first are no faults.

    Args:
        cache: The cache.
        engine: A synchronous engine on the database; for a database in memory, the very engine
            that the sessions use.

    Returns:
        A sentence for each disagreement, with the key in Redis; empty when there is none.

    Raises:
        ConfigurationError: `engine` is no synchronous engine.
        CacheUnavailable: Redis did not answer.
    """
    if not isinstance(engine, Engine):
        raise ConfigurationError(f"audit() reads the database through an Engine, not {engine!r}")
    found = list(_disagreements(cache, engine))
    if not found:
        return []
    again = set(_disagreements(cache, engine))
    return [one for one in found if one in again]


def _disagreements(cache: RedisCache, engine: Engine) -> Iterator[str]:
    services = cache._services
    scripts = services.scripts(is_async=False)
    held: dict[Place, dict[bytes, dict[bytes, bytes]]] = {}
    seen: set[tuple[Place, bytes]] = set()
    there = frozenset(scripts.scan(services.keys.everything().encode()))
    with engine.connect() as connection:
        for region, place, schema_map in list(services.held(engine, there)):
            if place not in held:
                held[place] = _rows(scripts, place)
            options = {"schema_translate_map": schema_map} if schema_map else {}
            for group in region.groups():
                if (place, group.field) in seen:
                    continue
                seen.add((place, group.field))
                entries = {
                    token: fields[group.field]
                    for token, fields in held[place].items()
                    if group.field in fields
                }
                if entries:
                    actual = _database_rows(connection, options, region, group, entries)
                    exact = region.dialect.driver == connection.dialect.driver
                    nothing = ABSENT_ROW + _absent(scripts, place)
                    yield from _judge(group, place, entries, actual, nothing, exact)
    for place, rows in held.items():
        yield from _held_values(scripts, place, rows)


def _rows(scripts: Scripts, place: Place) -> dict[bytes, dict[bytes, bytes]]:
    """The hashes of all rows that can be read, by key token."""
    run, generation = scripts.calls.command(b"HMGET", place.guard, b"run", b"gen")
    if generation is None or run != _run_id(scripts):
        return {}
    prefix = place.prefix + generation + b":"
    found = {}
    for key in set(scripts.scan(_escaped(prefix) + b"*")):
        flat = scripts.calls.command(b"HGETALL", key)
        found[key[len(prefix) :]] = dict(zip(flat[::2], flat[1::2], strict=True))
    return found


def _absent(scripts: Scripts, place: Place) -> bytes:
    """What absences carry that a reader is told of; others are out of reach (see ``guard.lua``)."""
    generation, value = scripts.calls.command(b"HMGET", place.guard, b"gen", b"absent")
    return value.partition(b"|")[0] if value else generation or b""


def _run_id(scripts: Scripts) -> bytes:
    info: bytes = scripts.calls.command(b"INFO", b"server")
    lines = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    return lines[b"run_id"][:16]


def _escaped(prefix: bytes) -> bytes:
    return b"".join(b"\\" + bytes((byte,)) if byte in b"*?[]\\" else bytes((byte,))
                    for byte in prefix)  # fmt: skip


def _held_values(
    scripts: Scripts, place: Place, rows: Mapping[bytes, Mapping[bytes, bytes]]
) -> Iterator[str]:
    seconds, micros = scripts.calls.command(b"TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    for token, fields in rows.items():
        open_ = any(name.startswith(b"w:") and int(fields[name]) > now for name in fields)
        if open_ and any(name.startswith(_VALUES) for name in fields):
            yield f"{_name(place, token)}: a writer holds the row, and it has a value all the same"


def _judge(
    group: Group,
    place: Place,
    entries: Mapping[bytes, bytes],
    actual: Mapping[bytes, Sequence[Any]],
    nothing: bytes,
    exact: bool,
) -> Iterator[str]:
    for token, blob in sorted(entries.items()):
        name = f"{_name(place, token)} {group.field.decode()}"
        row = actual.get(token)
        if blob.startswith(ABSENT_ROW):
            if blob == nothing and row is not None:
                yield f"{name}: the cache says there is no such row, the database has {row!r}"
            continue
        try:
            values = group.codec.decode(blob)
        except DecodeError as error:
            yield f"{name}: the entry does not decode: {error}"
            continue
        if group.key_of(values) != token:
            yield f"{name}: the entry holds the row of another key: {values!r}"
        elif row is None:
            yield f"{name}: the cache has {values!r}, the database has no such row"
        else:
            yield from (f"{name}: {line}" for line in _differences(group, values, row, exact))


def _database_rows(
    connection: Connection,
    options: dict[str, Any],
    region: Region,
    group: Group,
    tokens: Mapping[bytes, bytes],
) -> dict[bytes, list[Any]]:
    """The group's values of those rows of the database that the cache has entries for."""
    # Without what is loaded with it: an inner join has fewer rows.
    # With what is deferred: that is in a plain row too, where an eager join brought it along (the
    # foreign key of a many-to-one).
    statement = select(region.mapper).options(lazyload("*"), undefer("*"))
    cursor = connection.execute(statement, execution_options=options)
    context: Any = cursor.context
    columns = private.result_columns(context.compiled)
    at = {column: index for index, column in reversed(list(enumerate(columns)))}
    places = [at[column] for column in group.columns]
    found = {}
    for row in cursor:
        values = [row[place] for place in places]
        token = group.key_of(values)
        if token is not None and token in tokens:
            found[token] = values
    return found


def _differences(
    group: Group, cached: Sequence[Any], row: Sequence[Any], exact: bool
) -> Iterator[str]:
    for column, one, other in zip(group.columns, cached, row, strict=True):
        if not _same(one, other, exact):
            yield f"{column}: the cache has {one!r}, the database {other!r}"


def _same(one: Any, other: Any, exact: bool) -> bool:
    if exact and type(one) is not type(other):
        return False
    try:
        equal = bool(one == other)
    except Exception:  # noqa: BLE001 (values without a usable ==, such as arrays)
        equal = False
    return equal or repr(one) == repr(other)  # NaN is not equal to itself


def _name(place: Place, token: bytes) -> str:
    return (place.prefix + b"*:" + token).decode(errors="backslashreplace")
