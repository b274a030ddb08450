"""The actions on the marked message and on its versions."""

from __future__ import annotations

from functools import partial

from textual import on, work
from textual.events import DescendantFocus

from qwen3_chat.chat import Role
from qwen3_chat.session import Turn
from qwen3_chat.session.thinking_mode import typed_mode
from qwen3_chat.store.records import Deletion, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.transcript.code_extraction import find_code_blocks
from qwen3_chat.ui.actions.turn_actions import TurnActions
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.code_blocks_screen import CodeBlocksScreen
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_input import ChatInput
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript

BLOCKED_WHILE_ANSWERING = frozenset({"edit", "answer", "other_mode", "delete", "earlier", "later"})
"""The actions on a message that are disabled while an answer is written."""


class VersionActions(ConversationScreen):
    """Actions on the versions of a message, in the order in which they were written."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        if action == "version" and self.is_ready:
            is_possible = self.chosen_versions.id_at_step(int(str(parameters[0]))) is not None
            return None if is_possible and self.is_answering else is_possible
        return super().check_action(action, parameters)

    @work(group="version")
    async def action_version(self, step: int) -> None:
        """Show another version of the marked message, or else of the latest one with several.

        The mark moves to the version that is shown.
        """
        async with self.navigation_lock:
            other = self.chosen_versions.id_at_step(step)
            if other is None or self.is_answering:
                return
            is_marked = self.transcript.marked is not None
            with notify_errors(self, "task.versions"):
                await self.session.show_version(other)
                await self.show_versions()
                self.show_chat()
                if is_marked:
                    self.transcript.mark(other)


class MessageActions(VersionActions, TurnActions):
    """Actions on the message that is marked, by key or by a click on its header.

    While a message is marked the transcript has the focus, so that single letters act on the message.
    """

    _edited: int | None = None
    """The question that is being edited in the input; the edited text is sent in its place."""
    _set_aside_text = ""
    """The text that was in the input before the editing began."""
    _deletions: tuple[Deletion, ...] = ()
    _text_at_deletion = ""

    @property
    def marked(self) -> StoredMessage | None:
        """The marked message, on which the keys act."""
        key = self.transcript.marked
        return next((stored for stored in self.session.messages if stored.id == key), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        match action:
            case "mark" | "message" | "leave" | "undo_deletion" if not self.is_ready:
                return False  # a letter typed before the screen is ready is text
            case "mark":
                return bool(self.session.messages)
            case "message":
                return self._is_allowed(str(parameters[0]))
            case "leave":
                return self.transcript.marked is not None or self._edited is not None
            case "undo_deletion":
                if not self._deletions or self.input.text != self._text_at_deletion:
                    return False
                return None if self.is_answering else True
            case _:
                return super().check_action(action, parameters)

    def _is_allowed(self, action: str) -> bool | None:
        if (stored := self.marked) is None:
            return False
        is_live = self.is_answering and stored is self.session.messages[-1]
        match action:
            case "edit":
                possible = stored.message.role is Role.USER
            case "code":
                possible = "`" in stored.message.content or "    " in stored.message.content
            case "earlier" | "later":
                step = -1 if action == "earlier" else 1
                possible = self.versions.for_message(stored.id).id_at_step(step) is not None
            case "quote":
                possible = bool(stored.message.content) and not is_live
            case _:
                possible = True
        return None if possible and self.is_answering and action in BLOCKED_WHILE_ANSWERING else possible

    # marking

    def action_mark(self, step: int) -> None:
        """Mark the message before or after the marked one."""
        self.transcript.mark_beside(step)

    @on(MarkedTranscript.Marked)
    def mark_moved(self) -> None:
        """Focus the transcript while a message is marked, the input after that."""
        if self.transcript.marked is not None:
            self.transcript.focus(scroll_visible=False)
        elif self.transcript.has_focus:
            self.input.focus()
        self.show_state()

    @on(DescendantFocus)
    def focus_moved(self, event: DescendantFocus) -> None:
        """Remove the mark when another widget gets the focus."""
        if event.widget is not self.transcript:
            self.transcript.marked = None

    def action_leave(self) -> None:
        """Remove the mark; if there is none, end the editing of a question."""
        if self.transcript.marked is not None:
            self.transcript.marked = None
            self.transcript.search_text = ""
        else:
            self._stop_editing(self._set_aside_text)

    # the actions on the marked message

    async def action_message(self, action: str) -> None:
        """Run one of the actions on the marked message."""
        stored = self.marked
        if stored is None:
            return
        match action:
            case "edit":
                self._edit(stored)
            case "answer":
                self.take_turn(partial(self.chat_tree.regenerate_at, stored.id))
            case "other_mode":
                self._answer_in_other_mode(stored)
            case "copy":
                self.app.copy_to_clipboard(self._source(stored))
            case "quote":
                self._quote(stored.message.content)
            case "code":
                self._show_code(stored)
            case "delete":
                self._delete(stored)
            case "earlier":
                self.action_version(-1)
            case "later":
                self.action_version(1)

    def action_copy_answer(self) -> None:
        """Copy the marked message, or the latest answer if none is marked."""
        if (stored := self.marked) is not None:
            self.app.copy_to_clipboard(self._source(stored))
        else:
            super().action_copy_answer()

    def _edit(self, stored: StoredMessage) -> None:
        if self._edited is None:
            self._set_aside_text = self.input.content
        self._edited = stored.id
        self.input.content = stored.message.content
        self.input.border_title = t("ui.editing")
        self.input.focus()

    def _stop_editing(self, text: str) -> None:
        self._edited, self._set_aside_text = None, ""
        self.input.content = text
        self.input.border_title = ""
        self.refresh_bindings()

    def turn_of(self, text: str) -> Turn:
        """Return the turn of a new question, or of the edited one in place of the original."""
        if self._edited is None:
            return super().turn_of(text)
        turn = partial(self.chat_tree.edit_question, self._edited, text)
        self.call_after_refresh(self._stop_editing, self._set_aside_text)
        return turn

    def show_chat(self) -> None:
        """Show the session's chat; drop the editing and the deletions of another chat."""
        chat_id = self.session.chat_id
        if self._edited is not None and self._edited not in {m.id for m in self.session.messages}:
            self._stop_editing(self._set_aside_text)
        if self._deletions and self._deletions[-1].chat_id != chat_id:
            self._deletions = ()
        super().show_chat()

    def _answer_in_other_mode(self, stored: StoredMessage) -> None:
        index = self.session.messages.index(stored)
        earlier = self.session.messages[: index + 1]
        question = next((m for m in reversed(earlier) if m.message.role is Role.USER), None)
        if question is not None and typed_mode(question.message.content):
            self.notify(t("ui.notice.mode_is_typed"))
            return
        later = (m for m in self.session.messages[index:] if m.meta.mode)
        mode = next((m.meta.mode for m in later), None) or self.session.mode
        self.take_turn(partial(self.chat_tree.regenerate_at, stored.id, mode=mode.other))

    def _source(self, stored: StoredMessage) -> str:
        if self.is_answering and stored is self.session.messages[-1]:  # it is still being written
            return self.transcript.transcript_layout.message_views[-1].answer
        return stored.message.content

    def _quote(self, text: str) -> None:
        selected = self.get_selected_text()
        self.input.focus()
        self.input.insert(quoted(selected or text, self.input.text))

    @work(group="code", exclusive=True)
    async def _show_code(self, stored: StoredMessage) -> None:
        if blocks := find_code_blocks(self._source(stored)):
            await show_dialog(self, CodeBlocksScreen(blocks, self.exports_folder))
        else:
            self.notify(t("ui.notice.no_code"))

    # deleting

    @work(group="delete")
    async def _delete(self, stored: StoredMessage) -> None:
        async with self.navigation_lock:
            if stored not in self.session.messages or self.is_answering:
                return
            with notify_errors(self, "task.delete_message"):
                self._deletions = (*self._deletions, await self.chat_tree.delete(stored.id))
                self._text_at_deletion = self.input.text
                await self.show_versions()
                self.show_chat()
                self.notify(t("ui.notice.message_deleted"))

    @work(group="delete")
    async def action_undo_deletion(self) -> None:
        """Restore the message that was deleted last."""
        async with self.navigation_lock:
            if not self._deletions or self.is_answering:
                return
            *before, last = self._deletions
            self._deletions = tuple(before)
            with notify_errors(self, "task.restore_message"):
                await self.chat_tree.restore(last)
                await self.show_versions()
                self.show_chat()
                self.transcript.mark(last.message_ids[-1])

    @on(ChatInput.Changed)
    def _typed(self) -> None:
        if self._deletions:
            self.refresh_bindings()


def quoted(text: str, before: str = "") -> str:
    """Return a text quoted with `> `, on lines of its own after `before` and with a blank line below."""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    lines = text.strip("\n").split("\n")
    return gap + "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"
