"""The machine: everything that the two sides of a pair are made to do."""

from __future__ import annotations

from tests.differential.bulk_rules import BulkRules
from tests.differential.collection_rules import CollectionRules
from tests.differential.query_rules import QueryRules
from tests.differential.session_rules import SessionRules


class DifferentialMachine(SessionRules, QueryRules, BulkRules, CollectionRules):
    """All rules together."""
