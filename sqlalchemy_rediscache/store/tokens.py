"""Tokens: names for leases, locks and generations that were never used before."""

from __future__ import annotations

import itertools
import os
import secrets


class Tokens:
    """Makes names that no other process and no other call ever made.

    A random prefix for each process and a counter: 0.2 us a token, where random bytes for each one
    would cost a system call. A forked child takes a prefix of its own.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._renew()

    def _renew(self) -> None:
        self._prefix = secrets.token_urlsafe(9).encode()
        self._count = itertools.count()
        self._pid = os.getpid()

    def new(self) -> bytes:
        """A new token."""
        if os.getpid() != self._pid:
            self._renew()
        return b"%b%x" % (self._prefix, next(self._count))
