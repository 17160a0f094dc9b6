"""The rows that the database returns for a statement, before objects are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import ORMExecuteState

from .. import private


def fetch(state: ORMExecuteState) -> tuple[Any, Sequence[Any]]:
    """Run a statement as SQLAlchemy would now: its cursor, and all of its rows."""
    connection = private.connection_of(state.session, state.bind_arguments)
    parameters: Any = state.parameters
    cursor: Any = connection.execute(
        state.statement, parameters or {}, execution_options=state.local_execution_options
    )
    return cursor, cursor.all()
