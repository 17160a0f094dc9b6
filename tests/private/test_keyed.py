"""An option with a part in the key of its statement."""

from __future__ import annotations

from sqlalchemy import select

from sqlalchemy_rediscache import private
from tests.private.models import Parent


def test_it_tells_statements_apart() -> None:
    """Its class is in the key, and nothing of what it holds."""
    plain = select(Parent)
    statements = (
        plain,
        plain.options(private.KeyedOption(payload=1)),
        plain.options(private.KeyedOption(payload=2)),
    )
    keys = [one._generate_cache_key() for one in statements]
    assert all(key is not None for key in keys)
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]
