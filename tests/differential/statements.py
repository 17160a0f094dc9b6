"""Queries for the differential test, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.differential.conditions import Condition, conditions
from tests.differential.statements_of_any import OF_ANY
from tests.differential.statements_of_some import OF_SOME, SEVERAL
from tests.differential.values import Model


@dataclass(frozen=True)
class Question:
    """A statement, as data: it is made anew each time, as a program does.

    Attributes:
        shape: A name in `OF_ANY` or `OF_SOME`.
        model: The model that the condition is about.
        condition: The condition.
        number: Chooses details.
    """

    shape: str
    model: Model
    condition: Condition = field(default_factory=lambda: Condition("and"))
    number: int = 0

    def statement(self) -> Any:
        """The statement, without an option of the cache."""
        make = OF_SOME[self.shape][1] if self.shape in OF_SOME else OF_ANY[self.shape]
        return make(self.model, self.condition, self.number)

    @property
    def several(self) -> bool:
        """Must the result be made unique?"""
        return self.shape in SEVERAL


@st.composite
def questions(draw: Any, models: tuple[Model, ...]) -> Question:
    """A question of any shape, of some models where the shape does not say of which."""
    shape = draw(st.sampled_from([*sorted(OF_ANY), *sorted(OF_SOME)]))
    model = OF_SOME[shape][0] if shape in OF_SOME else draw(st.sampled_from(models))
    return Question(shape, model, draw(conditions(model)), draw(st.integers(0, 9)))
