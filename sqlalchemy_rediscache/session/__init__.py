"""How sessions meet the cache: the only package that knows SQLAlchemy's sessions and engines."""

from .binding import Binding

__all__ = ["Binding"]
