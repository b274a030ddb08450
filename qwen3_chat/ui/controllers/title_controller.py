"""The generation of chat titles by the model while the user waits for nothing else."""

from __future__ import annotations

from contextlib import suppress

from textual.timer import Timer
from textual.worker import Worker, WorkerError

from qwen3_chat.session import ChatSession
from qwen3_chat.session.title_generation import generate_title, needs_title
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import TitledBy
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

IDLE_S = 1.0
"""The time after an answer in which nothing must happen before the engine is used for a title."""


class TitleController(Controller):
    """Automatic titles; the start of a turn cancels the generation of one, which the turn's end retries."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        store: ChatStore,
        turns: TurnController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._store = store
        self._turns = turns
        self._timer: Timer | None = None
        self._titling: Worker[None] | None = None
        self._attempted = frozenset[int]()

    def schedule(self) -> None:
        """Schedule a title for a chat that needs one."""
        chat = self._session.chat
        if (
            self._view.settings.chat_titles
            and chat
            and chat.id not in self._attempted
            and needs_title(self._session)
        ):
            self._timer = self._screen.set_timer(IDLE_S, self._begin)

    def _begin(self) -> None:
        if not self._turns.is_answering and needs_title(self._session):
            self._titling = self._title_chat()

    async def cancel(self) -> None:
        """Cancel the generation of a title, for something that the user waits for."""
        if self._timer is not None:
            self._timer.stop()
        if self._titling is not None and self._titling.is_running:
            self._titling.cancel()  # this cancels the reply, too
            with suppress(WorkerError):
                await self._titling.wait()
        self._titling = None

    @in_worker("titling", exclusive=True)
    async def _title_chat(self) -> None:
        assert self._session.chat is not None
        chat_id = self._session.chat.id
        with notify_errors(self._screen, "task.title"):
            title = await generate_title(self._session)
            self._attempted |= {chat_id}
            if title and await self._store.set_title(chat_id, title, TitledBy.MODEL):
                await self._session.reread_chat()
                self._view.show_state()
                self._view.show_chat_list()
