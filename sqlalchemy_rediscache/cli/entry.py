"""Where the program `rediscache` begins, also where its extra is not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRA = "sqlalchemy-rediscache[cli]"


def main() -> None:
    """Run the program, or say which extra it needs."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        sys.stderr.write(f"rediscache: {names} not installed: pip install '{EXTRA}'\n")
        sys.exit(2)
    from sqlalchemy_rediscache.cli.main import app

    app()
