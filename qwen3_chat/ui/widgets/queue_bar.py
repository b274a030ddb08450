"""The messages that wait for the end of the answer, one line for each, above the input."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from qwen3_chat.documents.attachments import split_attachments
from qwen3_chat.texts import formatting, t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui.themes import DIM

MAX_QUEUED_CHARACTERS = 200
"""The most characters of a message that its line draws; none is wider than the widest terminals."""

REMOVE_CELLS = 3
"""The cells at the left of a line on which a click removes its message."""


class QueuedLine(Static):
    """The line of one message: a click on its cross removes the message, elsewhere takes it back."""

    class Removed(Message):
        """The message that the user removes a queued message."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class TakenBack(Message):
        """The message that the user takes a queued message back into the input."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, number: int, content: str, *, is_last: bool) -> None:
        text, attachments = split_attachments(content)
        shown = terminal_safe(" ".join(text[: 4 * MAX_QUEUED_CHARACTERS].split()))[:MAX_QUEUED_CHARACTERS]
        files = [t("ui.queue.files", count=len(attachments))] if attachments else []
        hint = f"   {t('ui.queue.hint')}" if is_last else ""
        label = formatting.SEPARATOR.join(filter(None, [shown, *files]))
        super().__init__(
            Content.assemble((" × ", DIM), (f"{t('ui.queue.waits')} ", "$primary"), label, (hint, DIM)),
            markup=False,
        )
        self._number = number
        self.tooltip = t("ui.queue.tip")

    def on_click(self, event: events.Click) -> None:
        """Post what is done with the message."""
        event.stop()
        removes = event.x < REMOVE_CELLS
        self.post_message(self.Removed(self._number) if removes else self.TakenBack(self._number))


class QueueBar(VerticalScroll, can_focus=False):
    """The list of queued messages; hidden while there are none."""

    DEFAULT_CSS = """
    QueueBar {
        height: auto;
        max-height: 4;
        padding: 0 1;
        display: none;
        &.-filled { display: block; }
        QueuedLine { height: 1; text-overflow: ellipsis; text-wrap: nowrap; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._contents: Sequence[str] = ()

    def compose(self) -> ComposeResult:
        """Lay out a line for each message, the key that takes back the last one beside it."""
        last = len(self._contents) - 1
        for number, content in enumerate(self._contents):
            yield QueuedLine(number, content, is_last=number == last)

    def show(self, contents: Sequence[str]) -> None:
        """Show the queued messages, the next one to be sent first."""
        self._contents = contents
        self.set_class(bool(contents), "-filled")
        self.refresh(recompose=True)
