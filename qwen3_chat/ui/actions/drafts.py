"""The draft of each chat: in the input when the chat is open, kept while it is written."""

from __future__ import annotations

from textual import on, work
from textual.widgets import TextArea

from qwen3_chat.errors import StoreError
from qwen3_chat.session.drafts import NO_DRAFT, Draft
from qwen3_chat.ui.screens.conversation import ConversationScreen
from qwen3_chat.ui.telling import telling
from qwen3_chat.ui.widgets.chat_input import ChatInput


class DraftKeeping(ConversationScreen):
    """Whatever is in the input is on the disk within half a second, under the chat that is open."""

    _kept: tuple[int | None, Draft] | None = None
    """The chat whose draft is in the input, with the draft as kept last; None before the first chat."""
    _is_coming = False
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
        if self._kept is not None:
            chat_id, kept = self._kept
            if chat_id == self._open_chat:
                return
            if self.draft != kept:
                self._keep_later(chat_id, self.draft, follows_another=self._is_coming)
        self._kept = (self._open_chat, NO_DRAFT)
        self._is_coming = True
        self.draft = NO_DRAFT
        self._bring_back(self._open_chat)

    @work(group="draft")
    async def _bring_back(self, chat_id: int | None) -> None:
        draft = NO_DRAFT
        with telling(self):
            draft = await self.drafts.of(chat_id)
        if self._kept is not None and self._kept[0] == chat_id:
            self._is_coming = False
            if draft != NO_DRAFT:  # else the cursor stays where it is
                self.draft = draft.followed_by(self.draft)

    @on(TextArea.Changed)
    @on(ChatInput.AttachmentsChanged)
    def _changed(self) -> None:
        self._is_changed = True

    def tick(self) -> None:
        """Keep what was changed since the tick before."""
        super().tick()
        if self._is_coming:
            return
        if self._is_changed or (self._kept and self._kept[0] != self._open_chat):
            self._is_changed = False
            for chat_id, draft in self._to_keep():
                self._keep_later(chat_id, draft)

    def chat_is_left(self) -> None:
        """Know which chat is left, also one that has begun since the last tick."""
        super().chat_is_left()
        if not self._is_coming:
            for chat_id, draft in self._to_keep():
                self._keep_later(chat_id, draft)

    async def settle(self) -> None:
        """Keep the draft last, with what came back from a turn that did not begin."""
        await super().settle()
        if self._is_coming and self._kept is not None:
            await self._keep(self._kept[0], self.draft, follows_another=True)
            return
        for chat_id, draft in self._to_keep():
            await self._keep(chat_id, draft)

    def _to_keep(self) -> list[tuple[int | None, Draft]]:
        """Tell the draft with its chat; a chat that has just begun leaves no draft where it began."""
        has_begun = self._kept is not None and self._kept[0] is None and self._open_chat is not None
        self._kept = (self._open_chat, self.draft)
        return [(None, NO_DRAFT), self._kept] if has_begun else [self._kept]

    @work(group="draft")
    async def _keep_later(self, chat_id: int | None, draft: Draft, follows_another: bool = False) -> None:
        await self._keep(chat_id, draft, follows_another)

    async def _keep(self, chat_id: int | None, draft: Draft, follows_another: bool = False) -> None:
        try:
            if follows_another:
                draft = (await self.drafts.of(chat_id)).followed_by(draft)
            await self.drafts.keep(chat_id, draft)
        except StoreError as error:
            if not self._is_failing:  # told once, not at each letter
                self.notify(str(error), severity="warning")
            self._is_failing = True
        else:
            self._is_failing = False
