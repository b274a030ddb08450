"""The replies that could not be stored: tried again while the app runs and when the user leaves."""

from __future__ import annotations

from time import monotonic

from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.message_entries import message_note
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

STORE_RETRY_S = 5.0
"""The time between two attempts while nothing else is done."""


class StoringController(Controller):
    """The session's unstored replies, which say so until they are stored, and notices of the database."""

    def __init__(self, view: ChatView, session: ChatSession, widgets: ChatWidgets, store: ChatStore) -> None:
        super().__init__(view, session, widgets)
        self._store = store
        self._next_attempt_s = 0.0
        self._is_warned = False
        """True once the user was told, on leaving, that something is not stored."""
        session.unstored.on_stored = self._show_stored

    def tick(self) -> None:
        """Show what there is to tell of the database; try again every few seconds."""
        for notice in self._store.take_notices():
            self._screen.notify(notice, severity="warning", timeout=20)
        if self._session.unstored and monotonic() >= self._next_attempt_s:
            self._next_attempt_s = monotonic() + STORE_RETRY_S
            self._store_later()

    @in_worker("storing")
    async def _store_later(self) -> None:
        await self.store()

    async def store(self) -> None:
        """Try to store the replies now."""
        with notify_errors(self._screen, "task.storing"):
            await self._session.store_unstored()

    def _show_stored(self, stored: StoredMessage) -> None:
        self._widgets.transcript.renote({stored.id: message_note(stored)})
        self._is_warned = False
        self._screen.notify(t("ui.notice.stored_now"))

    async def may_leave(self) -> bool:
        """Return whether the user may leave; if something is not stored, tell that first."""
        if self._session.unstored and not self._is_warned:
            await self.store()
            if (error := self._session.unstored.error) is not None:
                self._is_warned = True
                folder = self._view.exports_folder
                text = t("ui.notice.leaving_unstored", reason=error, folder=folder)
                self._screen.notify(text, severity="error", timeout=30)
                return False
        return True
