"""The answer "not known for certain"."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Inexact(Enum):
    """The type of `INEXACT`; an enumeration of one, so that `is` narrows the type."""

    INEXACT = "inexact"


INEXACT: Final = Inexact.INEXACT
"""What the database would give back for a written value is not known for certain."""
