"""The MCP servers in the chat: listed in a dialog, started from there as by a message, added, removed."""

from __future__ import annotations

from asyncio import Event, to_thread
from contextlib import suppress

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.mcp.server_administration import ServerAdministration
from qwen3_chat.session import ChatSession, SessionEventSink
from qwen3_chat.tools.tool_source import ToolServerStarting
from qwen3_chat.ui.controllers.controller import ChatView, Controller
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.screens.mcp_servers_screen import (
    AddServerScreen,
    McpServersScreen,
    ServerLogScreen,
    ServerWish,
)
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class ServerController(Controller):
    """The dialog with the servers, shown again after each of its wishes until the user leaves it."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        turns: TurnController,
        administration: ServerAdministration,
    ) -> None:
        super().__init__(view, session, widgets)
        self._turns = turns
        self._administration = administration

    async def show(self) -> str | None:
        """Show the servers until the user leaves them; return the server whose tools are wanted next.

        It is empty if there is no server, and None if no tools are wanted.
        """
        administration, highlighted = self._administration, ""
        while True:
            try:
                servers = await to_thread(administration.read)
            except Qwen3ChatError as error:
                self._screen.notify(str(error), severity="error")
                return None
            choice = await show_dialog(self._screen, McpServersScreen(servers, administration, highlighted))
            if choice is None:
                return None
            highlighted = choice.server
            match choice.wish:
                case ServerWish.CONNECT:
                    await self._connect(choice.server)
                case ServerWish.ADD:
                    added = await show_dialog(self._screen, AddServerScreen(administration))
                    highlighted = added or highlighted
                case ServerWish.READ_LOG:
                    text = await to_thread(administration.read_log, choice.server)
                    path = str(administration.log_path(choice.server))
                    await show_dialog(self._screen, ServerLogScreen(choice.server, path, text))
                case ServerWish.TOOLS:
                    return choice.server

    async def _connect(self, name: str) -> None:
        """Start a server as a turn does: it is asked about in the chat, and Esc stops it."""
        is_over = Event()

        async def connect(on_event: SessionEventSink) -> None:
            try:
                on_event(ToolServerStarting(name))
                with suppress(Qwen3ChatError):  # the list shows it
                    await self._administration.connect(name, on_event)
            finally:
                is_over.set()

        if self._turns.is_answering:
            return
        self._turns.start(connect)
        await is_over.wait()
