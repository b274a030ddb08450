"""The draft of each chat: in the input while the chat is open, stored as it is written."""

from __future__ import annotations

from textual import on, work
from textual.widgets import TextArea

from qwen3_chat.errors import StoreError
from qwen3_chat.session.draft_store import NO_DRAFT, Draft
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.widgets.chat_input import ChatInput


class DraftAutosave(ConversationScreen):
    """Whatever is in the input is on the disk within half a second, under the chat that is open."""

    _saved: tuple[int | None, Draft] | None = None
    """The chat whose draft is in the input, with the draft as kept last; None before the first chat."""
    _is_restoring = False
    """Whether the draft is still on its way to the input; nothing is kept meanwhile, or it would be lost."""
    _is_changed = False
    _is_failing = False

    @property
    def draft(self) -> Draft:
        """What is in the input now."""
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
        """Put the draft of another chat into the input; that of the chat before stays with it."""
        super().show_chat()
        if self._saved is not None:
            chat_id, kept = self._saved
            if chat_id == self._open_chat:
                return
            if self.draft != kept:
                self._save_later(chat_id, self.draft, follows_another=self._is_restoring)
        self._saved = (self._open_chat, NO_DRAFT)
        self._is_restoring = True
        self.draft = NO_DRAFT
        self._restore(self._open_chat)

    @work(group="draft")
    async def _restore(self, chat_id: int | None) -> None:
        draft = NO_DRAFT
        with notify_errors(self):
            draft = await self.drafts.load(chat_id)
        if self._saved is not None and self._saved[0] == chat_id:
            self._is_restoring = False
            if draft != NO_DRAFT:  # else the cursor stays where it is
                self.draft = draft.followed_by(self.draft)

    @on(TextArea.Changed)
    @on(ChatInput.AttachmentsChanged)
    def _changed(self) -> None:
        self._is_changed = True

    def tick(self) -> None:
        """Keep what was changed since the tick before."""
        super().tick()
        if self._is_restoring:
            return
        if self._is_changed or (self._saved and self._saved[0] != self._open_chat):
            self._is_changed = False
            for chat_id, draft in self._pending_drafts():
                self._save_later(chat_id, draft)

    def before_chat_change(self) -> None:
        """Know which chat is left, also one that has begun since the last tick."""
        super().before_chat_change()
        if not self._is_restoring:
            for chat_id, draft in self._pending_drafts():
                self._save_later(chat_id, draft)

    async def shutdown(self) -> None:
        """Keep the draft last, with what came back from a turn that did not begin."""
        await super().shutdown()
        if self._is_restoring and self._saved is not None:
            await self._save(self._saved[0], self.draft, follows_another=True)
            return
        for chat_id, draft in self._pending_drafts():
            await self._save(chat_id, draft)

    def _pending_drafts(self) -> list[tuple[int | None, Draft]]:
        """Tell the draft with its chat; a chat that has just begun leaves no draft where it began."""
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
            if not self._is_failing:  # told once, not at each letter
                self.notify(str(error), severity="warning")
            self._is_failing = True
        else:
            self._is_failing = False
