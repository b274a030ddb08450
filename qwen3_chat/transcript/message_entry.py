"""The entry of one message in a transcript, its texts already in the reader's language."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ThinkingDisplay(StrEnum):
    """The state of a thinking pane until the reader folds or unfolds it."""

    AUTO = "auto"
    """Open until the answer starts."""
    OPEN = "open"
    CLOSED = "closed"


class MessageEntry(Struct, frozen=True):
    """A message: Markdown of the `assistant`, plain text of the `user`, a notice of any other role.

    The pane of the thinking holds the result where a tool has returned more than a line.
    """

    role: str
    answer: str = ""
    reasoning: str = ""
    header: str = ""
    """The first row, such as the name of the speaker."""
    reasoning_header: str = ""
    """The row that folds the thinking, such as `Thought 14 s`."""
    note: str = ""
    """The note below the message, such as stopped or failed."""
    dropped_note: str = ""
    """The note below a message that the model no longer gets; such a message is drawn in grey."""
    key: int | None = None
    """The owner's key of the message."""
    has_calls: bool = False
    """True if the message calls tools, which ends its thinking as an answer does."""
    is_folded: bool | None = None
    """The state of the pane until the reader folds or unfolds it; None is that of all thinking."""
