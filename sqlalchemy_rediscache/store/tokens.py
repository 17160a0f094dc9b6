"""Tokens: names for leases, locks and generations that were never used before."""

from __future__ import annotations

import itertools
import secrets


class Tokens:
    """Makes names that no other process and no other call ever made.

    A random prefix for each process and a counter: 0.2 us a token, where random bytes for each one
    would cost a system call. A forked child takes a prefix of its own.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, under another prefix: what a forked child has to do."""
        self._prefix = secrets.token_urlsafe(9).encode()
        self._count = itertools.count()

    def new(self) -> bytes:
        """A new token."""
        return b"%b%x" % (self._prefix, next(self._count))
