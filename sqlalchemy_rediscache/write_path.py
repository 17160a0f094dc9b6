"""The write path: what a transaction wrote is locked before COMMIT and released after it.

Read it from top to bottom. It knows nothing of sessions; `WriteSet` is what they tell it.

The life of a write, and why no step can be left out (`docs/design.md` has the interleavings):

1. The session flushes: `WriteSet.row` and `WriteSet.region` collect what was written.
2. Right before COMMIT, `WritePath.lock`: values and leases of those rows are deleted, the writer's
   token is put in each, in one round trip. From here on readers go to the database.
3. COMMIT. Readers find the new rows there; nobody can fill.
4. `WritePath.release`: the token is taken out. Rows whose new value is known exactly, and which no
   other writer touched meanwhile, are published; the others stay empty. One round trip.
   After ROLLBACK nothing is published. When nobody knows whether COMMIT happened, nothing is
   released: the lock expires by itself, after any COMMIT has landed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from .codec import spliced
from .debts import Debts
from .errors import CacheUnavailable, DecodeError, EncodeError
from .keys import Place
from .region import Region
from .stats import Counters
from .store import HeldRows, LockWanted, Published, Scripts, Touched

_MOST_ROWS = 5_000
"""A transaction that wrote more rows of a region than this empties the region instead."""

_guard = attrgetter("guard")

T = TypeVar("T")


@dataclass(slots=True)
class RowWrite:
    """What is known of one written row.

    Args:
        region: How its values are encoded; None when nothing may be published.
        whole: The row is new: `values` has every column.
        values: New values by place among the codec's columns, as the database would return them.
    """

    region: Region | None = None
    whole: bool = False
    values: dict[int, Any] = field(default_factory=dict)

    @property
    def builds_on(self) -> bytes:
        """The field whose cached value the new one is built on, b"" where there is none."""
        return self.region.field if self.region is not None and not self.whole else b""

    def built(self, cached: bytes) -> Published | None:
        """What to publish: the new row, or the cached one with the changes; None if not certain.

        `cached` is what the row had when it was locked. This transaction holds the row in the
        database, so that value is the row as it was before this transaction's changes: no writer
        can have come between. The object in the session is no such source: columns that it did not
        change may have been changed by others since it was loaded.
        """
        region = self.region
        if region is None or not (self.whole or cached):
            return None
        if self.whole and len(self.values) != len(region.columns):
            return None
        try:
            packed = self._packed(region) if self.whole else self._changed(region, cached)
            words = self._words(region, cached) if region.words_field else b""
        except (DecodeError, EncodeError):
            return None
        return Published(region.field, packed, region.ttl_ms(), region.words_field, words)

    def _words(self, region: Region, cached: bytes) -> bytes:
        """The tags of the row with the new values."""
        values = [None] * len(region.columns) if self.whole else region.codec.decode(cached)
        for place, value in self.values.items():
            values[place] = value
        return region.words(values)

    def _packed(self, region: Region, values: list[Any] | None = None) -> bytes:
        """The row of these values, None where nothing is said, with the new ones in it."""
        if values is None:
            values = [None] * len(region.columns)
        for place, value in self.values.items():
            values[place] = value
        return region.codec.encode(values)

    def _changed(self, region: Region, cached: bytes) -> bytes:
        """The cached row with the new values."""
        try:
            changes = self._packed(region)
        except EncodeError:  # no fault of the new values, maybe: a column may refuse None
            packed = None
        else:
            packed = spliced(cached, changes, self.values, len(region.columns))
        if packed is None or len(packed) > region.plain_bytes:
            packed = self._packed(region, region.codec.decode(cached))
        return packed


@dataclass(slots=True)
class TagWrites:
    """What is known of the tags of a place's rows that were written.

    Args:
        tagset: The columns that they are of.
        words: Tags that rows got.
        had: Rows that were there before: their tags are in their hashes.
        loose: Rows may have got tags that are not known.
        unnamed: New rows were made whose keys are not known.
    """

    tagset: bytes = b""
    words: set[bytes] = field(default_factory=set)
    had: set[bytes] = field(default_factory=set)
    loose: bool = False
    unnamed: bool = False

    def add(self, tagset: bytes, words: Iterable[bytes] | None) -> None:
        """Rows got these tags; None where they are not known."""
        if words is None or (self.tagset and self.tagset != tagset):
            self.loose = True
        else:
            self.tagset = tagset
            self.words.update(words)

    def join(self, other: TagWrites) -> None:
        """Add what another transaction wrote."""
        self.add(other.tagset or self.tagset, None if other.loose else other.words)
        self.had |= other.had
        self.unnamed = self.unnamed or other.unnamed

    def touched(self, names: Sequence[bytes]) -> Touched:
        """What the lock of these rows says of tags."""
        had = b"".join([b"1" if name in self.had else b"0" for name in names])
        return Touched(self.tagset, self.loose, b" ".join(sorted(self.words)), had, self.unnamed)


@dataclass(slots=True)
class WriteSet:
    """What one database transaction wrote, as far as the cache is concerned."""

    rows: dict[Place, dict[bytes, RowWrite]] = field(default_factory=dict)
    regions: set[Place] = field(default_factory=set)
    tags: dict[Place, TagWrites] = field(default_factory=dict)
    """Of rows written one by one; of a place that is not here nothing is known."""
    token: bytes = b""
    """The token of the lock, once it was asked for."""
    held: list[tuple[LockWanted, bytes, Sequence[bytes]]] | None = None
    """What was locked, its generation, and the rows' cached values, once the lock was taken."""
    owed: bool = False
    """The lock could not be taken, and the transaction may have been committed all the same."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.regions or self.tags)

    def row(self, place: Place, token: bytes, write: RowWrite | None) -> None:
        """A row was written; with None as `write`, in a way that is not known exactly."""
        rows = self.rows.get(place)
        if rows is None:
            rows = self.rows[place] = {}
        if write is None:
            rows[token] = RowWrite()
        elif (earlier := rows.setdefault(token, write)) is not write:
            if (
                earlier.region is None
                or write.region is None
                or (earlier.region.field != write.region.field)
            ):
                rows[token] = RowWrite()
            else:
                earlier.values.update(write.values)
                earlier.whole = earlier.whole or write.whole

    def region(self, place: Place) -> None:
        """Rows of a region were written that are not known one by one."""
        self.regions.add(place)

    def wrote(self, place: Place, token: bytes) -> bool:
        """Has the transaction written this row, or may it have?"""
        if place in self.regions or token in self.rows.get(place, ()):
            return True
        return place in self.tags and self.tags[place].unnamed

    def forget_values(self) -> None:
        """Publish nothing of what was written so far; all of it stays to be invalidated.

        After the rollback of a savepoint: what was written since can't be told apart.
        """
        for rows in self.rows.values():
            for token in rows:
                rows[token] = RowWrite()

    def join(self, other: WriteSet) -> None:
        """Add what another transaction wrote: to be invalidated, its values are not published."""
        self.regions |= other.regions
        for place, rows in other.rows.items():
            for token in rows:
                self.row(place, token, None)
            if place not in other.tags:
                self.tag_writes(place).loose = True
        for place, tags in other.tags.items():
            self.tag_writes(place).join(tags)

    def touches(self, place: Place) -> bool:
        """Has the transaction written anything there?"""
        return place in self.regions or place in self.rows or place in self.tags

    def tag_writes(self, place: Place) -> TagWrites:
        """What is known of the tags of a place's rows, to be added to."""
        found = self.tags.get(place)
        if found is None:
            found = self.tags[place] = TagWrites()
        return found

    def wanted(self) -> Iterator[LockWanted]:
        """What to lock: each place with its rows, or the whole region."""
        for place in self.regions:
            yield LockWanted(*place, (), (), whole=True)
        for place, rows in self.rows.items():
            if place in self.regions:
                continue
            if len(rows) > _MOST_ROWS:
                yield LockWanted(*place, (), (), whole=True)
                continue
            names = tuple(rows)
            tags = self.tags.get(place)
            touched = Touched(loose=True) if tags is None else tags.touched(names)
            fields = [write.builds_on for write in rows.values()]
            yield LockWanted(*place, names, fields, whole=False, touched=touched)
        for place, tags in self.tags.items():  # of a table whose rows are not cached
            if place not in self.rows and place not in self.regions:
                yield LockWanted(*place, (), (), whole=False, touched=tags.touched(()))

    def owed_places(self) -> Iterator[tuple[Place, Sequence[bytes]]]:
        """Each place with its rows, none for the whole region: to be invalidated without a lock."""
        for one in self.wanted():
            yield Place(one.guard, one.prefix), () if one.touched.unnamed else one.names


