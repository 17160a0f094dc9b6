"""What a SELECT uses of a table beside its primary key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.sql import visitors

from .. import private
from .sources import base_table
from .ways import base_column


def beside_keys(rendered: private.Rendered) -> Mapping[Table, int] | None:
    """How often other columns of each table are rendered than those of its primary key.

    Whatever is used is rendered once at least: where that is as often as columns of a table are
    plain columns of the result, they have no other use. None where a text names one.
    """
    found: Counter[Table] = Counter()
    for element in rendered.elements:
        if element.__visit_name__ == "textual_label_reference":
            return None
        found.update(_others(element))
    return found


def _others(element: Any) -> Iterator[Table]:
    if isinstance(element, Column):
        columns: Any = (element,)
    elif element.__visit_name__ == "label_reference":
        # Of a label its name alone is rendered here.
        columns = (part for part in visitors.iterate(element) if isinstance(part, Column))
    else:
        return
    for column in columns:
        table = base_table(column.table)
        own = base_column(column)
        if table is not None and (own is None or not own.primary_key):
            yield table
