"""The tags of the rows that a flush wrote: those that they get, and if they had some before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.exc import UnmappedColumnError

from ..codec import INEXACT
from ..region import Region
from ..tags import MEMBERS
from ..write_path import TagWrites


class TagColumn(NamedTuple):
    """A column whose value is a tag of each row."""

    column: Column[Any]
    place: int
    """Its place among the region's columns."""
    attribute: str
    """The attribute that it is mapped to; empty where it is mapped to none."""
    null_when_unset: bool
    """An INSERT sends NULL for it when nothing was assigned."""


def tag_columns(region: Region, mapper: Mapper[Any]) -> tuple[TagColumn, ...]:
    """The tag columns of a region's rows, but for the key's, as a class maps them."""
    return tuple(
        TagColumn(
            column,
            region.index[column],
            _attribute(mapper, column),
            column.server_default is None and column.default is None,
        )
        for column in region.tagset.kept
    )


def _attribute(mapper: Mapper[Any], column: Column[Any]) -> str:
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return ""


def note_tags(
    tags: TagWrites,
    region: Region,
    state: InstanceState[Any],
    *,
    identities: Sequence[tuple[Any, ...]],
    columns: Sequence[TagColumn],
    changed: set[str],
    deleted: bool,
    sent: bool,
) -> None:
    """Add the tags of a row that a flush wrote.

    What the row had before is not taken from the object, which may be older than the row: its hash
    in Redis has it (see ``lock.lua``).

    Args:
        tags: What is known of the place's rows so far.
        region: How the rows are cached.
        state: The written object.
        identities: Its primary keys, before and now.
        columns: See `tag_columns`.
        changed: The attributes that were sent.
        deleted: The row was deleted.
        sent: The database stores what is sent.
    """
    tagset = region.tagset
    for identity in identities:
        words = tagset.key_words(region.key_columns, identity)
        tags.add(tagset.name, words)
    if deleted or state.key is None or len(identities) > 1:
        tags.add(tagset.name, (MEMBERS,))
    if state.key is not None and columns:
        had = region.identity.key(state.key[1])
        if had is not None:
            tags.had.add(had)
    if not deleted:
        got = None if not sent else _got(region, state, columns, changed)
        if got is None or columns:
            tags.add(tagset.name, got)


def _got(
    region: Region, state: InstanceState[Any], columns: Sequence[TagColumn], changed: set[str]
) -> list[bytes] | None:
    """The tags that the row gets; None where one of them is not known."""
    words = list(_words(region, state, columns, changed))
    return None if None in words else [word for word in words if word is not None]


def _words(
    region: Region, state: InstanceState[Any], columns: Sequence[TagColumn], changed: set[str]
) -> Iterator[bytes | None]:
    attributes, fresh = state.dict, state.key is None
    for column, place, attribute, null_when_unset in columns:
        if not fresh and attribute and attribute not in changed:
            continue  # as it was before
        if attribute in attributes:
            value = region.codec.stored(place, attributes[attribute])
            yield None if value is INEXACT else region.tagset.tag(column, value)
        elif fresh and null_when_unset and attribute and attribute not in changed:
            yield region.tagset.tag(column, None)
        else:
            yield None  # the database made the value
