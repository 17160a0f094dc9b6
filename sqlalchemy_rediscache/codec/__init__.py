"""The codec: one database row to one bytes value and back, exactly, or not at all.

`RowCodec` packs and unpacks rows, `IdentityCodec` writes primary keys as text, `uncacheable` says
which columns stay out. The rule of all three: a value is either given back as the database driver
gives it, same value and same Python type, or it is refused.
"""

from __future__ import annotations

from .columns import uncacheable
from .fingerprint import fingerprint_of
from .identity import IdentityCodec, exact_text
from .inexact import INEXACT, Inexact
from .row import ABSENT_ROW, RowCodec
from .splice import spliced
from .wire import Wire

__all__ = [
    "ABSENT_ROW",
    "INEXACT",
    "IdentityCodec",
    "Inexact",
    "RowCodec",
    "Wire",
    "exact_text",
    "fingerprint_of",
    "spliced",
    "uncacheable",
]
