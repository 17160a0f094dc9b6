"""sqlglot's tokenizers and parsers, as they are used here. Imported when a text needs them."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from sqlglot import Token, Tokenizer, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, ParseError
from sqlglot.parser import Parser
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.parsers.sqlite import SQLiteParser

MARK = "$"
"""Stands for every string: what is in one names no table. It is a JSON path that every dialect
accepts, so that sqlglot has no reason to log a warning about it."""

_STRINGS = frozenset(
    {
        TokenType.BYTE_STRING, TokenType.HEREDOC_STRING, TokenType.NATIONAL_RAW_STRING,
        TokenType.NATIONAL_STRING, TokenType.RAW_STRING, TokenType.STRING, TokenType.UNICODE_STRING,
    }
)  # fmt: skip
_QUOTED = _STRINGS | {TokenType.HINT, TokenType.IDENTIFIER}


class _NoCommands:
    """A parser that fails where sqlglot would log a warning and keep a statement as text."""

    def _warn_unsupported(self) -> NoReturn:
        raise ParseError("a statement that sqlglot keeps as text")


# The tokenizers know no commands: the text that follows one would be taken up to the next
# semicolon, also to one inside a string.


class _MySQLTokens(MySQL.Tokenizer):
    COMMANDS: ClassVar[set[TokenType]] = set()


class _PostgresTokens(Postgres.Tokenizer):
    COMMANDS: ClassVar[set[TokenType]] = set()


class _SQLiteTokens(SQLite.Tokenizer):
    COMMANDS: ClassVar[set[TokenType]] = set()


class _MySQLParser(_NoCommands, MySQLParser):
    pass


class _PostgresParser(_NoCommands, PostgresParser):
    pass


class _SQLiteParser(_NoCommands, SQLiteParser):
    pass


class Grammar:
    """One dialect's tokenizer and parser.

    Args:
        name: "mysql", "postgresql" or "sqlite".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._dialect: Dialect
        self._tokens: type[Tokenizer]
        self._parser: type[Parser]
        if name == "mysql":
            self._dialect, self._tokens, self._parser = MySQL(), _MySQLTokens, _MySQLParser
        elif name == "postgresql":
            self._dialect, self._tokens, self._parser = Postgres(), _PostgresTokens, _PostgresParser
        else:
            self._dialect, self._tokens, self._parser = SQLite(), _SQLiteTokens, _SQLiteParser

    def statements(self, text: str) -> list[list[Token]]:
        """The tokens of each statement, without comments.

        Raises:
            sqlglot.errors.TokenError: A quote or comment has no end.
        """
        found: list[list[Token]] = [[]]
        for token in self._tokens(dialect=self._dialect).tokenize(text):
            if token.token_type is TokenType.SEMICOLON:
                found.append([])
            else:
                found[-1].append(token)
        return [statement for statement in found if statement]

    def parse(self, tokens: list[Token], text: str) -> exp.Expr:
        """The tree of one statement.

        Raises:
            sqlglot.errors.ParseError: It is not understood.
        """
        parser = self._parser(dialect=self._dialect, error_level=ErrorLevel.IMMEDIATE)
        trees = parser.parse(tokens, text)
        if len(trees) != 1 or trees[0] is None:
            raise ParseError("not one statement")
        return trees[0]


def word(token: Token) -> str:
    """An unquoted word in upper case; nothing for strings and quoted names."""
    return "" if token.token_type in _QUOTED else token.text.upper()


def is_string(token: Token) -> bool:
    """A literal, not a name in quotes."""
    return token.token_type in _STRINGS


def renamed(token: Token, kind: TokenType, text: str) -> Token:
    """Another token in its place."""
    return Token(kind, text, token.line, token.col, token.start, token.end)
