"""The tools that the chat offers to the model: chosen in a dialog, which shows what they cost."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession
from qwen3_chat.texts import t
from qwen3_chat.tools.tool_source import SOURCE_PREFIX
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

if TYPE_CHECKING:
    from qwen3_chat.mcp.tool_list import ToolCatalogue


class ToolController(Controller):
    """The dialogs with all tools and with the MCP servers; `make_catalogue` is called when one is opened."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        make_catalogue: Callable[[], ToolCatalogue] | None,
        turns: TurnController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._turns = turns
        self._make_catalogue = make_catalogue

    @property
    def can_choose(self) -> bool:
        """True if there are tools to choose from."""
        return self._make_catalogue is not None

    @property
    def count(self) -> int:
        """The number of names that the chat's tools are given by: a server counts as one."""
        return len(self._session.tool_names)

    def name_of(self, model_name: str) -> str:
        """Return the name by which the user knows a tool; the model knows those of servers by another."""
        tool = self._session.tools.get(model_name)
        return model_name if tool is None else tool.name

    @in_worker("tools")
    async def open_list(self) -> None:
        """Choose the tools of this chat, or of the chat that the next message begins."""
        if self._make_catalogue is None:
            return
        with self._input_off():
            catalogue = await to_thread(self._make_catalogue)  # the first one loads modules
            if await self._choose(catalogue):
                await self._choose_of_servers(catalogue)

    @in_worker("tools")
    async def open_servers(self) -> None:
        """List the MCP servers."""
        if self._make_catalogue is None:
            return
        with self._input_off():
            catalogue = await to_thread(self._make_catalogue)
            await self._choose_of_servers(catalogue)

    @contextmanager
    def _input_off(self) -> Iterator[None]:
        """Have the input take no keys while a dialog, or a server that it starts, is on its way.

        The chat is in sight then, but keys are meant for the dialog.
        """
        box = self._widgets.input
        box.disabled = True
        try:
            yield
        finally:
            box.disabled = False
            box.focus()

    async def _choose_of_servers(self, catalogue: ToolCatalogue) -> None:
        """Show the servers, the tools of the highlighted one from there, by turns until the user leaves."""
        if catalogue.administration is None:
            return
        from qwen3_chat.ui.controllers.server_controller import ServerController  # here: few chats have any

        self._screen.app.clear_notifications()
        servers = ServerController(
            self._view, self._session, self._widgets, self._turns, catalogue.administration
        )
        while (server := await servers.show()) is not None:
            if not await self._choose(catalogue, f"{SOURCE_PREFIX}{server}"):
                return

    async def _choose(self, catalogue: ToolCatalogue, highlighted: str = "") -> bool:
        """Have the user choose; return True if the servers are wanted next."""
        tools = await to_thread(catalogue.read)
        from qwen3_chat.jail.jail_settings import jail_problem
        from qwen3_chat.ui.screens.tools_screen import ToolsScreen  # here: few chats open it

        self._screen.app.clear_notifications()
        for error in tools.problems:
            self._screen.notify(str(error), severity="error")
        problem = jail_problem()
        off_reason = t(f"jail.{problem}") if problem else ""
        before = self._session.tool_names
        dialog = ToolsScreen(tools, before, catalogue.revoke, catalogue.read, off_reason, highlighted)
        chosen = await show_dialog(self._screen, dialog)
        if chosen is None or chosen == before:
            return dialog.wants_servers
        session = self._session
        if session.options.tools is not None:  # `--tools`, which holds for every chat of this run
            session.set_options(replace(session.options, tools=chosen))
        with notify_errors(self._screen, "task.options"):
            await session.set_chat_options(replace(session.chat_options, tools=chosen))
        self._view.show_state()
        return dialog.wants_servers
