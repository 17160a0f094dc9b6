"""Which stamps count as seen before a transaction began."""

from __future__ import annotations

import threading

from sqlalchemy_rediscache.stamps import Stamps


def test_what_was_seen_before() -> None:
    """A stamp that was in force when the transaction began, and has not changed since."""
    stamps = Stamps()
    stamps.saw(b"g", b"1")
    began = stamps.now()
    assert stamps.before(b"g", began) == b"1"
    stamps.saw(b"g", b"1")  # the same, seen again
    assert stamps.before(b"g", began) == b"1"


def test_what_was_seen_after() -> None:
    """Neither a region that was first seen later, nor one that changed, nor one being written."""
    stamps = Stamps()
    for guard in (b"changed", b"written"):
        stamps.saw(guard, b"1")
    began = stamps.now()
    stamps.saw(b"new", b"1")
    stamps.saw(b"changed", b"2")
    stamps.saw(b"written", None)
    for guard in (b"new", b"changed", b"written", b"unknown"):
        assert stamps.before(guard, began) is None
    later = stamps.now()
    assert stamps.before(b"new", later) == b"1"
    assert stamps.before(b"changed", later) == b"2"
    assert stamps.before(b"written", later) is None


def test_a_stamp_that_comes_again_is_a_change() -> None:
    """Between the two another was in force."""
    stamps = Stamps()
    stamps.saw(b"g", b"1")
    began = stamps.now()
    stamps.saw(b"g", None)
    stamps.saw(b"g", b"1")
    assert stamps.before(b"g", began) is None
    assert stamps.last(b"g") == b"1"


def test_a_transaction_that_has_not_begun() -> None:
    """It was before everything."""
    stamps = Stamps()
    stamps.saw(b"g", b"1")
    assert stamps.before(b"g", 0) is None


def test_numbers_of_threads_differ() -> None:
    """No number is drawn twice: one of those would be early or late by mistake."""
    stamps = Stamps()
    drawn: list[list[int]] = []

    def draw() -> None:
        drawn.append([stamps.now() for _ in range(20_000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in drawn)
    assert len({number for own in drawn for number in own}) == 80_000
