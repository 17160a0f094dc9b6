"""What the codec reads of SQLAlchemy's types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import BINARY, VARBINARY, Float, LargeBinary, Numeric, String, create_engine
from sqlalchemy.dialects import mysql, postgresql, sqlite

from sqlalchemy_rediscache.private import types as private


@pytest.mark.parametrize("type_", [LargeBinary(), BINARY(3), VARBINARY(3), postgresql.BYTEA(),
                                   mysql.BLOB(), mysql.LONGBLOB()], ids=repr)  # fmt: skip
def test_types_of_bytes(type_: Any) -> None:
    """Every type of bytes has the base that the codec asks for, a string has not."""
    assert isinstance(type_, private.BinaryType)
    assert not isinstance(String(), private.BinaryType)


def test_variants() -> None:
    """`variant_for` is what `with_variant` gave for the dialect, else the type itself."""
    plain, other = String(5), mysql.VARCHAR(9)
    type_ = plain.with_variant(other, "mysql")
    assert private.variant_for(type_, mysql.dialect()).length == 9  # type: ignore[attr-defined]
    assert private.variant_for(type_, sqlite.dialect()) is type_


@pytest.mark.parametrize("option", ["json_serializer", "json_deserializer"])
def test_json_functions_of_an_engine(option: str) -> None:
    """An engine's own JSON functions are seen, of each dialect that takes them."""
    function = json.dumps if option == "json_serializer" else json.loads
    for url in ("sqlite://", "mysql+pymysql://", "postgresql+asyncpg://"):
        given: dict[str, Any] = {option: function}
        assert private.has_own_json(create_engine(url, **given).dialect), url
        assert not private.has_own_json(create_engine(url).dialect)


@pytest.mark.parametrize(
    ("type_", "digits"),
    [(Numeric(10, 2), 2), (Numeric(), 10), (Numeric(10, 2, decimal_return_scale=4), 4),
     (Float(asdecimal=True), 10)],
    ids=repr,
)  # fmt: skip
def test_digits_of_decimals(type_: Any, digits: int) -> None:
    """The scale to which a float is formatted before it becomes a Decimal."""
    assert private.formatted_digits(type_) == digits
