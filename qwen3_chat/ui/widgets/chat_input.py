"""The box in which the user writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import events
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import TextArea

from qwen3_chat.documents.attachments import Attachment, join_attachments, split_attachments
from qwen3_chat.documents.file_text import MAX_TEXT_BYTES
from qwen3_chat.session.thinking_mode import is_only_mode_tag
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.ui.completion import CompletionKind, CompletionTrigger, find_trigger, typed_command, unescaped
from qwen3_chat.ui.input_history import InputHistory
from qwen3_chat.ui.widgets.completion_list import CompletionList

JOINERS = "\u200c\u200d"
"""What holds the parts of an emoji or of a ligature together; Textual takes it for unprintable."""

LONG_PASTE_LINES = 30
LONG_PASTE_CHARACTERS = 4_000


class ChatInput(TextArea):
    """Enter sends and Ctrl+J breaks the line, or the other way round; Up and Down at the edges walk through
    what was sent. A long paste becomes an attachment; `/` and `@` offer completions.
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
        &.-no-think { border: round $foreground 40%; }
        &.-no-think:focus { border: round $foreground 70%; }
        & .text-area--cursor-line { background: transparent; }
    }
    """
    OTHER_KEYS = frozenset({"ctrl+j", "shift+enter", "alt+enter", "ctrl+enter"})
    """What does the other of the two that Enter can do."""

    enter_sends: var[bool] = var(True)
    attachments: var[tuple[Attachment, ...]] = var((), init=False)

    @dataclass
    class Submitted(Message):
        """The user sends what is in the box, with what is attached."""

        text: str

    @dataclass
    class CommandEntered(Message):
        """The user gives a command by its name."""

        name: str

    @dataclass
    class CompletionRequested(Message):
        """The word at the cursor can be completed; None where it can't, or no longer."""

        trigger: CompletionTrigger | None

    @dataclass
    class FileChosen(Message):
        """The user wants a file attached."""

        path: str

    class AttachmentsChanged(Message):
        """Something was attached or taken away."""

    def __init__(self, completions: CompletionList) -> None:
        super().__init__(highlight_cursor_line=False, tab_behavior="focus", compact=False)
        self._completions = completions
        self._history = InputHistory()
        self._sent: tuple[str, str, tuple[Attachment, ...]] = ("", "", ())
        """What was sent last: as a whole, what of it was typed, what was attached."""
        self._submitted = ""

    def on_mount(self) -> None:
        """Keep the terminal's own cursor at ours, also where only the layout has moved it.

        That is where an input method shows its candidates; Textual moves it with the text only.
        """
        self.screen.screen_layout_refresh_signal.subscribe(self, self._place_terminal_cursor)

    def _place_terminal_cursor(self, _screen: Screen[object]) -> None:
        if self.has_focus:
            self.app.cursor_position = self.cursor_screen_offset

    def watch_enter_sends(self, enter_sends: bool) -> None:
        """Say which key sends and which begins a new line."""
        enter, other = t("ui.help.send_keys"), t("ui.help.line_keys")
        send, line = (enter, other) if enter_sends else (other, enter)
        self.placeholder = t("ui.input.placeholder", send=send, line=line)

    def watch_attachments(self) -> None:
        """Tell that there is more or less to send."""
        self.post_message(self.AttachmentsChanged())

    # what is sent

    @property
    def content(self) -> str:
        """The text with what is attached."""
        return join_attachments(unescaped(self.text), self.attachments)

    @content.setter
    def content(self, content: str) -> None:
        self.text, self.attachments = split_attachments(content)
        self.move_cursor(self.document.end)

    def remember(self, contents: Iterable[str]) -> None:
        """Take over what was sent before, oldest first."""
        self._history.reset(split_attachments(content)[0] for content in contents)

    def remember_older(self, contents: Iterable[str]) -> None:
        """Have what was sent in other chats, oldest first, before that."""
        self._history.prepend(split_attachments(content)[0] for content in contents)

    def clear_sent(self, text: str) -> None:
        """Empty the box after its content was taken over; what was typed since stays."""
        self._sent = (text, self._submitted, self.attachments)
        self._history.add(self._submitted)
        self.attachments = ()
        since = self.text.removeprefix(self._submitted) if self.text.startswith(self._submitted) else ""
        self.clear()
        self.insert(since)

    def restore_unsent(self, text: str) -> None:
        """Return what could not be sent, unless the user has begun another message."""
        if not self.text and not self.attachments:
            if text == self._sent[0]:
                _, self.text, self.attachments = self._sent
                self.move_cursor(self.document.end)
            else:
                self.content = text

    def _submit(self) -> None:
        self._submitted = self.text
        self.move_cursor(self.document.end)  # what is typed before the box is emptied is the next message's
        if (name := typed_command(self.text)) and not self.attachments and not is_only_mode_tag(self.text):
            self.post_message(self.CommandEntered(name))
        elif self.content.strip():
            self.post_message(self.Submitted(self.content))

    # what is attached

    def attach(self, attachment: Attachment) -> None:
        """Have a text go along with the message."""
        self.attachments = (*self.attachments, attachment)

    def detach(self, attachment: Attachment) -> None:
        """Take an attachment away."""
        self.attachments = tuple(one for one in self.attachments if one is not attachment)

    def paste(self, text: str) -> None:
        """Insert a text; a long one is attached, for in the box nobody could read it."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # terminals send line ends as Enter
        if len(text) > MAX_TEXT_BYTES:
            limit = format_size(MAX_TEXT_BYTES)
            self.notify(t("attach.paste_too_large", limit=limit), severity="warning")
        elif text.count("\n") > LONG_PASTE_LINES or len(text) > LONG_PASTE_CHARACTERS:
            pasted = sum(one.name.startswith(t("attach.pasted", number="")) for one in self.attachments)
            self.attach(Attachment(t("attach.pasted", number=pasted + 1), text))
        else:
            if result := self._replace_via_keyboard(text, *self.selection):
                self.move_cursor(result.end_location)

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default().stop()
        self.paste(event.text)
        self.focus()

    # what is typed

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scroll to the cursor; an undo of many lines asks for it before the cursor has moved."""
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()
        return super().scroll_cursor_visible(center, animate)

    async def _on_key(self, event: events.Key) -> None:
        if self._completions.offered_for == self.completion_trigger is not None and self._choose(event.key):
            event.prevent_default().stop()
        elif event.key == "enter" or event.key in self.OTHER_KEYS:
            event.prevent_default().stop()
            if (event.key == "enter") is self.enter_sends:
                self._submit()
            else:
                self.insert("\n")
        elif event.character is not None and event.character in JOINERS:
            event.prevent_default().stop()
            self.insert(event.character)
        elif (
            event.key == "backspace"
            and self.attachments
            and self.selection.end == self.selection.start == (0, 0)
        ):
            event.prevent_default().stop()
            self.detach(self.attachments[-1])
        elif not event.is_printable and await self._edit(event.key):
            event.prevent_default().stop()
        else:
            await super()._on_key(event)

    async def _edit(self, key: str) -> bool:
        """Do at once what a key does to the text.

        Textual would do it after all keys that came in the same moment: over a slow connection, a backspace
        would take away what was typed after it.
        """
        for binding in self._bindings.key_to_bindings.get(key, ()):
            if await self.app.run_action(binding.action, self):
                return True
        return False

    def _on_text_area_changed(self) -> None:
        self.post_message(self.CompletionRequested(self.completion_trigger))

    @property
    def completion_trigger(self) -> CompletionTrigger | None:
        """What the text before the cursor asks to complete."""
        row, column = self.cursor_location
        return find_trigger(self.document[row][:column], row)

    def _choose(self, key: str) -> bool:
        """Move through the completions, take one or none; tell whether the key was for them."""
        match key:
            case "up":
                self._completions.action_cursor_up()
            case "down":
                self._completions.action_cursor_down()
            case "escape":
                self._completions.close()
            case "tab" | "enter" if (wanted := self.completion_trigger) is not None:
                return self._accept_completion(wanted, self._completions.chosen, is_final=key == "enter")
            case _:
                return False
        return True

    def _accept_completion(self, trigger: CompletionTrigger, chosen: str, is_final: bool) -> bool:
        """Put what was chosen in place of what was typed of it; Enter gives a command at once."""
        self._completions.close()
        end = self.cursor_location
        begin = (end[0], trigger.column)
        if trigger.kind is CompletionKind.FILE:
            self.replace(chosen.rpartition("/")[2], begin, end)
            self.post_message(self.FileChosen(chosen))
            return True
        is_typed_whole = self.text.strip() == chosen
        self.replace(chosen, begin, end)
        if is_final:
            self._submit()
        return is_final or not is_typed_whole

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
        text = self._history.walk(step, self.text)
        if text is not None:
            self.text = text
            self.move_cursor(self.document.end)
        return text is not None
