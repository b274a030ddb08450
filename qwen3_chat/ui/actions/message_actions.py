"""The actions on one message, which is marked by key or by a click on its header, and on its versions."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from textual import on, work
from textual.events import DescendantFocus

from qwen3_chat.chat import Role
from qwen3_chat.session import SessionEvent
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


def quoted(text: str, before: str = "") -> str:
    """Return the lines of a text behind `> `, on lines of their own after what is `before`, room below."""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    lines = text.strip("\n").split("\n")
    return gap + "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"


class VersionActions(ConversationScreen):
    """Walks through them in the order in which they were written."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "variant" and self.is_ready:
            is_possible = self.chosen_versions.id_at_step(int(str(parameters[0]))) is not None
            return None if is_possible and self.is_answering else is_possible
        return super().check_action(action, parameters)

    @work(group="variant")
    async def action_version(self, step: int) -> None:
        """Show another version of the marked message, or of the latest that has some; a mark goes along."""
        async with self.navigation_lock:
            other = self.chosen_versions.id_at_step(step)
            if other is None or self.is_answering:
                return
            is_marked = self.transcript.marked is not None
            with notify_errors(self):
                await self.session.show_version(other)
                await self.show_versions()
                self.show_chat()
                if is_marked:
                    self.transcript.mark(other)


BLOCKED_WHILE_ANSWERING = frozenset({"edit", "answer", "other_mode", "delete", "earlier", "later"})
"""What can't be done to a message while an answer is written."""


class MessageActions(VersionActions, TurnActions):
    """While a message is marked the transcript has the focus, so that single letters act on it."""

    _edited: int | None = None
    """The question whose text is in the input; sending asks it instead."""
    _set_aside_text = ""
    """What was in the input before."""
    _deletions: tuple[Deletion, ...] = ()
    _text_at_deletion = ""

    @property
    def marked(self) -> StoredMessage | None:
        """The message that the keys act on."""
        key = self.transcript.marked
        return next((stored for stored in self.session.messages if stored.id == key), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        match action:
            case "mark" | "message" | "leave" | "undo_deletion" if not self.is_ready:
                return False  # a letter that is typed early is a letter
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

    def _is_allowed(self, what: str) -> bool | None:
        if (stored := self.marked) is None:
            return False
        is_live = self.is_answering and stored is self.session.messages[-1]
        match what:
            case "edit":
                possible = stored.message.role is Role.USER
            case "code":
                possible = "`" in stored.message.content or "    " in stored.message.content
            case "earlier" | "later":
                step = -1 if what == "earlier" else 1
                possible = self.versions.for_message(stored.id).id_at_step(step) is not None
            case "quote":
                possible = bool(stored.message.content) and not is_live
            case _:
                possible = True
        return None if possible and self.is_answering and what in BLOCKED_WHILE_ANSWERING else possible

    # marking

    def action_mark(self, step: int) -> None:
        """Mark the message before or after the marked one."""
        self.transcript.mark_beside(step)

    @on(MarkedTranscript.Marked)
    def mark_moved(self) -> None:
        """Give the keys to what is marked by now, or back to the input."""
        if self.transcript.marked is not None:
            self.transcript.focus(scroll_visible=False)
        elif self.transcript.has_focus:
            self.input.focus()
        self.show_state()

    @on(DescendantFocus)
    def focus_moved(self, event: DescendantFocus) -> None:
        """Leave the mark when the user goes elsewhere."""
        if event.widget is not self.transcript:
            self.transcript.marked = None

    def action_leave(self) -> None:
        """Leave the marked message, then the editing of one."""
        if self.transcript.marked is not None:
            self.transcript.marked = None
            self.transcript.search_text = ""
        else:
            self._stop_editing(self._set_aside_text)

    # what is done to the marked message

    async def action_message(self, what: str) -> None:
        """Do one of the things that can be done to a message."""
        stored = self.marked
        if stored is None:
            return
        match what:
            case "edit":
                self._edit(stored)
            case "answer":
                self.take_turn(self.chat_tree.regenerate_at(stored.id))
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
        """Copy the marked message, or else the latest answer."""
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

    def turn_events(self, text: str) -> AsyncGenerator[SessionEvent, None]:
        """Ask in place of the question that is edited, where one is."""
        if self._edited is None:
            return super().turn_events(text)
        events, aside = self.chat_tree.edit_question(self._edited, text), self._set_aside_text
        self.call_after_refresh(self._stop_editing, aside)
        return events

    def show_chat(self) -> None:
        """Leave what belonged to the chat before: its editing, what was deleted there."""
        chat_id = self.session.chat_id
        if self._edited is not None and self._edited not in {m.id for m in self.session.messages}:
            self._stop_editing(self._set_aside_text)
        if self._deletions and self._deletions[-1].chat_id != chat_id:
            self._deletions = ()
        super().show_chat()

    def _answer_in_other_mode(self, stored: StoredMessage) -> None:
        place = self.session.messages.index(stored)
        earlier = self.session.messages[: place + 1]
        asked = next((m for m in reversed(earlier) if m.message.role is Role.USER), None)
        if asked is not None and typed_mode(asked.message.content):
            self.notify(t("ui.notice.mode_is_typed"))
            return
        later = (m for m in self.session.messages[place:] if m.meta.mode)
        mode = next((m.meta.mode for m in later), None) or self.session.mode
        self.take_turn(self.chat_tree.regenerate_at(stored.id, mode.other))

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
            with notify_errors(self):
                self._deletions = (*self._deletions, await self.chat_tree.delete(stored.id))
                self._text_at_deletion = self.input.text
                await self.show_versions()
                self.show_chat()
                self.notify(t("ui.notice.message_deleted"))

    @work(group="delete")
    async def action_undo_deletion(self) -> None:
        """Bring back what was deleted last."""
        async with self.navigation_lock:
            if not self._deletions or self.is_answering:
                return
            *before, last = self._deletions
            self._deletions = tuple(before)
            with notify_errors(self):
                await self.chat_tree.restore(last)
                await self.show_versions()
                self.show_chat()
                self.transcript.mark(last.message_ids[-1])

    @on(ChatInput.Changed)
    def _typed(self) -> None:
        if self._deletions:
            self.refresh_bindings()
