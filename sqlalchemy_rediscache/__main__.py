"""`python -m sqlalchemy_rediscache` is the program `rediscache`."""

from __future__ import annotations

from sqlalchemy_rediscache.cli.entry import main

main()
