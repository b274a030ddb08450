"""Whole chats: begin, open, copy, list and export a chat."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore, SearchHit
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.ui.browser import download_text
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.draft_controller import DraftController
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.controllers.version_controller import VersionController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.turn_view import TurnView
from qwen3_chat.ui.widgets.chat_list import ChatChoice
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

DELETED_RETENTION = timedelta(days=30)
"""The time for which deleted chats and messages can be restored from the store."""


class ChatController(Controller):
    """The way from chat to chat; none while an answer is written, which belongs to the open chat."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        store: ChatStore,
        turn: TurnView,
        turns: TurnController,
        versions: VersionController,
        drafts: DraftController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._store = store
        self._turn = turn
        self._turns = turns
        self._versions = versions
        self._drafts = drafts
        self._hits: tuple[SearchHit, ...] = ()
        """The search hits in the open chat, in its order."""
        self.last: Chat | None = None
        """The chat that was written to last, to go on with from a new one."""

    @property
    def is_among_hits(self) -> bool:
        """True while there are other search hits to go to from the transcript."""
        transcript = self._widgets.transcript
        return bool(transcript.search_text) and transcript.has_focus and len(self._hits) > 1

    @in_worker("purge")
    async def purge(self) -> None:
        """Remove for good what was deleted longer ago than can be restored."""
        with notify_errors(self._screen, "task.purge"):
            await self._store.purge_deleted(DELETED_RETENTION)

    async def read_last(self) -> None:
        """Read which chat was written to last."""
        with notify_errors(self._screen, "task.list_chats"):
            self.last = await self._store.latest_chat()

    @in_worker("last chat")
    async def find_last(self) -> None:
        """Find the chat that was written to last, and offer it in the welcome of a new one."""
        await self.read_last()
        if self.last is not None and not self._session.messages:
            self._view.show_messages()

    @property
    def can_continue_last(self) -> bool:
        """True if there is a chat to go on with, and it is not the open one."""
        return self.last is not None and self.last.id != self._session.chat_id and not self._session.messages

    @in_worker("chats")
    async def continue_last(self) -> None:
        """Go on with the chat that was written to last."""
        if self.last is not None:
            await self._go_to(ChatChoice(self.last.id))

    # the open chat

    @in_worker("chats")
    async def begin_new(self) -> None:
        """Begin a new chat once the running change of the open one is done."""
        async with self._turns.navigation_lock:
            if not self._turns.is_answering:
                self._begin_new()

    def _begin_new(self) -> None:
        self._drafts.leave_chat()
        self._session.start_new()
        self.find_last()
        self._versions.forget()
        self._turn.notices.clear()
        self._view.show_chat()
        self._widgets.input.focus()

    def chat_shown(self) -> None:
        """Mark the chat in the sidebar; drop the hits of another chat's search."""
        if self._hits and self._hits[0].chat_id != self._session.chat_id:
            self._hits, self._widgets.transcript.search_text = (), ""
        self.show_list()

    @in_worker("chats")
    async def fork(self, stored: StoredMessage) -> None:
        """Begin a new chat that holds the open one up to a message."""
        if self._turns.is_answering:
            self._screen.notify(t("ui.notice.busy"))
            return
        async with self._turns.navigation_lock:
            with notify_errors(self._screen, "task.fork"):
                copy_id = await self._store.copy_branch(stored.chat_id, stored.id)
                await self._show_choice(ChatChoice(copy_id))
                self._screen.notify(t("ui.notice.forked"))

    @in_worker("export")
    async def export(self) -> None:
        """Export the chat to the folder of exports, in a format to choose, that of the settings first."""
        from qwen3_chat.documents.export import ExportFormat, default_file_name, export_to_folder, render
        from qwen3_chat.ui.screens.export_screen import ExportScreen

        settings, folder = self._view.settings, self._view.exports_folder
        choice = await show_dialog(self._screen, ExportScreen(settings.export_format))
        chat, messages = self._session.chat, self._session.messages
        with notify_errors(self._screen, "task.export"):
            if chat is not None and choice is not None:
                if choice is ExportFormat.JSON:
                    messages = (await self._store.whole_chat(chat.id)).messages
                if self._screen.app.is_web:
                    text = await asyncio.to_thread(render, chat, messages, choice, settings.export_thinking)
                    download_text(self._screen.app, text, default_file_name(chat, choice))
                    return
                choices = settings.export_thinking, choice
                path = await asyncio.to_thread(export_to_folder, chat, messages, folder, *choices)
                self._screen.notify(str(path), title=t("ui.notice.exported"), timeout=10)

    async def reread_title(self) -> None:
        """Show the title that the open chat has in the store."""
        if self._session.chat is not None:
            with notify_errors(self._screen, "task.rename_chat"):
                await self._session.reread_chat()
            self._view.show_state()

    # the lists

    @in_worker("chats")
    async def open_list(self) -> None:
        """Open the list of stored chats and go on with the chosen one."""
        from qwen3_chat.ui.screens.chats_screen import ChatsScreen

        self._screen.app.clear_notifications()
        current = self._session.chat_id
        chats = ChatsScreen(self._store, current)
        choice = await show_dialog(self._screen, chats)
        if choice is not None:
            await self._go_to(choice)
        elif current in chats.deleted:
            await self._leave_deleted(current)
        else:
            await self.reread_title()

    async def _leave_deleted(self, chat_id: int | None) -> None:
        """Leave a chat that was deleted while open; an answer that began meanwhile restores it."""
        async with self._turns.navigation_lock:
            if self._session.chat_id == chat_id and not self._turns.is_answering:
                self._begin_new()

    def show_list(self) -> None:
        """Update the list of chats in the sidebar."""
        sidebar = self._widgets.sidebar
        sidebar.open_chat = self._session.chat_id
        sidebar.busy_chat = sidebar.open_chat if self._turns.is_answering else None
        if self._screen.has_class("-sidebar"):
            sidebar.fill(sidebar.open_chat)

    def open_or_close_sidebar(self) -> None:
        """Open and focus the sidebar, or close it while it has the focus."""
        if self._screen.has_class("-sidebar") and self._widgets.sidebar.has_focus_within:
            self.close_sidebar()
        else:
            self._screen.add_class("-sidebar")
            self.show_list()
            self._widgets.sidebar.begin()

    def close_sidebar(self) -> None:
        """Close the sidebar and return to the input."""
        self._screen.remove_class("-sidebar")
        self._widgets.input.focus()
        self._screen.refresh_bindings()

    def choose_in_sidebar(self, choice: ChatChoice) -> None:
        """Go on with a chat of the sidebar, which stays open where the terminal is wide enough."""
        if self._turns.is_answering:
            self._screen.notify(t("ui.notice.busy"))
            return
        if self._screen.has_class("-narrow"):
            self._screen.remove_class("-sidebar")
        self._go_to_later(choice)

    @in_worker("chats")
    async def leave_from_sidebar(self, chat_id: int) -> None:
        """Leave a chat that was deleted in the sidebar, where the focus stays."""
        is_in_list = self._widgets.sidebar.has_focus_within
        await self._leave_deleted(chat_id)
        if is_in_list:
            self._widgets.sidebar.search_input.focus()

    # the way to a chat and to its search hits

    @in_worker("chats")
    async def _go_to_later(self, choice: ChatChoice) -> None:
        await self._go_to(choice)

    async def _go_to(self, choice: ChatChoice) -> None:
        """Go on with a chat, at the latest search hit in it."""
        async with self._turns.navigation_lock:
            if self._turns.is_answering:
                return
            with notify_errors(self._screen, "task.open_chat"):
                await self._show_choice(choice)

    async def _show_choice(self, choice: ChatChoice) -> None:
        self._widgets.transcript.search_text = ""
        if choice.chat_id != self._session.chat_id or not choice.hits:
            self._drafts.leave_chat()
            await self._session.resume(choice.chat_id)
        self._turn.notices.clear()
        self._hits = choice.hits
        if choice.hits:
            await self._show_hit(choice.hits[-1], choice.query)
        else:
            await self._versions.reread()
            self._view.show_chat()
            self._widgets.input.focus()

    async def _show_hit(self, hit: SearchHit, query: str) -> None:
        if hit.message_id not in {stored.id for stored in self._session.messages}:
            await self._session.show_version(hit.message_id)
        await self._versions.reread()
        self._view.show_chat()
        show_hit = self._widgets.transcript.show_hit
        self._screen.call_after_refresh(show_hit, hit.message_id, query, hit.in_reasoning)

    @in_worker("chats")
    async def go_to_hit(self, step: int) -> None:
        """Go to the next or the previous message with a search hit."""
        transcript = self._widgets.transcript
        async with self._turns.navigation_lock:
            ids = [hit.message_id for hit in self._hits]
            index = ids.index(transcript.marked) if transcript.marked in ids else len(ids)
            if ids and transcript.search_text and not self._turns.is_answering:
                with notify_errors(self._screen, "task.show_hit"):
                    await self._show_hit(self._hits[(index + step) % len(ids)], transcript.search_text)
