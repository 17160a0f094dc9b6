"""`Parameters`: what tells one call of a form of statement from another, by its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.types import Date, DateTime, Enum, Interval, Time, TypeEngine

from .. import private
from ..codec import Wire
from ..errors import EncodeError

_SORTABLE = ({int}, {str})
"""Values of one of these types, without others among them, sort alike in every process."""

_MOMENTS = (Date, DateTime, Time, Interval)

_Sent = Callable[[Any], Any]
"""From a value to what the driver is given for it."""


class Parameters:
    """The parameters of a form of statement.

    Args:
        compiled: The compiled statement.
        dialect: The dialect that it is sent through.
    """

    def __init__(self, compiled: Any, dialect: Dialect) -> None:
        types = private.parameter_types(compiled)
        sent = {name: _sent_by(type_, dialect) for name, type_ in types.items()}
        self._names = tuple(sorted(types))
        self._moments = tuple(name for name in self._names if isinstance(types[name], _MOMENTS))
        self._lists = tuple(sorted(private.in_lists(compiled)))
        self._expanding = private.expanding(compiled)
        self._sent = {name: by for name, by in sent.items() if by is not None}
        self._enums = tuple(
            (place, name)
            for place, name in enumerate(self._names)
            if name in self._sent and _has_members(types[name])
        )

    def canonical(self, values: Mapping[str, Any], wire: Wire) -> Mapping[str, Any]:
        """The values with the lists of each IN in one order, the same for equal sets of values.

        What was a set of Python's has an order that depends on the process.

        Raises:
            EncodeError: A value has no exact form.
        """
        if not self._lists:
            return values
        return {**values, **{name: self._ordered(name, values[name], wire) for name in self._lists}}

    def packed(self, values: Mapping[str, Any], wire: Wire) -> bytes:
        """The values as bytes: equal for calls that send the same, and for no others.

        A member of an enumeration, and any value that has no exact form of its own, counts as what
        the driver is given for it.

        Raises:
            EncodeError: A value has no exact form.
        """
        for name in self._moments:
            if isinstance(values[name], str):
                raise EncodeError("a text in the place of a time: the database may take it for now")
        listed = [_plain(values[name]) for name in self._names]
        for place, name in self._enums:
            listed[place] = self._as_sent(name, listed[place])
        try:
            return wire.pack(listed)
        except EncodeError:
            inexact = [place for place, value in enumerate(listed) if not _is_exact(value, wire)]
            if not all(self._names[place] in self._sent for place in inexact):
                raise
            for place in inexact:
                listed[place] = self._as_sent(self._names[place], listed[place])
            # What is sent for one value may be another value of the same type.
            return wire.pack([*listed, inexact])

    def _as_sent(self, name: str, value: Any) -> Any:
        sent = self._sent[name]
        try:
            if name in self._expanding and isinstance(value, list):
                return [sent(one) for one in value]
            return _plain(sent(value))
        except Exception as error:  # whatever a type of the application raises, for the database
            raise EncodeError(f"{type(value).__name__}: {error}") from error

    def _ordered(self, name: str, values: Any, wire: Wire) -> Any:
        if not isinstance(values, list | tuple | set | frozenset):
            return values
        kinds = set(map(type, values))
        if kinds in _SORTABLE:
            return sorted(set(values))
        by_form = {self._form(name, value, wire): value for value in values}
        return [by_form[form] for form in sorted(by_form)]

    def _form(self, name: str, value: Any, wire: Wire) -> bytes:
        try:
            return wire.pack(value)
        except EncodeError:
            if name not in self._sent:
                raise
            return wire.pack([self._as_sent(name, value)])


def _has_members(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, Enum) and type_.enum_class is not None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_exact(value: Any, wire: Wire) -> bool:
    try:
        wire.pack(value)
    except EncodeError:
        return False
    return True


def _sent_by(type_: TypeEngine[Any], dialect: Dialect) -> _Sent | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)
