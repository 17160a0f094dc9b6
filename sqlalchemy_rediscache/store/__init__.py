"""Redis: the only package that imports it. Connections, scripts and their typed callers."""

from .answers import HeldRows, Lease, LockWanted, Published, Reading, State, Touched
from .ask_call import RowsWanted
from .queries import Asked, Keep, KeptEntry, KeptRow, QueryScripts, QueryState, Watched
from .scripts import Scripts
from .store import Store, StoreSettings

__all__ = [
    "Asked",
    "HeldRows",
    "Keep",
    "KeptEntry",
    "KeptRow",
    "Lease",
    "LockWanted",
    "Published",
    "QueryScripts",
    "QueryState",
    "Reading",
    "RowsWanted",
    "Scripts",
    "State",
    "Store",
    "StoreSettings",
    "Touched",
    "Watched",
]
