"""What the database gives back for a value that was written: exactly known, or `INEXACT`.

Used when a committed row is published without reading it again. Whatever a database may change on
the way in (scale, precision, padding, zones, ranges, normal forms) is `INEXACT` unless what it
makes of it is certain; so is every type, value and database that no rule here knows.
"""

from __future__ import annotations

from sqlalchemy_rediscache.codec.stored.rules import stored_rule

__all__ = ["stored_rule"]
