"""Switches off one safeguard of the protocol at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.orm import InstanceState

from sqlalchemy_rediscache import query_memory
from sqlalchemy_rediscache.query_memory import Made
from sqlalchemy_rediscache.query_path import QueryPath
from sqlalchemy_rediscache.read_path import Permit
from sqlalchemy_rediscache.session import by_key, flushes, queries, tagging
from sqlalchemy_rediscache.session.access import Services
from sqlalchemy_rediscache.store import QueryScripts, Scripts, Watched
from sqlalchemy_rediscache.store import queries as store_queries
from sqlalchemy_rediscache.write_path import RowWrite, WritePath, WriteSet
from tests.interleaving.world import World

Sabotage = Callable[[World, pytest.MonkeyPatch], None]


def _change(world: World, old: str, new: str, *names: str) -> None:
    """Change a piece of text in scripts; in all of them, if none is named."""
    for name in names or tuple(world.script_texts):
        text = world.script_texts[name]
        assert text.count(old) == 1, f"{name}.lua no longer has {old!r} once"
        world.swap_script(name, text.replace(old, new))


def invalidate_after_commit_only(world: World, patch: pytest.MonkeyPatch) -> None:
    """Nothing is locked before COMMIT; the rows are emptied after it."""

    def lock(self: WritePath, scripts: Any, writes: WriteSet) -> None:
        writes.token = b"none"

    def release(self: WritePath, scripts: Any, writes: WriteSet, *, committed: bool) -> None:
        if writes.token:
            scripts.invalidate(
                [(one.guard, one.prefix, names) for one, names in writes.owed_places()]
            )

    patch.setattr(WritePath, "lock", lock)
    patch.setattr(WritePath, "release", release)


def fill_without_lease(world: World, patch: pytest.MonkeyPatch) -> None:
    """A reader fills whatever it loaded, where no writer holds the row right then."""
    _change(world, "if type(lease) == 'string' and string.match(lease, '^(.*)|%d+$') == token then",
            "if #holders(row, '') == 0 then", "fill")  # fmt: skip


def values_replaced_without_lease(world: World, patch: pytest.MonkeyPatch) -> None:
    """A reader that loads a row anew fills wherever it finds a value to replace."""
    _change(world, "if type(lease) == 'string' and string.match(lease, '^(.*)|%d+$') == token then",
            "if redis.call('HEXISTS', row, ARGV[at]) == 1 or "
            "type(lease) == 'string' and string.match(lease, '^(.*)|%d+$') == token then",
            "fill")  # fmt: skip


def lock_leaves_leases(world: World, patch: pytest.MonkeyPatch) -> None:
    """A lock empties the row, but lets a reader that is loading it fill."""
    _change(world, "  redis.call('DEL', row)\n  redis.call('HSET', row, own, expiry)",
            "  local left = redis.call('HGET', row, 'lease')\n  redis.call('DEL', row)\n"
            "  redis.call('HSET', row, own, expiry)\n"
            "  if left then redis.call('HSET', row, 'lease', left) end", "lock")  # fmt: skip
    _change(world, "elseif alike then", "elseif false then", "lock")


def snapshots_need_no_stamp(world: World, patch: pytest.MonkeyPatch) -> None:
    """A transaction with an old snapshot is served and fills like any other."""
    original = Services.permit

    def permit(self: Services, *args: Any, **options: Any) -> Permit | None:
        given = original(self, *args, **options)
        return Permit(lease=True, wait=True) if given is None else given._replace(stamp=b"")

    patch.setattr(Services, "permit", permit)


def snapshots_beside_writers(world: World, patch: pytest.MonkeyPatch) -> None:
    """A snapshot that began while a writer was open may fill if the stamp is unchanged since."""
    original = Scripts.read

    def read(self: Scripts, *args: Any, **options: Any) -> Any:
        reading, leases = original(self, *args, **options)
        return reading._replace(busy=False), leases

    patch.setattr(Scripts, "read", read)


def publish_though_shared(world: World, patch: pytest.MonkeyPatch) -> None:
    """Every writer publishes, whoever else held the row meanwhile."""
    _change(world, "redis.pcall('HLEN', row) == 1 and ", "", "release")


def publish_the_sessions_copy(world: World, patch: pytest.MonkeyPatch) -> None:
    """What is published is the object in the session, not the cached row with its changes."""
    original = flushes._row_write

    def whole(region: Any, state: InstanceState[Any], changed: Any, *rest: Any) -> RowWrite | None:
        every = {column.key for column in region.columns}
        write = original(region, state, every, *rest)
        if write is not None:
            write.whole = True
        return write

    patch.setattr(flushes, "_row_write", whole)


def own_writes_from_the_cache(world: World, patch: pytest.MonkeyPatch) -> None:
    """A transaction reads rows that it has written from the cache."""
    patch.setattr(WriteSet, "wrote", lambda self, place, token: False)


def writers_lost_by_a_new_generation(world: World, patch: pytest.MonkeyPatch) -> None:
    """Writers in flight when the region is emptied hold nothing of the new generation."""
    _change(world, "redis.call('HSET', guard, 'W:' .. string.sub(fields[i], 3), fields[i + 1])", "")


def bulk_writers_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """Leases are granted beside a writer of the whole region."""
    _change(world, "else found.region = true", "else found.region = false")


def no_quarantine(world: World, patch: pytest.MonkeyPatch) -> None:
    """After a restart of Redis leases are granted at once."""
    _change(world, "local hold = tonumber(ARGV[4])", "local hold = 0")


def tags_that_rows_had_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """A lock leaves the tags alone that its rows had before."""
    _change(world, "touch(words, seen.open)", "words = words", "lock")


def tags_that_rows_get_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """A lock leaves the tags alone that its rows get."""
    _change(world, "touch(ARGV[9], seen.open)", "seen = seen", "lock")


def entries_of_any_time(world: World, patch: pytest.MonkeyPatch) -> None:
    """An entry is served whatever has been written since."""
    _change(world, "found[1] == on and found[2]", "found[2]", "ask")
    _change(world, "on and found[1] == on and value", "on and value", "ask")


def queries_kept_beside_writers(world: World, patch: pytest.MonkeyPatch) -> None:
    """A query is kept that was loaded while a writer of its tag was under way."""
    _change(world, "elseif written(value, seen.open) then", "elseif false then", "ask")


def hits_beside_writers(world: World, patch: pytest.MonkeyPatch) -> None:
    """The short way to an answer does not look whether somebody writes."""
    _change(world, "and redis.call('HLEN', KEYS[1]) == count", "", "ask")


def queries_kept_with_later_stamps(world: World, patch: pytest.MonkeyPatch) -> None:
    """A query is kept with what it depends on when it is kept, not when it was asked for."""
    original = QueryPath.keep

    def keep(self: QueryPath, scripts: Any, wanted: Any, found: Any, *rest: Any) -> None:
        asked, _ = scripts.ask(wanted.watched, wanted.digest, found.token, [], lease=True,
                               refresh=True)  # fmt: skip
        found.asked = [new if new.on else old
                       for new, old in zip(asked, found.asked, strict=True)]  # fmt: skip
        original(self, scripts, wanted, found, *rest)

    patch.setattr(QueryPath, "keep", keep)


def rows_read_after_stamps(world: World, patch: pytest.MonkeyPatch) -> None:
    """The rows that an entry names are read when its stamps have been compared already."""
    original = QueryScripts.ask

    def ask(self: QueryScripts, watched: Any, digest: bytes, token: bytes, rows: Any, **how: Any
            ) -> Any:  # fmt: skip
        asked, _ = original(self, watched, digest, token, [], **how)
        _, found = original(self, watched, digest, token, rows, **how)
        return asked, found

    patch.setattr(QueryScripts, "ask", ask)


def rows_kept_by_members(world: World, patch: pytest.MonkeyPatch) -> None:
    """Rows are kept while no row has come or gone, whatever was written to them."""
    patch.setattr(queries, "Watched", lambda *fields: Watched(*fields[:5]))


def members_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """A row that comes or goes leaves queries alone that depend on which rows there are."""
    patch.setattr(tagging, "MEMBERS", b"nobody")


def absences_of_any_time(world: World, patch: pytest.MonkeyPatch) -> None:
    """A remembered absence is served whatever rows have been made since."""
    short = "if value == '\\192' .. (known[4]"
    _change(world, short, f"if true or {short.removeprefix('if ')}", "read")
    _change(world, "value = value == carried and nothing", "value = nothing", "read")


def absences_of_their_fill(world: World, patch: pytest.MonkeyPatch) -> None:
    """An absence carries the stamp that is in force when it is filled, not when it was loaded."""
    later = "value = '\\192' .. string.match(redis.call('HGET', guard, 'absent') or gen, '^[^|]*')"
    _change(world, "    if value ~= '' then\n",
            f"    if string.byte(value) == 192 then {later} end\n    if value ~= '' then\n",
            "fill")  # fmt: skip


def absences_beside_writers(world: World, patch: pytest.MonkeyPatch) -> None:
    """An absence is remembered that was loaded while somebody made rows."""
    _change(world, "if seen.open[owner] then absent = '' end", "", "read")


def absences_outlive_makers(world: World, patch: pytest.MonkeyPatch) -> None:
    """An INSERT whose keys the database makes leaves the absences alone."""
    _change(world, "if ARGV[11] == '1' then", "if false then", "lock")


def made_keys_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """A new row whose key is not known leaves queries alone that ask by keys."""
    patch.setattr(by_key, "MADE", b"nobody")


def own_new_rows_unseen(world: World, patch: pytest.MonkeyPatch) -> None:
    """A transaction that made rows is told of absences."""
    patch.setattr(WriteSet, "wrote", lambda self, place, token: place in self.regions)


def remembered_whatever_changed(world: World, patch: pytest.MonkeyPatch) -> None:
    """A result is served again while its entry is in force, whatever else it depended on."""
    patch.setattr(query_memory, "_LONGEST", 60.0)
    patch.setattr(Made, "is_of", lambda self, wanted, asked: asked[0].entry == self.entry)


def named_rows_read_last(world: World, patch: pytest.MonkeyPatch) -> None:
    """Rows that are joined are read when the entry that names them was looked at already."""
    in_order = lambda places, key: list(places)  # noqa: E731
    patch.setattr(store_queries, "sorted", in_order, raising=False)


def entries_of_this_moment(world: World, patch: pytest.MonkeyPatch) -> None:
    """Rows that are joined may be older than the entry that names them."""
    original = QueryPath._made

    def made(self: QueryPath, wanted: Any, guess: Any, asked: Any, *rest: Any) -> Any:
        guess = guess._replace(on=[one.on for one in asked])
        return original(self, wanted, guess, asked, *rest)

    patch.setattr(QueryPath, "_made", made)


@dataclass(frozen=True)
class Safeguard:
    """One safeguard, how to switch it off, and the scenario that misses it.

    Args:
        off: Switches it off.
        scenario: The name of the scenario.
    """

    off: Sabotage
    scenario: str


SAFEGUARDS = (
    Safeguard(invalidate_after_commit_only, "update, two readers"),
    Safeguard(fill_without_lease, "update of a cold row, two readers"),
    Safeguard(lock_leaves_leases, "update of a cold row, two readers"),
    Safeguard(snapshots_need_no_stamp, "snapshot of a cold row"),
    Safeguard(snapshots_beside_writers, "a snapshot and one who dies"),
    Safeguard(publish_though_shared, "two writers, two readers"),
    Safeguard(publish_the_sessions_copy, "two writers, two readers"),
    Safeguard(own_writes_from_the_cache, "reads its own writes"),
    Safeguard(writers_lost_by_a_new_generation, "the region is emptied meanwhile"),
    Safeguard(bulk_writers_unseen, "bulk update"),
    Safeguard(no_quarantine, "Redis restarts"),
    Safeguard(tags_that_rows_had_unseen, "a row moves, its old box is asked for"),
    Safeguard(tags_that_rows_get_unseen, "a row moves, its new box is asked for"),
    Safeguard(entries_of_any_time, "a row moves, its old box is asked for"),
    Safeguard(hits_beside_writers, "rows of a join change, nothing is cached"),
    Safeguard(queries_kept_beside_writers, "a row moves, its old box is asked for"),
    Safeguard(
        rows_kept_by_members, "rows change, which ones there are is asked for, nothing is cached"
    ),
    Safeguard(members_unseen, "a row comes, which ones there are is asked for"),
    Safeguard(remembered_whatever_changed, "rows of a remembered join change"),
    Safeguard(remembered_whatever_changed, "rows change, which ones there are is remembered"),
    Safeguard(named_rows_read_last, "two joined rows change"),
    Safeguard(entries_of_this_moment, "two joined rows change"),
    Safeguard(rows_read_after_stamps, "a row moves, its old box is asked for"),
    Safeguard(queries_kept_with_later_stamps, "a row moves, nothing is cached"),
    Safeguard(absences_of_any_time, "an absent row is made"),
    Safeguard(absences_of_their_fill, "an absent row is made, not asked for before"),
    Safeguard(absences_beside_writers, "an absent row is made, not asked for before"),
    Safeguard(absences_outlive_makers, "an absent row is made"),
    Safeguard(own_new_rows_unseen, "sees the row that it made"),
    Safeguard(made_keys_unseen, "a row is made, its key is asked for"),
    Safeguard(fill_without_lease, "early load beside an update"),
    Safeguard(values_replaced_without_lease, "early load beside an update"),
    Safeguard(lock_leaves_leases, "early load beside an update"),
)
