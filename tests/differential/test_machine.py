"""A session of a cached factory and one without cache can't be told apart."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.differential.machine import DifferentialMachine
from tests.differential.twins import Twins
from tests.fix_caches import CacheMaker
from tests.servers import Database

Run = Callable[[Database, bool, int, int], None]


QUICK = 30
"""Examples of the default run, the same every time."""

LONG = 1000
"""Examples of a long run, others every time."""


@pytest.fixture
def run(make_cache: CacheMaker) -> Run:
    """Run the machine a number of times."""

    def run(database: Database, as_sqlalchemy: bool, examples: int, steps: int) -> None:
        twins = Twins(make_cache(lease_wait=0.001), database)

        class Machine(DifferentialMachine):
            pass

        Machine.twins = twins
        Machine.as_sqlalchemy = as_sqlalchemy
        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            print_blob=True,
            derandomize=examples <= QUICK,
        )
        gc.collect()
        gc.freeze()  # each example collects: what was there before need not be looked at again
        try:
            run_state_machine_as_test(Machine, settings=chosen)
        finally:
            gc.unfreeze()
        stats = twins.cache.stats()
        assert stats.hits - twins.warming > examples, "a machine that hits nothing shows nothing"
        assert stats.query_hits > examples
        assert stats.corrupt == stats.errors == stats.unsettled == 0

    return run


@pytest.mark.databases("sqlite")
@pytest.mark.warnings_allowed
@pytest.mark.parametrize("as_sqlalchemy", [True, False], ids=["direct", "replayed"])
def test_a_cached_session_is_like_any_other(
    run: Run, database: Database, as_sqlalchemy: bool
) -> None:
    """Random operations give equal results, states, events and errors with and without cache."""
    run(database, as_sqlalchemy, QUICK, 30)


@pytest.mark.long
@pytest.mark.warnings_allowed
@pytest.mark.parametrize("as_sqlalchemy", [True, False], ids=["direct", "replayed"])
def test_it_is_so_for_long(run: Run, database: Database, as_sqlalchemy: bool) -> None:
    """The same, many times, on PostgreSQL too."""
    run(database, as_sqlalchemy, LONG, 50)
