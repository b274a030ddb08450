"""The marked message, and what is done with it: edit, answer again, copy, quote, delete."""

from __future__ import annotations

from functools import partial

from textual.widget import Widget

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.thinking_mode import typed_mode
from qwen3_chat.store.records import Deletion, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.controllers.version_controller import VersionController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class MessageController(Controller):
    """The message that is marked, by key or by a click on its header, the edited and the deleted ones.

    While a message is marked the transcript has the focus, so that single letters act on the message.
    """

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        turns: TurnController,
        versions: VersionController,
        chat_tree: ChatTree,
    ) -> None:
        super().__init__(view, session, widgets)
        self._turns = turns
        self._versions = versions
        self._chat_tree = chat_tree
        self._edited: int | None = None
        """The question that is being edited in the input; the edited text is sent in its place."""
        self._set_aside_text = ""
        """The text that was in the input before the editing began."""
        self._deletions: tuple[Deletion, ...] = ()
        self._text_at_deletion = ""

    @property
    def marked(self) -> StoredMessage | None:
        """The marked message, on which the keys act."""
        key = self._widgets.transcript.marked
        return next((stored for stored in self._session.messages if stored.id == key), None)

    # possible actions

    def can(self, action: str) -> bool:
        """Return whether an action makes sense for the marked message."""
        if (stored := self.marked) is None:
            return False
        match action:
            case "edit":
                return stored.message.role is Role.USER
            case "code":
                return "`" in stored.message.content or "    " in stored.message.content
            case "earlier" | "later":
                step = -1 if action == "earlier" else 1
                versions = self._versions.branch_versions.for_message(stored.id)
                return versions.id_at_step(step) is not None
            case "quote":
                return bool(stored.message.content) and not self._is_live(stored)
            case _:
                return True

    @property
    def can_leave(self) -> bool:
        """True while a message is marked or a question is edited."""
        return self._widgets.transcript.marked is not None or self._edited is not None

    @property
    def is_editing(self) -> bool:
        """True while the input has a question that was asked already, to be asked anew."""
        return self._edited is not None

    @property
    def can_undo_deletion(self) -> bool:
        """True after a deletion until something is typed, to which the key belongs then."""
        return bool(self._deletions) and self._widgets.input.text == self._text_at_deletion

    # marking

    def mark_moved(self) -> None:
        """Focus the transcript while a message is marked, the input after that."""
        transcript = self._widgets.transcript
        if transcript.marked is not None:
            transcript.focus(scroll_visible=False)
        elif transcript.has_focus:
            self._widgets.input.focus()
        self._view.show_state()

    def focus_moved(self, widget: Widget) -> None:
        """Remove the mark when another widget gets the focus."""
        if widget is not self._widgets.transcript:
            self._widgets.transcript.marked = None

    def leave(self) -> None:
        """Remove the mark; if there is none, end the editing of a question."""
        transcript = self._widgets.transcript
        if transcript.marked is not None:
            transcript.marked = None
            transcript.search_text = ""
        else:
            self._stop_editing(self._set_aside_text)

    # asking and answering again

    def ask(self, text: str) -> None:
        """Ask a new question, or the edited one in place of the original."""
        if not self._session.messages:
            self._widgets.transcript.show([])
        self._widgets.transcript.to_end()
        if self._edited is None:
            self._turns.start(partial(self._session.send, text), text)
        else:
            edited = partial(self._chat_tree.edit_question, self._edited, text)
            self._screen.call_after_refresh(self._stop_editing, self._set_aside_text)
            self._turns.start(edited, text)

    def retry(self) -> None:
        """Answer the marked message again, or the latest one if none is marked."""
        if messages := self._session.messages:
            self._answer_again(self._widgets.transcript.marked or messages[-1].id)

    def _answer_again(self, message_id: int, mode: ThinkingMode | None = None) -> None:
        self._turns.start(partial(self._chat_tree.regenerate_at, message_id, mode=mode))

    def _answer_in_other_mode(self, stored: StoredMessage) -> None:
        index = self._session.messages.index(stored)
        earlier = self._session.messages[: index + 1]
        question = next((m for m in reversed(earlier) if m.message.role is Role.USER), None)
        if question is not None and typed_mode(question.message.content):
            self._screen.notify(t("ui.notice.mode_is_typed"))
            return
        later = (m for m in self._session.messages[index:] if m.meta.mode)
        mode = next((m.meta.mode for m in later), None) or self._session.mode
        self._answer_again(stored.id, mode.other)

    # the actions on the marked message

    def act(self, action: str) -> None:
        """Run one of the actions on the marked message."""
        stored = self.marked
        if stored is None:
            return
        match action:
            case "edit":
                self._edit(stored)
            case "answer":
                self._answer_again(stored.id)
            case "other_mode":
                self._answer_in_other_mode(stored)
            case "copy":
                self._screen.app.copy_to_clipboard(self._source(stored))
            case "quote":
                self._quote(stored.message.content)
            case "code":
                self._show_code(stored)
            case "delete":
                self._delete(stored)
            case "earlier":
                self._versions.switch(-1)
            case "later":
                self._versions.switch(1)

    def copy_answer(self) -> None:
        """Copy the marked message, or the last answer on the screen or above it if none is marked."""
        if (stored := self.marked) is not None:
            self._screen.app.copy_to_clipboard(self._source(stored))
        else:
            self._widgets.transcript.copy_answer()

    def _edit(self, stored: StoredMessage) -> None:
        chat_input = self._widgets.input
        if self._edited is None:
            self._set_aside_text = chat_input.content
        self._edited = stored.id
        chat_input.content = stored.message.content
        chat_input.border_title = t("ui.editing")
        chat_input.focus()

    def _stop_editing(self, text: str) -> None:
        self._edited, self._set_aside_text = None, ""
        self._widgets.input.content = text
        self._widgets.input.border_title = ""
        self._screen.refresh_bindings()

    def branch_changed(self) -> None:
        """Drop the editing and the deletions of another chat."""
        if self._edited is not None and self._edited not in {m.id for m in self._session.messages}:
            self._stop_editing(self._set_aside_text)
        if self._deletions and self._deletions[-1].chat_id != self._session.chat_id:
            self._deletions = ()

    def _is_live(self, stored: StoredMessage) -> bool:
        """Return whether a message is still being written."""
        return self._turns.is_answering and stored is self._session.messages[-1]

    def _source(self, stored: StoredMessage) -> str:
        if self._is_live(stored):
            return self._widgets.transcript.transcript_layout.message_views[-1].answer
        return stored.message.content

    def _quote(self, text: str) -> None:
        selected = self._screen.get_selected_text()
        chat_input = self._widgets.input
        chat_input.focus()
        chat_input.insert(quoted(selected or text, chat_input.text))

    @in_worker("code")
    async def _show_code(self, stored: StoredMessage) -> None:
        from qwen3_chat.transcript.code_extraction import find_code_blocks
        from qwen3_chat.ui.screens.code_blocks_screen import CodeBlocksScreen

        if blocks := find_code_blocks(self._source(stored)):
            await show_dialog(self._screen, CodeBlocksScreen(blocks, self._view.exports_folder))
        else:
            self._screen.notify(t("ui.notice.no_code"))

    # deleting

    @in_worker("delete")
    async def _delete(self, stored: StoredMessage) -> None:
        async with self._turns.navigation_lock:
            if stored not in self._session.messages or self._turns.is_answering:
                return
            with notify_errors(self._screen, "task.delete_message"):
                self._deletions = (*self._deletions, await self._chat_tree.delete(stored.id))
                self._text_at_deletion = self._widgets.input.text
                await self._versions.reread()
                self._view.show_chat()
                self._screen.notify(t("ui.notice.message_deleted"))

    @in_worker("delete")
    async def undo_deletion(self) -> None:
        """Restore the message that was deleted last."""
        async with self._turns.navigation_lock:
            if not self._deletions or self._turns.is_answering:
                return
            *before, last = self._deletions
            self._deletions = tuple(before)
            with notify_errors(self._screen, "task.restore_message"):
                await self._chat_tree.restore(last)
                await self._versions.reread()
                self._view.show_chat()
                self._widgets.transcript.mark(last.message_ids[-1])

    def input_changed(self) -> None:
        """Update the key that undoes a deletion, which ends where something is typed."""
        if self._deletions:
            self._screen.refresh_bindings()


def quoted(text: str, before: str = "") -> str:
    """Return a text quoted with `> `, on lines of its own after `before` and with a blank line below."""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    lines = text.strip("\n").split("\n")
    return gap + "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"
