"""Cached queries: what of the database the result of a SELECT can depend on."""

from __future__ import annotations

from .dependencies import Dependency, dependencies
from .refusal import Refusal
from .ways import Tagged

__all__ = ["Dependency", "Refusal", "Tagged", "dependencies"]
