"""The actions on whole chats: begin, open, list and export a chat."""

from __future__ import annotations

from datetime import timedelta

from textual import on, work

from qwen3_chat.documents.export import export_to_folder
from qwen3_chat.session.message_versions import BranchVersions
from qwen3_chat.store import SearchHit
from qwen3_chat.texts import t
from qwen3_chat.ui.actions.turn_actions import TurnActions
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.chats_screen import ChatsScreen
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_list import ChatChoice, ChatList

DELETED_RETENTION = timedelta(days=30)
"""The time for which deleted chats and messages can be restored from the store."""


class ChatActions(TurnActions):
    """Actions on whole chats; none runs while an answer is written, which belongs to the open chat."""

    _hits: tuple[SearchHit, ...] = ()
    """The search hits in the open chat, in its order."""

    def on_mount(self) -> None:
        """Schedule the purge for after the screen is mounted."""
        self.call_later(self.purge)

    @work(group="purge", exit_on_error=False)
    async def purge(self) -> None:
        """Remove for good what was deleted longer ago than can be restored."""
        with notify_errors(self, "task.purge"):
            await self.store.purge_deleted(DELETED_RETENTION)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        match action:
            case "new_chat" | "chats":
                return None if self.is_answering else True
            case "export" if self.session.messages:
                return None if self.is_answering else True
            case "export":
                return False
            case "hit" if self.is_ready:
                is_among = (
                    bool(self.transcript.search_text) and self.transcript.has_focus and len(self._hits) > 1
                )
                return None if is_among and self.is_answering else is_among
            case "page_up" | "page_down" if self.is_ready:
                return not self.sidebar.has_focus_within
            case _:
                return super().check_action(action, parameters)

    @work(group="chats")
    async def action_new_chat(self) -> None:
        """Begin a new chat once the running change of the open one is done."""
        async with self.navigation_lock:
            if not self.is_answering:
                self._begin_new()

    def _begin_new(self) -> None:
        self.before_chat_change()
        self.session.start_new()
        self.versions = BranchVersions()
        self.turn.notices.clear()
        self.show_chat()
        self.input.focus()

    def show_chat(self) -> None:
        """Show the session's chat; mark it in the sidebar and drop the hits of another chat's search."""
        super().show_chat()
        if self._hits and self._hits[0].chat_id != self.session.chat_id:
            self._hits, self.transcript.search_text = (), ""
        self.refresh_chat_list()

    def after_turn(self) -> None:
        """Update the sidebar, too."""
        super().after_turn()
        self.refresh_chat_list()

    def refresh_chat_list(self) -> None:
        """Update the list of chats in the sidebar."""
        self.sidebar.open_chat = self.session.chat_id
        self.sidebar.busy_chat = self.sidebar.open_chat if self.is_answering else None
        if self.has_class("-sidebar"):
            self.sidebar.fill(self.sidebar.open_chat)

    @work(group="chats")
    async def action_chats(self) -> None:
        """Open the list of stored chats and go on with the chosen one."""
        self.app.clear_notifications()
        current = self.session.chat_id
        chats = ChatsScreen(self.store, current)
        choice = await show_dialog(self, chats)
        if choice is not None:
            await self._go_to(choice)
        elif current in chats.deleted:
            await self._leave_deleted(current)
        else:
            await self._read_title()

    async def _leave_deleted(self, chat_id: int | None) -> None:
        """Leave a chat that was deleted while open; an answer that began meanwhile restores it."""
        async with self.navigation_lock:
            if self.session.chat_id == chat_id and not self.is_answering:
                self._begin_new()

    def action_sidebar(self) -> None:
        """Open and focus the sidebar, or close it while it has the focus."""
        if self.has_class("-sidebar") and self.sidebar.has_focus_within:
            self.close_sidebar()
        else:
            self.add_class("-sidebar")
            self.refresh_chat_list()
            self.sidebar.begin()

    @on(ChatList.Closed)
    def close_sidebar(self) -> None:
        """Close the sidebar and return to the input."""
        self.remove_class("-sidebar")
        self.input.focus()
        self.refresh_bindings()

    @on(ChatList.Chosen)
    def resume_from_sidebar(self, message: ChatList.Chosen) -> None:
        """Go on with a chat of the sidebar, which stays open where the terminal is wide enough."""
        if self.is_answering:
            self.notify(t("ui.notice.busy"))
            return
        if self.has_class("-narrow"):
            self.remove_class("-sidebar")
        self.go_to(message.choice)

    @on(ChatList.Deleted)
    def sidebar_chat_deleted(self, message: ChatList.Deleted) -> None:
        """Leave the open chat if it was deleted in the sidebar."""
        self.leave_from_sidebar(message.chat_id)

    @work(group="chats")
    async def leave_from_sidebar(self, chat_id: int) -> None:
        """Leave a chat that was deleted in the sidebar, where the focus stays."""
        is_in_list = self.sidebar.has_focus_within
        await self._leave_deleted(chat_id)
        if is_in_list:
            self.sidebar.search_input.focus()

    @work(group="chats")
    async def go_to(self, choice: ChatChoice) -> None:
        """Go on with a chat, at the latest search hit in it."""
        await self._go_to(choice)

    async def _go_to(self, choice: ChatChoice) -> None:
        async with self.navigation_lock:
            if self.is_answering:
                return
            with notify_errors(self, "task.open_chat"):
                await self._show_choice(choice)

    async def _show_choice(self, choice: ChatChoice) -> None:
        self.transcript.search_text = ""
        if choice.chat_id != self.session.chat_id or not choice.hits:
            self.before_chat_change()
            await self.session.resume(choice.chat_id)
        self.turn.notices.clear()
        self._hits = choice.hits
        if choice.hits:
            await self._show_hit(choice.hits[-1], choice.query)
        else:
            await self.show_versions()
            self.show_chat()
            self.input.focus()

    async def _show_hit(self, hit: SearchHit, query: str) -> None:
        if hit.message_id not in {stored.id for stored in self.session.messages}:
            await self.session.show_version(hit.message_id)
        await self.show_versions()
        self.show_chat()
        self.call_after_refresh(self.transcript.show_hit, hit.message_id, query, hit.in_reasoning)

    @work(group="chats")
    async def action_hit(self, step: int) -> None:
        """Go to the next or the previous message with a search hit."""
        async with self.navigation_lock:
            ids = [hit.message_id for hit in self._hits]
            index = ids.index(self.transcript.marked) if self.transcript.marked in ids else len(ids)
            if ids and self.transcript.search_text and not self.is_answering:
                with notify_errors(self, "task.show_hit"):
                    await self._show_hit(self._hits[(index + step) % len(ids)], self.transcript.search_text)

    @on(ChatList.Renamed)
    async def _read_title(self) -> None:
        if self.session.chat is not None:
            with notify_errors(self, "task.rename_chat"):
                await self.session.reread_chat()
            self.show_state()

    @work(group="export", thread=False)
    async def action_export(self) -> None:
        """Export the chat as Markdown to the folder of exports."""
        with notify_errors(self, "task.export"):
            if self.session.chat is not None:
                thinking = self.settings.export_thinking
                path = export_to_folder(
                    self.session.chat, self.session.messages, self.exports_folder, thinking
                )
                self.notify(str(path), title=t("ui.notice.exported"), timeout=10)
