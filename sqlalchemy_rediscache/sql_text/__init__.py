"""What a piece of SQL text writes: text that no object of SQLAlchemy describes."""

from .effects import READS, UNKNOWN, Answer, Effect, Kind, Name, Written
from .reader import TextReader

__all__ = ["READS", "UNKNOWN", "Answer", "Effect", "Kind", "Name", "TextReader", "Written"]
