"""Redis: the only package that imports it. Connections, scripts and their typed callers."""

from .answers import Lease, Published, Reading, State
from .scripts import Scripts
from .store import Store, StoreSettings

__all__ = ["Lease", "Published", "Reading", "Scripts", "State", "Store", "StoreSettings"]
