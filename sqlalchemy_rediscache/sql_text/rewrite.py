"""Tokens as sqlglot's parser understands them, and the words among them that write."""

from __future__ import annotations

from sqlglot import Token, TokenType

from .grammar import MARK, is_string, renamed, word
from .words import WRITES_IN_QUERY

_MODIFIERS = frozenset({"DELAYED", "HIGH_PRIORITY", "IGNORE", "LOW_PRIORITY"})
_QUICK = ("QUICK", "FROM")  # QUICK may be a table's name
_VERBS = frozenset({"DELETE", "INSERT", "REPLACE", "UPDATE"})
_FORMATS = frozenset({"B", "S", "T"})
_FUNCTIONS_TOO = frozenset({"INSERT", "REPLACE"})
_NO_STATEMENT = frozenset(
    {
        ("FOR", "UPDATE"),
        ("KEY", "UPDATE"),  # FOR NO KEY UPDATE, ON DUPLICATE KEY UPDATE
        ("DO", "UPDATE"),
        ("ON", "UPDATE"),
        ("ON", "DELETE"),
        ("THEN", "INSERT"),
        ("THEN", "UPDATE"),
        ("THEN", "DELETE"),
        ("OR", "REPLACE"),
        ("INSERT", "INTO"),
        ("MERGE", "INTO"),
    }
)  # fmt: skip


def verbs(tokens: list[Token]) -> int:
    """How many times a statement, or the INTO of a query, begins among the tokens."""
    found = 0
    before = ""
    for index, token in enumerate(tokens):
        here = word(token)
        if here in WRITES_IN_QUERY and (before, here) not in _NO_STATEMENT:
            called = here in _FUNCTIONS_TOO and _is(tokens, index + 1, TokenType.L_PAREN)
            found += not called
        before = here
    return found


def replaces(tokens: list[Token]) -> bool:
    """Rows in the way of a new one are deleted: REPLACE, INSERT OR REPLACE, UPDATE OR REPLACE."""
    return any(
        word(token) == "REPLACE" and not _is(tokens, index + 1, TokenType.L_PAREN)
        for index, token in enumerate(tokens)
    )


def plain(tokens: list[Token], *, mysql: bool) -> list[Token]:
    """Without what says nothing about tables and what sqlglot does not know.

    Placeholders of drivers become ``?``, strings lose their content, ``REPLACE`` becomes
    ``INSERT``; modifiers of statements and the rows of ``VALUES`` after the first are left out.
    """
    found: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        here = word(token)
        step = _placeholder(tokens, index)
        if step:
            found.append(renamed(token, TokenType.PLACEHOLDER, "?"))
        elif token.token_type is TokenType.MOD and _follows(tokens, index + 1, TokenType.MOD):
            found.append(token)  # a driver makes one of two
            step = 2
        elif is_string(token):
            found.append(renamed(token, token.token_type, MARK))
        elif here in _VERBS and not _is(tokens, index + 1, TokenType.L_PAREN):
            if here == "REPLACE" and (not found or word(found[-1]) != "OR"):
                token = renamed(token, TokenType.INSERT, "INSERT")
            found.append(token)
            step = 1 + _modifiers(tokens, index + 1, mysql=mysql)
        elif here == "OVERRIDING" and _word(tokens, index + 2) == "VALUE":
            step = 3
        elif mysql and _starred(tokens, index):
            step = 2
        else:
            found.append(token)
            if here == "VALUES":
                step = 1 + _more_rows(tokens, index + 1, found)
        index += step or 1
    return found


def _placeholder(tokens: list[Token], index: int) -> int:
    """How many tokens are one placeholder: ``%s``, ``%(name)s``, ``?1``, ``:name``, ``$1``."""
    kind = tokens[index].token_type
    if kind is TokenType.MOD:
        if _follows(tokens, index + 1) and word(tokens[index + 1]) in _FORMATS:
            return 2
        if (
            _follows(tokens, index + 1, TokenType.L_PAREN)
            and _is(tokens, index + 3, TokenType.R_PAREN)
            and _follows(tokens, index + 4)
            and word(tokens[index + 4]) in _FORMATS
        ):
            return 5
    if kind is TokenType.PLACEHOLDER and tokens[index].text == "?":
        return 2 if _follows(tokens, index + 1, TokenType.NUMBER) else 0
    if kind is TokenType.VAR and tokens[index].text.startswith("$"):
        return 1
    return 0


def _modifiers(tokens: list[Token], index: int, *, mysql: bool) -> int:
    """How many words after the verb before this place say nothing about tables."""
    if _word(tokens, index) == "OR":
        return 2  # INSERT OR IGNORE
    skipped = 0
    while mysql and _word(tokens, index + skipped) in _MODIFIERS:
        skipped += 1
    if mysql and (_word(tokens, index + skipped), _word(tokens, index + skipped + 1)) == _QUICK:
        skipped += 1
    return skipped


def _starred(tokens: list[Token], index: int) -> bool:
    """The ``.*`` of MySQL's ``DELETE a.*, b.* FROM``: what follows is another table or FROM."""
    return (
        word(tokens[0]) == "DELETE"
        and tokens[index].token_type is TokenType.DOT
        and _is(tokens, index + 1, TokenType.STAR)
        and _word(tokens, index + 2) in {",", "FROM", "USING"}
    )


def _more_rows(tokens: list[Token], index: int, found: list[Token]) -> int:
    """Take the first row after VALUES; return how many tokens all rows have."""
    end = group_end(tokens, index)
    if end == index:
        return 0
    found.extend(plain(tokens[index:end], mysql=False))
    first = end
    while _is(tokens, end, TokenType.COMMA) and _is(tokens, end + 1, TokenType.L_PAREN):
        end = group_end(tokens, end + 1)
    return (first if verbs(tokens[first:end]) else end) - index


def group_end(tokens: list[Token], index: int) -> int:
    """Behind the parenthesis that closes the one here, or behind all if none does."""
    if not _is(tokens, index, TokenType.L_PAREN):
        return index
    depth = 0
    for place in range(index, len(tokens)):
        if tokens[place].token_type is TokenType.L_PAREN:
            depth += 1
        elif tokens[place].token_type is TokenType.R_PAREN:
            depth -= 1
        if not depth:
            return place + 1
    return len(tokens)


def _is(tokens: list[Token], index: int, kind: TokenType) -> bool:
    return index < len(tokens) and tokens[index].token_type is kind


def _follows(tokens: list[Token], index: int, kind: TokenType | None = None) -> bool:
    """A token is there, directly behind the one before it."""
    if index >= len(tokens) or tokens[index].start != tokens[index - 1].end + 1:
        return False
    return kind is None or tokens[index].token_type is kind


def _word(tokens: list[Token], index: int) -> str:
    return word(tokens[index]) if index < len(tokens) else ""
