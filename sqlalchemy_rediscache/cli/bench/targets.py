"""What the cache promises, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured.

    Args:
        target: in words.
        value: what was measured.
        reached: whether that is enough.
        floor: what the floor would have reached, where the target has one.
    """

    target: str
    value: float
    reached: bool
    floor: float | None = None


@dataclass(frozen=True)
class Ratio:
    """A target for the ratio of two contestants' times.

    Args:
        kind: "faster": `other` must take at least `limit` times as long as `subject`;
            "slower": `subject` may take at most `limit` times as long as `other`.
        subject: the contestant that the target is for.
        other: the contestant that it is compared with.
        limit: the ratio.
        floor: a contestant that does only what no subject can do without. On a machine where it
            misses the target, no subject can reach it.
    """

    kind: Literal["faster", "slower"]
    subject: str
    other: str
    limit: float
    floor: str | None = None

    def judge(self, times: Mapping[str, float]) -> Verdict:
        """Compare `times` (any unit, by contestant) with the target."""
        if self.kind == "faster":
            value = times[self.other] / times[self.subject]
            text = f"at least {self.limit:g}x as fast as {self.other}"
            floor = None if self.floor is None else times[self.other] / times[self.floor]
            return Verdict(text, value, value >= self.limit, floor)
        value = times[self.subject] / times[self.other]
        text = f"at most {self.limit:g}x as slow as {self.other}"
        return Verdict(text, value, value <= self.limit)


@dataclass(frozen=True)
class Ceiling:
    """A target for one contestant's time, in microseconds."""

    subject: str
    limit: float

    def judge(self, times: Mapping[str, float]) -> Verdict:
        """Compare `times` (in microseconds, by contestant) with the target."""
        value = times[self.subject]
        return Verdict(f"at most {self.limit:g} us", value, value <= self.limit)


@dataclass(frozen=True)
class Count:
    """A target for a number of round trips to Redis."""

    limit: int

    def judge(self, count: int) -> Verdict:
        """Compare `count` with the target."""
        return Verdict(f"at most {self.limit} round trips", count, count <= self.limit)
