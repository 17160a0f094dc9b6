"""For every type, on every database: what the cache gives is what the database gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlalchemy_rediscache.codec import INEXACT, RowCodec, uncacheable
from tests.codec.cases import MISCHIEF, PAIRS, Case
from tests.codec.exactness import identical
from tests.codec.links import REFUSED, Link

# The driver of SQLite turns a time that is put in a text column into a text; it warns since 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:The default .* adapter is deprecated")

QUICK = settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
THOROUGH = settings(QUICK, max_examples=400, derandomize=False)

by_case = pytest.mark.parametrize(
    ("link", "case"),
    [pytest.param(driver, case, id=f"{driver}-{case.name}") for driver, case in PAIRS],
    indirect=["link"],
)


def check_type(link: Link, case: Case, profile: settings) -> None:
    """Write many values to a column of one type and compare the three answers."""
    table = link.table(case.name, case.type_())
    assert uncacheable(table.c.v, link.dialect) is None
    codec = RowCodec([table.c.v], link.dialect)

    @profile
    @given(st.lists(st.one_of(case.values, case.values, case.values, MISCHIEF), max_size=12))
    def check(values: list[Any]) -> None:
        for value in values:
            foreseen = codec.stored(0, value)
            read = link.write(table, value)
            if read is REFUSED:
                continue
            (decoded,) = codec.decode(codec.encode([read]))
            assert identical(decoded, read), f"cached {decoded!r}, read {read!r}"
            if foreseen is not INEXACT:
                assert identical(foreseen, read), f"{value!r}: foreseen {foreseen!r}, read {read!r}"

    check()


@by_case
def test_a_cached_value_is_the_value_of_the_database(link: Link, case: Case) -> None:
    """A decoded value, and a foreseen one, is identical to what a read of the database gives."""
    check_type(link, case, QUICK)


@pytest.mark.long
@by_case
def test_a_cached_value_is_the_value_of_the_database_at_length(link: Link, case: Case) -> None:
    """The same, for many more values."""
    check_type(link, case, THOROUGH)