class WritePath:
    """Locks and releases for one cache.

    Args:
        counters: Where outcomes are counted.
        debts: Where writes are remembered that Redis could not be told of.
        strict: Raise `CacheUnavailable` out of a COMMIT whose lock can't be taken.
    """

    def __init__(self, counters: Counters, debts: Debts, *, strict: bool) -> None:
        self._counters = counters
        self._debts = debts
        self._strict = strict

    def lock(self, scripts: Scripts, writes: WriteSet) -> None:
        """Hold everything the transaction wrote; called right before its COMMIT.

        Raises:
            CacheUnavailable: Redis did not answer and the cache is strict: don't commit.
        """
        # In one order, whatever order a flush wrote in.
        wanted = sorted(writes.wanted(), key=_guard)
        writes.token = scripts.tokens.new()
        try:
            self._debts.pay(scripts)
            held = _twice(lambda: scripts.lock(wanted, writes.token))
        except CacheUnavailable as error:
            self._counters.add("errors")
            if self._strict:
                raise CacheUnavailable(
                    f"a strict cache lets no commit go on without it: {error}. Try again, or "
                    'use consistency="available"'
                ) from error
            # The lock may have reached Redis or not. Either way the rows are invalidated after
            # COMMIT, and this process serves nothing before that.
            writes.owed = True
            self._debts.open()
            return
        writes.held = [
            (asked, one.generation, one.values) for asked, one in zip(wanted, held, strict=True)
        ]

    def release(self, scripts: Scripts, writes: WriteSet, *, committed: bool) -> None:
        """End what `lock` began; after COMMIT publish what is known, after ROLLBACK nothing."""
        if writes.owed:
            self._settle(scripts, writes)
            return
        if writes.held is None:
            return
        calls = []
        for one, generation, cached in writes.held:
            published: list[Published | None] = []
            if committed and cached:
                rows = writes.rows[Place(one.guard, one.prefix)]
                published = [
                    rows[name].built(value) for name, value in zip(one.names, cached, strict=True)
                ]
            calls.append(
                HeldRows(one.guard, one.prefix, generation, one.names, one.whole, published)
            )
        held, writes.held = writes.held, None

        def told(published: int | None) -> None:
            if published is None:
                # The lock expires by itself, and until then nobody reads these rows from Redis.
                # Nothing is stale, and nothing is owed.
                self._counters.add("errors")
            else:
                self._count(held, published, committed=committed)

        try:
            scripts.release(calls, writes.token, told)
        except CacheUnavailable:
            told(None)

    def _count(self, held: Sequence[Any], published: int, *, committed: bool) -> None:
        if committed:
            if published:
                self._counters.add("published", published)
            rows = sum(len(one.names) for one, _, _ in held)
            if rows > published:
                self._counters.add("invalidated", rows - published)
            whole = sum(one.whole for one, _, _ in held)
            if whole:
                self._counters.add("regions_invalidated", whole)

    def _settle(self, scripts: Scripts, writes: WriteSet) -> None:
        # Owed whether the transaction was committed or rolled back: a lock may have been taken, and
        # invalidating a row needlessly costs one SELECT.
        writes.owed = False
        for place, names in writes.owed_places():
            self._debts.owe(place, names or None)
        if writes.token:
            self._debts.close()
        try:
            self._debts.pay(scripts)
        except CacheUnavailable:
            self._counters.add("errors")
            self._debts.complain()


def _twice(call: Callable[[], T]) -> T:
    """A call that one lost answer should not make fail: with one token it may run twice."""
    try:
        return call()
    except CacheUnavailable:
        return call()
