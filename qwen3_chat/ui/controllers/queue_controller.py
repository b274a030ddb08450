"""The messages that were sent while an answer was written, and wait for its end."""

from __future__ import annotations

from collections.abc import Callable

from qwen3_chat.session import ChatSession
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

MAX_QUEUED = 20
"""The most messages that wait; more of them are a mistake."""


class QueueController(Controller):
    """The queue of messages: each is sent when the answer before it has ended as it should.

    After an answer that was stopped or that failed, the messages return to the input: whoever wrote them
    decides. Until they are sent they belong to the draft, so that nothing ends them.
    """

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        send: Callable[[str], None],
    ) -> None:
        """Queue for a function that sends a message at once."""
        super().__init__(view, session, widgets)
        self.contents: tuple[str, ...] = ()
        """The queued messages with their attachments, the next one to be sent first."""
        self._send = send

    def add(self, content: str) -> bool:
        """Add a message; return False if there is no room for another one."""
        if len(self.contents) >= MAX_QUEUED:
            self._screen.notify(t("ui.queue.full", count=MAX_QUEUED), severity="warning")
            return False
        self._change((*self.contents, content))
        return True

    def remove(self, number: int) -> None:
        """Remove a message from the queue; the input can bring it back as it does what was cleared."""
        if number < len(self.contents):
            self._widgets.input.keep_for_undo(self.contents[number])
            self._change(self.contents[:number] + self.contents[number + 1 :])
            self._screen.notify(t("ui.notice.emptied"), timeout=6)
        self._widgets.input.focus()

    def take_back(self, number: int) -> None:
        """Move a message back into the input, before what is typed there; -1 is the last one."""
        if number < len(self.contents) and self.contents:
            content = self.contents[number]
            rest = list(self.contents)
            del rest[number]
            self._change(tuple(rest))
            self._widgets.input.prepend([content])
        self._widgets.input.focus()

    def turn_ended(self, *, is_complete: bool) -> None:
        """Send the next message, or return all of them to the input if the answer is not complete."""
        if not self.contents:
            return
        if is_complete:
            self._screen.call_later(self.send_next)
            return
        contents = self.contents
        self._change(())
        self._widgets.input.prepend(contents)
        self._screen.notify(t("ui.queue.returned"), timeout=8)

    def send_next(self) -> None:
        """Send the next message, unless an answer is being written."""
        if self.contents and not self._view.is_answering:
            content, *rest = self.contents
            self._change(tuple(rest))
            self._send(content)

    def _change(self, contents: tuple[str, ...]) -> None:
        self.contents = contents
        self._widgets.input.has_queued = bool(contents)
        self._widgets.queue_bar.show(contents)
