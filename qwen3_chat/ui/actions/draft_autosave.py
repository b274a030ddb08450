"""The autosave of drafts: the text of the input, stored for each chat while it is typed."""

from __future__ import annotations

from textual import on, work
from textual.widgets import TextArea

from qwen3_chat.errors import StoreError
from qwen3_chat.session.draft_store import NO_DRAFT, Draft
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.widgets.chat_input import ChatInput


class DraftAutosave(ConversationScreen):
    """Autosave of the input's draft under the open chat, within half a second."""

    _saved: tuple[int | None, Draft] | None = None
    """The chat whose draft is in the input, with the draft as saved last; None before the first chat."""
    _is_restoring = False
    """True while the stored draft is being read; a save would overwrite it meanwhile."""
    _is_changed = False
    _is_failing = False

    @property
    def draft(self) -> Draft:
        """The content of the input: its text and its attachments."""
        return Draft(self.input.text, self.input.attachments)

    @draft.setter
    def draft(self, draft: Draft) -> None:
        self.input.text = draft.text
        self.input.attachments = draft.attachments
        self.input.move_cursor(self.input.document.end)

    @property
    def _open_chat(self) -> int | None:
        return self.session.chat_id

    def show_chat(self) -> None:
        """Show the session's chat with its draft; the draft of the chat before is saved under that chat."""
        super().show_chat()
        if self._saved is not None:
            chat_id, saved = self._saved
            if chat_id == self._open_chat:
                return
            if self.draft != saved:
                self._save_later(chat_id, self.draft, follows_another=self._is_restoring)
        self._saved = (self._open_chat, NO_DRAFT)
        self._is_restoring = True
        self.draft = NO_DRAFT
        self._restore(self._open_chat)

    @work(group="draft")
    async def _restore(self, chat_id: int | None) -> None:
        draft = NO_DRAFT
        with notify_errors(self, "task.draft"):
            draft = await self.drafts.load(chat_id)
        if self._saved is not None and self._saved[0] == chat_id:
            self._is_restoring = False
            if draft != NO_DRAFT:  # otherwise the cursor stays where it is
                self.draft = draft.followed_by(self.draft)

    @on(TextArea.Changed)
    @on(ChatInput.AttachmentsChanged)
    def _changed(self) -> None:
        self._is_changed = True

    def tick(self) -> None:
        """Save what was changed since the tick before."""
        super().tick()
        if self._is_restoring:
            return
        if self._is_changed or (self._saved and self._saved[0] != self._open_chat):
            self._is_changed = False
            for chat_id, draft in self._pending_drafts():
                self._save_later(chat_id, draft)

    def before_chat_change(self) -> None:
        """Save the draft under the chat that is left, which may have begun since the last tick."""
        super().before_chat_change()
        if not self._is_restoring:
            for chat_id, draft in self._pending_drafts():
                self._save_later(chat_id, draft)

    async def shutdown(self) -> None:
        """Shut down, then save the draft, with a text that came back from a turn that did not begin."""
        await super().shutdown()
        if self._is_restoring and self._saved is not None:
            await self._save(self._saved[0], self.draft, follows_another=True)
            return
        for chat_id, draft in self._pending_drafts():
            await self._save(chat_id, draft)

    def _pending_drafts(self) -> list[tuple[int | None, Draft]]:
        """Return the draft with its chat, and note it as saved.

        A chat that has just begun clears the draft of the chat that had not begun.
        """
        has_begun = self._saved is not None and self._saved[0] is None and self._open_chat is not None
        self._saved = (self._open_chat, self.draft)
        return [(None, NO_DRAFT), self._saved] if has_begun else [self._saved]

    @work(group="draft")
    async def _save_later(self, chat_id: int | None, draft: Draft, follows_another: bool = False) -> None:
        await self._save(chat_id, draft, follows_another)

    async def _save(self, chat_id: int | None, draft: Draft, follows_another: bool = False) -> None:
        try:
            if follows_another:
                draft = (await self.drafts.load(chat_id)).followed_by(draft)
            await self.drafts.save(chat_id, draft)
        except StoreError as error:
            if not self._is_failing:  # notified once, not at each letter
                self.notify(str(error), severity="warning")
            self._is_failing = True
        else:
            self._is_failing = False
