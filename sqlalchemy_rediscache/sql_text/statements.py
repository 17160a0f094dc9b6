"""What a text's statements write, one by one, by sqlglot."""

from __future__ import annotations

from sqlglot import Token, TokenType

from .effects import READS, UNKNOWN, Answer, Kind, Written, together
from .grammar import Grammar, renamed, word
from .rewrite import group_end, plain, replaces, verbs
from .targets import targets
from .words import CARRIERS, EXPLAINS, QUERIES, READERS, WRITES, WRITES_IN_QUERY

_PARSED = QUERIES | {
    "ALTER", "COPY", "CREATE", "DELETE", "DROP", "INSERT", "MERGE", "REFRESH", "RENAME", "REPLACE",
    "TRUNCATE", "UPDATE",
}  # fmt: skip
_RUN_TEXT = frozenset(
    {
        "CONNECTBY", "CROSSTAB", "CROSSTAB2", "CROSSTAB3", "CROSSTAB4", "CROSSTABN", "DBLINK",
        "DBLINK_EXEC", "DBLINK_SEND_QUERY", "TS_REWRITE", "TS_STAT",
    }
)  # fmt: skip
"""Functions that execute SQL, perhaps the one in a string beside them."""
_EXPLAIN_WORDS = frozenset(
    {
        "=", "ANALYSE", "ANALYZE", "EXTENDED", "FORMAT", "JSON", "PARTITIONS", "PLAN", "QUERY",
        "TRADITIONAL", "TREE", "VERBOSE",
    }
)  # fmt: skip


def read(text: str, name: str) -> Answer:
    """What all statements of a text write.

    Args:
        text: The text.
        name: "mysql", "postgresql" or "sqlite".

    Raises:
        Exception: It can't be told.
    """
    grammar = Grammar(name)
    return together(_read(tokens, text, grammar) for tokens in grammar.statements(text))


def _read(tokens: list[Token], text: str, grammar: Grammar) -> Answer:
    words = [word(token) for token in tokens]
    first = next((one for one in words if one != "("), "")
    if first in READERS:
        return READS
    if first in EXPLAINS:
        return _explained(tokens, text, grammar)
    if first in CARRIERS:
        return _carried(first, tokens, words)
    if first not in _PARSED or not _RUN_TEXT.isdisjoint(token.text.upper() for token in tokens):
        return UNKNOWN
    if first in QUERIES and not verbs(tokens):
        return READS
    if first in {"REFRESH", "RENAME"}:
        return _listed(first, tokens, text, grammar)
    return _parsed(plain(tokens, mysql=grammar.name == "mysql"), tokens, text, grammar)


def _parsed(tokens: list[Token], sent: list[Token], text: str, grammar: Grammar) -> Answer:
    tables, kinds, writing = targets(grammar.parse(tokens, text), grammar.name)
    if writing != verbs(tokens):
        return UNKNOWN  # the parser took one for something else
    if Kind.TRUNCATE in kinds and grammar.name == "mysql":
        kinds.add(Kind.DDL)
    if replaces(sent) and Kind.DDL not in kinds:
        kinds.add(Kind.DELETE)
    return Written(frozenset(tables), frozenset(kinds)) if kinds else READS


def _carried(first: str, tokens: list[Token], words: list[str]) -> Answer:
    if first == "START" and words[1:2] != ["TRANSACTION"]:
        return UNKNOWN
    if first == "DECLARE":  # a cursor's query may lock rows for an update
        return UNKNOWN if verbs(tokens) or (WRITES - WRITES_IN_QUERY) & set(words) else READS
    return READS if WRITES.isdisjoint(words) else UNKNOWN


def _explained(tokens: list[Token], text: str, grammar: Grammar) -> Answer:
    """The statement behind EXPLAIN, as if it were executed: with ANALYZE it is."""
    index = 1
    while index < len(tokens):
        if tokens[index].token_type is TokenType.L_PAREN:
            if any(word(token) in QUERIES for token in tokens[index + 1 : index + 2]):
                break
            index = group_end(tokens, index)
        elif word(tokens[index]) in _EXPLAIN_WORDS:
            index += 1
        else:
            break
    rest = tokens[index:]
    if not WRITES.isdisjoint(word(token) for token in tokens[:index]):
        return UNKNOWN
    if rest and word(rest[0]) in _PARSED | CARRIERS | {"("}:
        return _read(rest, text, grammar)
    return READS if WRITES.isdisjoint(word(token) for token in rest) else UNKNOWN


def _listed(first: str, tokens: list[Token], text: str, grammar: Grammar) -> Answer:
    """RENAME TABLE a TO b, REFRESH MATERIALIZED VIEW a: parsed as the TRUNCATE of these tables."""
    words = [word(token) for token in tokens]
    if first == "RENAME" and words[1:2] in (["TABLE"], ["TABLES"]):
        names, kinds = tokens[2:], {Kind.DDL}
    elif words[1:3] == ["MATERIALIZED", "VIEW"]:
        names, kinds = tokens[3:], {Kind.TRUNCATE, Kind.INSERT}
        if words[3:4] == ["CONCURRENTLY"]:
            names = names[1:]
        if "WITH" in words:
            names = names[: words.index("WITH") - len(words)]
    else:
        return UNKNOWN
    names = [renamed(one, TokenType.COMMA, ",") if word(one) == "TO" else one for one in names]
    verb = renamed(tokens[0], TokenType.TRUNCATE, "TRUNCATE")
    tables, _, writing = targets(grammar.parse([verb, *names], text), grammar.name)
    return UNKNOWN if writing else Written(frozenset(tables), frozenset(kinds))
