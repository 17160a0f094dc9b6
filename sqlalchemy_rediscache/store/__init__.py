"""Redis: the only package that imports it. Connections, scripts and their typed callers."""

from .scripts import Lease, Published, Reading, Scripts, State
from .store import Store

__all__ = ["Lease", "Published", "Reading", "Scripts", "State", "Store"]
