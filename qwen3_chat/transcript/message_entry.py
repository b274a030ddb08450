"""The entry of one message in a transcript: texts as their owner hands them over, already in the reader's
language.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ThinkingDisplay(StrEnum):
    """How a thinking pane is shown until the reader folds or unfolds it himself."""

    AUTO = "auto"
    """Open until the answer starts."""
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One message: Markdown from the `assistant`, plain text from the `user`, a notice otherwise."""

    role: str
    answer: str = ""
    reasoning: str = ""
    header: str = ""
    """The first row, such as the name of the speaker."""
    reasoning_header: str = ""
    """The row that folds the thinking, such as `Thought 14 s`."""
    note: str = ""
    """What happened to the message, shown below it: stopped, failed."""
    dropped_note: str = ""
    """What is said of a message that the model no longer gets; it is greyed then."""
    key: int | None = None
    """What its owner knows it by."""
