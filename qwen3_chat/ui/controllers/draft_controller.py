"""The autosave of drafts: the text of the input, stored for each chat while it is typed."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Sequence
from time import monotonic

from qwen3_chat.documents.attachments import split_attachments
from qwen3_chat.errors import StoreError
from qwen3_chat.session import ChatSession
from qwen3_chat.session.draft_store import NO_DRAFT, Draft, DraftStore
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.queue_controller import QueueController
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

DRAFT_RETRY_S = 5.0
"""The time between two attempts to save a draft that could not be saved."""


class DraftController(Controller):
    """Autosave of the input's draft under the open chat, within half a second.

    A message that was sent, or waits to be sent, belongs to the draft until it is stored.
    """

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        drafts: DraftStore,
        turns: TurnController,
        queue: QueueController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._drafts = drafts
        self._turns = turns
        self._queue = queue
        self._unsent: tuple[str, ...] = ()
        """The messages that were sent and are not stored, as they were with the tick before."""
        self._failed: dict[int | None, Draft] = {}
        """The drafts that could not be saved, by their chats."""
        self._next_attempt_s = 0.0
        self._saves_running = 0
        self._order = Lock()
        """The lock held while drafts are written or read: what is read later sees what was written before."""
        self._saved: tuple[int | None, Draft] | None = None
        """The chat whose draft is in the input, with the draft as saved last; None before the first chat."""
        self._is_restoring = False
        """True while the stored draft is being read; a save would overwrite it meanwhile."""
        self._is_changed = False

    @property
    def draft(self) -> Draft:
        """The text of the input with its attachments, after the messages that are not stored yet."""
        typed = Draft(self._widgets.input.text, self._widgets.input.attachments)
        for content in reversed(self._sent_contents):
            text, attachments = split_attachments(content)
            typed = Draft(f"{text}\n\n" if typed.text else text, attachments).followed_by(typed)
        return typed

    @property
    def _sent_contents(self) -> tuple[str, ...]:
        """The messages that were sent and are not stored: the one on its way, then those that wait."""
        unsent = (self._turns.unsent,) if self._turns.unsent else ()
        return (*unsent, *self._queue.contents)

    @property
    def unsaved(self) -> Draft:
        """The drafts that could not be saved, joined."""
        joined = NO_DRAFT
        for draft in self._failed.values():
            joined = joined.followed_by(draft)
        return joined

    def _fill_input(self, draft: Draft) -> None:
        chat_input = self._widgets.input
        chat_input.text, chat_input.attachments = draft.text, draft.attachments
        chat_input.move_cursor(chat_input.document.end)

    @property
    def _open_chat(self) -> int | None:
        return self._session.chat_id

    def chat_shown(self) -> None:
        """Restore the draft of the chat that is shown; that of the chat before is saved under that chat."""
        if self._saved is not None:
            chat_id, saved = self._saved
            if chat_id == self._open_chat:
                return
            if self.draft != saved:
                self._save_later([(chat_id, self.draft)], follows_another=self._is_restoring)
        self._saved = (self._open_chat, NO_DRAFT)
        self._is_restoring = True
        self._fill_input(NO_DRAFT)
        self._restore(self._open_chat)

    @in_worker("draft")
    async def _restore(self, chat_id: int | None) -> None:
        draft = NO_DRAFT
        with notify_errors(self._screen, "task.draft"):
            async with self._order:
                is_failed = chat_id in self._failed
                draft = self._failed[chat_id] if is_failed else await self._drafts.load(chat_id)
        if self._saved is not None and self._saved[0] == chat_id:
            self._is_restoring = False
            if draft != NO_DRAFT:  # otherwise the cursor stays where it is
                self._fill_input(draft.followed_by(self.draft))

    def input_changed(self) -> None:
        """Note that the draft is to be saved with the next tick."""
        self._is_changed = True

    def tick(self) -> None:
        """Save what was changed since the tick before."""
        if self._is_restoring:
            return
        if self._unsent != self._sent_contents:
            self._unsent, self._is_changed = self._sent_contents, True
        if self._saves_running or (self._failed and monotonic() < self._next_attempt_s):
            return  # a save of each letter would wait in a queue where one takes seconds
        if self._is_changed or (self._saved and self._saved[0] != self._open_chat):
            self._is_changed = False
            self._save_pending()
        elif self._failed:
            self._save_later(list(self._failed.items()))

    def leave_chat(self) -> None:
        """Save the draft under the chat that is left, which may have begun since the last tick."""
        if not self._is_restoring:
            self._save_pending()

    async def shutdown(self) -> None:
        """Save the draft, with a text that came back from a turn that did not begin."""
        if self._is_restoring and self._saved is not None:
            await self._save_in_order([(self._saved[0], self.draft)], follows_another=True)
            return
        await self._save_in_order([*self._failed.items(), *self._pending_drafts()])

    def _pending_drafts(self) -> list[tuple[int | None, Draft]]:
        """Return the draft with its chat, and note it as saved.

        A chat that has just begun clears the draft of the chat that had not begun, once its own is saved.
        """
        has_begun = self._saved is not None and self._saved[0] is None and self._open_chat is not None
        self._saved = (self._open_chat, self.draft)
        return [self._saved, (None, NO_DRAFT)] if has_begun else [self._saved]

    def _save_pending(self) -> None:
        self._save_later(self._pending_drafts())

    @in_worker("draft")
    async def _save_later(
        self, drafts: Sequence[tuple[int | None, Draft]], follows_another: bool = False
    ) -> None:
        self._saves_running += 1
        try:
            await self._save_in_order(drafts, follows_another)
        finally:
            self._saves_running -= 1

    async def _save_in_order(
        self, drafts: Sequence[tuple[int | None, Draft]], follows_another: bool = False
    ) -> None:
        has_failed = False
        async with self._order:
            for chat_id, draft in drafts:
                if draft == NO_DRAFT and has_failed:
                    self._failed[chat_id] = draft  # the only copy until the other is saved
                else:
                    has_failed |= not await self._save(chat_id, draft, follows_another)

    async def _save(self, chat_id: int | None, draft: Draft, follows_another: bool = False) -> bool:
        try:
            if follows_another:
                draft = (await self._drafts.load(chat_id)).followed_by(draft)
            await self._drafts.save(chat_id, draft)
        except StoreError as error:
            if not self._failed:  # notified once, not at each letter
                self._screen.notify(str(error), severity="warning")
            self._failed[chat_id] = draft
            self._next_attempt_s = monotonic() + DRAFT_RETRY_S
            return False
        self._failed.pop(chat_id, None)
        return True
