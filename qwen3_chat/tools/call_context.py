"""The surroundings of a call that runs, as its tool sees them: the chat, who is told how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

from qwen3_chat.events import Event

MAX_PROGRESS_CHARS: Final = 200
"""The longest text about a call that runs, in characters."""


class ToolCallProgressed(Event, frozen=True):
    """The progress of a call that runs: `progress` of `total`, where the tool knows a total, and a text."""

    name: str
    progress: float
    total: float | None = None
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None where no total is known."""
        if self.total is None or self.total <= 0:
            return None
        return min(1.0, max(0.0, self.progress / self.total))


ProgressReport = Callable[[float, float | None, str], None]
"""A function that takes the progress of a call: how much of how much, with a text."""


class CallContext(Struct, frozen=True):
    """The surroundings of a call: the id of its chat, None before the chat is stored; where to report to."""

    chat_id: int | None = None
    report: ProgressReport = lambda progress, total, message: None
    hold: Callable[[bool], None] = lambda is_waiting: None
    """Stops the clock of the call while it waits for the user, and lets it go on."""


current_call: ContextVar[CallContext] = ContextVar("current_call", default=CallContext())  # noqa: B039 - frozen
"""The call that runs in the task in which this is read."""


def make_report(name: str, on_progress: Callable[[ToolCallProgressed], None]) -> ProgressReport:
    """Return the function by which the call of a tool of that name reports its progress."""

    def report(progress: float, total: float | None, message: str) -> None:
        text = " ".join(message.split())[:MAX_PROGRESS_CHARS]
        on_progress(ToolCallProgressed(name, progress, total, text))

    return report
