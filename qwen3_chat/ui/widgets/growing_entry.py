"""An entry of the transcript that grows, with the text that has arrived and is not shown yet."""

from __future__ import annotations

from msgspec import Struct

from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.transcript.message_view import MessageView

PIECE_CHARACTERS = 1_000
"""The text that one update shows at most; laying it out takes a few hundredths of a second."""
WHOLE_CHARACTERS = 8_000
"""The length up to which a complete answer is laid out again, as some Markdown needs the whole text."""
PAUSE_FACTOR, END_PAUSE_FACTOR = 5, 1
"""The pause after an update, as a multiple of its time, while text arrives and after its end.

Updates take at most a sixth of one core while text arrives, and half of it after that.
"""


class GrowingEntry(Struct, eq=False):
    """The text that a view still has to show, and the complete entry once its end is known."""

    view: MessageView
    reasoning: str = ""
    answer: str = ""
    retitled: bool = False
    """True if the headers or the note have changed."""
    has_ended: bool = False
    complete: MessageEntry | None = None
    """The complete entry, once it is known."""
    paused_until_s: float = 0.0
    """The time of `time.monotonic` before which there is no update."""

    @property
    def has_more(self) -> bool:
        """True if an update would change something."""
        return not self._is_replaced and bool(self.reasoning or self.answer or self.retitled)

    @property
    def is_complete(self) -> bool:
        """True once the text has ended and all of it is shown."""
        return self.has_ended and not self.has_more

    @property
    def _is_replaced(self) -> bool:
        """True once the view shows another entry in place of the complete one, and that as a whole."""
        return self.complete is not None and self.view.entry is not self.complete

    def take(self) -> tuple[str, str]:
        """Take the next piece of the thinking and of the answer."""
        reasoning, self.reasoning = self.reasoning[:PIECE_CHARACTERS], self.reasoning[PIECE_CHARACTERS:]
        n_characters = PIECE_CHARACTERS - len(reasoning)
        answer, self.answer = self.answer[:n_characters], self.answer[n_characters:]
        self.retitled = False
        return reasoning, answer

    def end(self, entry: MessageEntry) -> bool:
        """Note the complete entry; return True if it can be shown at once, laid out as a whole.

        A long one that goes on from what is shown is shown in pieces.
        """
        view = self.view
        goes_on = entry.reasoning.startswith(view.reasoning) and entry.answer.startswith(view.answer)
        if not goes_on or len(entry.reasoning) + len(entry.answer) <= WHOLE_CHARACTERS:
            return True
        self.reasoning = entry.reasoning[len(view.reasoning) :]
        self.answer = entry.answer[len(view.answer) :]
        view.entry = self.complete = entry
        view.header, view.reasoning_header, view.note = entry.header, entry.reasoning_header, entry.note
        self.retitled = self.has_ended = True
        return False

    def pause(self, start_s: float, end_s: float) -> None:
        """Let other work run after an update that took so long."""
        factor = END_PAUSE_FACTOR if self.has_ended else PAUSE_FACTOR
        self.paused_until_s = end_s + factor * (end_s - start_s)
