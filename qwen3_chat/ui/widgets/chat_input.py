"""The box in which the user writes."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.reactive import var
from textual.widgets import TextArea

from qwen3_chat.texts import t


class ChatInput(TextArea):
    """Enter sends and Ctrl+J breaks the line, or the other way round; Up and Down at the edges walk through
    what was sent.
    """

    DEFAULT_CSS = """
    ChatInput {
        height: auto;
        min-height: 3;
        max-height: 10;
        border: round $primary 60%;
        background: $surface;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        &:focus { border: round $primary; }
        &.-no-think { border: round $foreground 52%; }
        &.-no-think:focus { border: round $foreground 70%; }
        & .text-area--cursor-line { background: transparent; }
    }
    """
    OTHER_KEYS = frozenset({"ctrl+j", "shift+enter", "alt+enter", "ctrl+enter"})
    """What does the other of the two that Enter can do."""

    enter_sends: var[bool] = var(True)

    @dataclass
    class Submitted(Message):
        """The user sends what is in the box."""

        text: str

    def __init__(self) -> None:
        super().__init__(highlight_cursor_line=False, tab_behavior="focus", compact=False)
        self._sent: list[str] = []
        self._position = 0
        self._edits: dict[int, str] = {}

    def watch_enter_sends(self, enter_sends: bool) -> None:
        """Say which key sends and which begins a new line."""
        enter, other = t("ui.help.send_keys"), t("ui.help.line_keys")
        send, line = (enter, other) if enter_sends else (other, enter)
        self.placeholder = t("ui.input.placeholder", send=send, line=line)

    def remember(self, texts: list[str]) -> None:
        """Take over what was sent before, oldest first."""
        self._sent = texts
        self._position = len(texts)
        self._edits.clear()

    def clear_sent(self, text: str) -> None:
        """Empty the box after its text was taken over."""
        self._sent.append(text)
        self._position = len(self._sent)
        self._edits.clear()
        self.clear()

    def put_back(self, text: str) -> None:
        """Return a text that could not be sent, unless the user has begun another."""
        if not self.text:
            self.text = text
            self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter" or event.key in self.OTHER_KEYS:
            event.prevent_default().stop()
            if (event.key == "enter") is not self.enter_sends:
                self.insert("\n")
            elif self.text.strip():
                self.post_message(self.Submitted(self.text))
        else:
            await super()._on_key(event)

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, or to the text sent before when at the first line."""
        if select or self._row > 0 or not self._walk(-1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, or to the text sent after when at the last line."""
        if select or self._row < self.wrapped_document.height - 1 or not self._walk(1):
            super().action_cursor_down(select)

    @property
    def _row(self) -> int:
        """The row of the cursor as the text is wrapped."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    def _walk(self, step: int) -> bool:
        position = self._position + step
        if not 0 <= position <= len(self._sent):
            return False
        self._edits[self._position] = self.text
        self._position = position
        self.text = self._edits.get(position) or [*self._sent, ""][position]
        self.move_cursor(self.document.end)
        return True
