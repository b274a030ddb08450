"""The input, in which the user writes messages."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.binding import Binding
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import TextArea

from qwen3_chat.documents.attachments import (
    Attachment,
    is_web_address,
    join_attachments,
    split_attachments,
)
from qwen3_chat.documents.file_text import MAX_TEXT_BYTES
from qwen3_chat.session.thinking_mode import is_only_mode_tag
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.texts.terminal_safe import label_of_name, storable
from qwen3_chat.ui.completion import CompletionKind, CompletionTrigger, find_trigger, typed_command, unescaped
from qwen3_chat.ui.input_history import InputHistory
from qwen3_chat.ui.widgets.completion_list import CompletionList

JOINERS = "\u200c\u200d"
"""The characters that join the parts of an emoji or of a ligature; Textual takes them for unprintable."""

EDITING_KEYS = tuple(Binding.make_bindings(TextArea.BINDINGS))
"""The bindings of Textual's text area, one for each key."""

LONG_PASTE_LINES = 30
LONG_PASTE_CHARACTERS = 4_000


class ChatInput(TextArea):
    """The input of messages.

    Enter sends and Ctrl+J breaks the line, or the other way round. Up and Down at the edges walk through the
    history. A long paste becomes an attachment; `/` and `@` show completions.
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
    """The keys that break the line where Enter sends, and send where Enter breaks the line."""

    enter_sends: var[bool] = var(True)
    attachments: var[tuple[Attachment, ...]] = var((), init=False)

    class Submitted(Message):
        """The message that the user sends the text with its attachments."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CommandEntered(Message):
        """The message that the user enters a command by its name."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class CompletionRequested(Message):
        """The message that the word at the cursor can be completed; None if it can't, or no longer."""

        def __init__(self, trigger: CompletionTrigger | None) -> None:
            super().__init__()
            self.trigger = trigger

    class FileChosen(Message):
        """The message that the user chose a file or a web page to attach."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class QueuedRequested(Message):
        """The message that the user wants to edit the last of the queued messages."""

    class AttachmentsChanged(Message):
        """The message that attachments were added or removed."""

    def __init__(self, completions: CompletionList) -> None:
        super().__init__(highlight_cursor_line=False, tab_behavior="focus", compact=False)
        self._completions = completions
        self._history = InputHistory()
        self._sent: tuple[str, str, tuple[Attachment, ...]] = ("", "", ())
        """The content sent last: the whole message, the typed text, the attachments."""
        self._submitted = ""
        self._emptied = ""
        """The whole message that was discarded last."""
        self.has_queued = False
        """True while messages wait to be sent; Up in the empty input takes the last one back."""

    def on_mount(self) -> None:
        """Keep the terminal's own cursor at the input's cursor, also after a change of the layout.

        An input method shows its candidates there (textual#1469); Textual moves it with the text only.
        """
        self.screen.screen_layout_refresh_signal.subscribe(self, self._move_terminal_cursor)

    def _move_terminal_cursor(self, _screen: Screen[object]) -> None:
        if self.has_focus:
            self.app.cursor_position = self.cursor_screen_offset

    def watch_enter_sends(self) -> None:
        """Show in the placeholder which key sends and which begins a new line."""
        self.show_keys()

    def show_keys(self) -> None:
        """Write the placeholder in the language in use."""
        enter, other = t("ui.help.send_keys"), t("ui.help.line_keys")
        send, line = (enter, other) if self.enter_sends else (other, enter)
        self.placeholder = t("ui.input.placeholder", send=send, line=line)

    def watch_attachments(self) -> None:
        """Post that attachments were added or removed."""
        self.post_message(self.AttachmentsChanged())

    # sending

    @property
    def content(self) -> str:
        """The text with its attachments, as one message."""
        return join_attachments(unescaped(self.text), self.attachments)

    @content.setter
    def content(self, content: str) -> None:
        self.text, self.attachments = split_attachments(content)
        self.move_cursor(self.document.end)

    def remember(self, contents: Iterable[str]) -> None:
        """Replace the history with messages sent before, oldest first."""
        self._history.reset(split_attachments(content)[0] for content in contents)

    def remember_older(self, contents: Iterable[str]) -> None:
        """Insert messages of other chats, oldest first, before the history."""
        self._history.prepend(split_attachments(content)[0] for content in contents)

    def clear_sent(self, text: str) -> None:
        """Clear the content that was sent; text typed since then stays."""
        self._sent = (text, self._submitted, self.attachments)
        self._history.add(self._submitted)
        self.attachments = ()
        since = self.text.removeprefix(self._submitted) if self.text.startswith(self._submitted) else ""
        self.clear()
        self.insert(since)

    def prepend(self, contents: Iterable[str]) -> None:
        """Insert whole messages before what is typed, and their attachments before those."""
        parts = [split_attachments(content) for content in contents]
        texts = [text for text, _ in parts] + [self.text]
        attachments = [attachment for _, attached in parts for attachment in attached]
        self.text = "\n\n".join(filter(None, texts))
        self.attachments = (*attachments, *self.attachments)
        self.move_cursor(self.document.end)

    def restore_unsent(self, text: str) -> None:
        """Bring back a message that could not be sent, unless the user has begun another one."""
        if not self.text and not self.attachments:
            if text == self._sent[0]:
                _, self.text, self.attachments = self._sent
                self.move_cursor(self.document.end)
            else:
                self.content = text

    def _submit(self) -> None:
        self._submitted = self.text
        self.move_cursor(
            self.document.end
        )  # text typed before the input is cleared belongs to the next message
        if (name := typed_command(self.text)) and not self.attachments and not is_only_mode_tag(self.text):
            self.post_message(self.CommandEntered(name))
        elif self.content.strip():
            self.post_message(self.Submitted(self.content))

    @property
    def can_empty(self) -> bool:
        """True while there is something to empty, or to bring back."""
        return bool(self.text or self.attachments or self._emptied)

    def empty_or_bring_back(self) -> None:
        """Remove text and attachments, so that they can be brought back; do that if the input is empty."""
        if self.text or self.attachments:
            self.keep_for_undo(self.content)
            self.attachments = ()
            self.clear()
            self.notify(t("ui.notice.emptied"), timeout=6)
        elif self._emptied:
            self.content, self._emptied = self._emptied, ""

    def keep_for_undo(self, content: str) -> None:
        """Remember a whole message that is discarded, so that it can be brought back."""
        self._emptied = content

    # attachments

    def attach(self, attachment: Attachment) -> None:
        """Add an attachment."""
        self.attachments = (*self.attachments, attachment)

    def detach(self, attachment: Attachment) -> None:
        """Remove an attachment."""
        self.attachments = tuple(other for other in self.attachments if other is not attachment)

    def paste(self, text: str) -> None:
        """Insert a pasted text; a long one becomes an attachment, for nobody could read it in the input."""
        text = storable(text).replace("\r\n", "\n").replace("\r", "\n")  # terminals send line ends as Enter
        if len(text) > MAX_TEXT_BYTES:
            limit = format_size(MAX_TEXT_BYTES)
            self.notify(t("attach.paste_too_large", limit=limit), severity="warning")
        elif text.count("\n") > LONG_PASTE_LINES or len(text) > LONG_PASTE_CHARACTERS:
            prefix = t("attach.pasted", number="")
            count = sum(attachment.name.startswith(prefix) for attachment in self.attachments)
            self.attach(Attachment(t("attach.pasted", number=count + 1), text))
        else:
            result = self.replace(text, *self.selection, maintain_selection_offset=False)
            self.move_cursor(result.end_location)

    def on_paste(self, event: events.Paste) -> None:
        """Insert or attach the text instead of Textual's text area."""
        event.prevent_default().stop()
        self.paste(event.text)
        self.focus()

    # typing

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scroll to the cursor, unless an undo of many lines asks for it before the cursor has moved.

        Textual looks for a line that is gone then, and the app ends (textual#6686).
        """
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()
        return super().scroll_cursor_visible(center, animate)

    async def on_key(self, event: events.Key) -> None:
        """Handle the keys that mean something else than in Textual's text area, which handles the others."""
        if self._completions.trigger == self.completion_trigger is not None and self._choose(event.key):
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

    async def _edit(self, key: str) -> bool:
        """Run the binding of a key at once; return False if it has none.

        Textual would run it after all keys that arrived at the same moment (textual#6605): over a slow
        connection, a backspace would remove a character typed after it.
        """
        for binding in EDITING_KEYS:
            if binding.key == key and await self.app.run_action(binding.action, self):
                return True
        return False

    def on_text_area_changed(self) -> None:
        """Post which completion the word at the cursor calls for now."""
        self.post_message(self.CompletionRequested(self.completion_trigger))

    @property
    def completion_trigger(self) -> CompletionTrigger | None:
        """The completion that the text before the cursor calls for; None if there is none."""
        row, column = self.cursor_location
        return find_trigger(self.document[row][:column], row)

    def _choose(self, key: str) -> bool:
        """Move through the completions, accept or close them; return True if the key was for them."""
        match key:
            case "up":
                self._completions.action_cursor_up()
            case "down":
                self._completions.action_cursor_down()
            case "escape":
                self._completions.close()
            case "tab" | "enter" if (trigger := self.completion_trigger) is not None:
                return self._accept_completion(trigger, self._completions.chosen, is_final=key == "enter")
            case _:
                return False
        return True

    def _accept_completion(self, trigger: CompletionTrigger, chosen: str, is_final: bool) -> bool:
        """Replace the typed word with the chosen completion; Enter submits a command at once.

        Return False if the command was typed completely and is not submitted.
        """
        self._completions.close()
        end = self.cursor_location
        begin = (end[0], trigger.column)
        if trigger.kind is CompletionKind.FILE:
            name = chosen if is_web_address(chosen) else chosen.rpartition("/")[2]
            self.replace(f"{label_of_name(name)} ", begin, end)
            self.post_message(self.FileChosen(chosen))
            return True
        is_typed_whole = self.text.strip() == chosen
        self.replace(chosen, begin, end)
        if is_final:
            self._submit()
        return is_final or not is_typed_whole

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, or to the previous text of the history from the first line."""
        if not (select or self.text or self.attachments) and self.has_queued:
            self.post_message(self.QueuedRequested())
        elif select or self._row > 0 or not self._walk(-1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, or to the next text of the history from the last line."""
        if select or self._row < self.wrapped_document.height - 1 or not self._walk(1):
            super().action_cursor_down(select)

    @property
    def _row(self) -> int:
        """The row of the cursor in the wrapped text."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    def _walk(self, step: int) -> bool:
        text = self._history.walk(step, self.text)
        if text is not None:
            self.text = text
            self.move_cursor(self.document.end)
        return text is not None
