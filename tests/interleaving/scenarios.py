"""The scenarios: who reads and writes what, and what may go wrong."""

from __future__ import annotations

from collections.abc import Sequence

from tests.interleaving.explorer import Scenario
from tests.interleaving.happenings import leases_expire, locks_expire, redis_restarts
from tests.interleaving.roles import (
    assigner,
    batch_reader,
    bulk_writer,
    deleter,
    early_snapshot_reader,
    emptier,
    expired_reader,
    inserter,
    loading_writer,
    outsider,
    own_reader,
    reader,
    refreshing_writer,
    returning_writer,
    savepoint_writer,
    selecting_reader,
    snapshot_reader,
    writer,
)

ONE_WRITER: Sequence[Scenario] = (
    Scenario("update, two readers", (writer("w", a=1), reader("r1"), reader("r2"))),
    Scenario("update of a cold row, two readers",
             (writer("w", a=1), reader("r1"), reader("r2")), warm=False),
    Scenario("update in one process", (writer("w", a=1), reader("r1"), reader("r2")),
             warm=False, apart=False),
    Scenario('update with write="invalidate"',
             (writer("w", a=1), reader("r1"), reader("r2")), invalidate=True),
    Scenario("loads and writes", (loading_writer("w", a=1), reader("r1"), reader("r2")),
             warm=False),
    Scenario("insert of an absent row", (inserter("w", a=1), reader("r1"), reader("r2")),
             absent=True),
    Scenario("insert of a row not asked for before",
             (inserter("w", a=1), reader("r1"), reader("r2")), absent=True, warm=False),
    Scenario("delete", (deleter("w"), reader("r1"), reader("r2")), warm=False),
    Scenario("bulk update", (bulk_writer("w", a=1), reader("r1"), reader("r2")), warm=False),
    Scenario("rollback", (returning_writer("w", a=1), reader("r1"), reader("r2")), warm=False),
    Scenario("savepoint rolled back",
             (savepoint_writer("w", a=1, b=1), reader("r1"), reader("r2"))),
    Scenario("reads its own writes", (own_reader("w", a=1), reader("r1"), reader("r2"))),
    Scenario("looks at its object after its commit",
             (refreshing_writer("w", a=1), reader("r1"), expired_reader("r2"))),
    Scenario("refresh of expired objects",
             (writer("w", a=1), expired_reader("r1"), expired_reader("r2")), warm=False),
    Scenario("select", (writer("w", a=1), selecting_reader("r1"), reader("r2")), warm=False),
    Scenario("IN of two rows written by one",
             (writer("w", a=1, rows=2), batch_reader("r1"), batch_reader("r2")), rows=2),
    Scenario("IN of two rows, one of them cached",
             (writer("w", a=1, rows=2), batch_reader("r1"), reader("r2", place=1)), rows=2,
             warm=False),
    Scenario("IN and bulk update",
             (bulk_writer("w", a=1, rows=2), batch_reader("r1"), batch_reader("r2")), rows=2),
    Scenario("the region is emptied meanwhile",
             (writer("w", a=1), emptier("x"), reader("r1"), reader("r2")), warm=False),
    Scenario("leases expire", (writer("w", a=1), reader("r1"), reader("r2"), leases_expire()),
             warm=False),
    Scenario("readers wait for each other's fill",
             (writer("w", a=1), reader("r1"), reader("r2")), warm=False,
             options={"lease_wait": 3600.0}),
)  # fmt: skip

TWO_WRITERS: Sequence[Scenario] = (
    Scenario("two writers, two readers",
             (writer("w1", a=1), writer("w2", b=2), reader("r1"), reader("r2"))),
    Scenario("two writers of a cold row",
             (writer("w1", a=1), writer("w2", b=2), reader("r1"), reader("r2")), warm=False),
    Scenario('two writers, write="invalidate"',
             (writer("w1", a=1), writer("w2", b=2), reader("r1"), reader("r2")),
             invalidate=True),
    Scenario("delete and update",
             (deleter("w1"), writer("w2", b=2), reader("r1"), reader("r2"))),
    Scenario("bulk update and update",
             (bulk_writer("w1", a=1), writer("w2", b=2), reader("r1"), reader("r2"))),
    Scenario("bulk update beside an update",
             (bulk_writer("w1", a=1, first=1), writer("w2", b=2), reader("r1"), reader("r2")),
             rows=2),
    Scenario("two of overlapping rows, IN",
             (writer("w1", a=1, rows=2), writer("w2", b=2, first=1), batch_reader("r1"),
              reader("r2", place=1)), rows=2),
)  # fmt: skip

SNAPSHOTS: Sequence[Scenario] = (
    Scenario("snapshot and reader",
             (writer("w", a=1), snapshot_reader("s", rows=1), reader("r")), snapshots=True),
    Scenario("snapshot of a cold row",
             (writer("w", a=1), snapshot_reader("s", rows=1), reader("r")), snapshots=True,
             warm=False),
    Scenario("snapshot of two rows",
             (writer("w", a=1, rows=2), snapshot_reader("s", rows=2), reader("r", place=1)),
             rows=2, snapshots=True, warm=False),
    Scenario("snapshot begun by the read",
             (writer("w", a=1), early_snapshot_reader("s"), reader("r", times=2)),
             snapshots=True, warm=False),
    Scenario("snapshot in one process",
             (writer("w", a=1), snapshot_reader("s", rows=1), reader("r", times=2)),
             snapshots=True, warm=False, apart=False),
)  # fmt: skip

TROUBLES: Sequence[Scenario] = (
    Scenario("one dies", (writer("w", a=1), reader("r1"), reader("r2")), warm=False, crashes=1),
    Scenario("one of two writers dies",
             (writer("w1", a=1), writer("w2", b=2), reader("r"), locks_expire()), crashes=1),
    Scenario("a snapshot and one who dies",
             (writer("w", a=1), snapshot_reader("s", rows=1), reader("r"), locks_expire()),
             warm=False, crashes=1, mortals=("w",), snapshots=True, apart=False),
    Scenario("bulk update and one who dies",
             (bulk_writer("w", a=1), reader("r1"), reader("r2"), locks_expire()), crashes=1),
    Scenario("insert and one who dies",
             (inserter("w", a=1), reader("r1"), reader("r2")), absent=True, crashes=1),
    Scenario("Redis restarts", (writer("w", a=1), reader("r1"), reader("r2"), redis_restarts()),
             warm=False),
    Scenario("Redis restarts beside two writers",
             (writer("w1", a=1), writer("w2", b=2), reader("r"), redis_restarts())),
)  # fmt: skip

ASSIGNS = Scenario(
    "assigns the value it has", (assigner("w1", b=2), writer("w2", a=1), reader("r"))
)
INVALIDATES = Scenario(
    "a row is invalidated beside its writer",
    (writer("w", b=2), outsider("x", a=1), reader("r")),
)
REDIS_FAILS = Scenario("Redis fails a lock", (writer("w", a=1), reader("r")), faults=2, apart=False)
