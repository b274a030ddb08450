"""The generation of chat titles by the model while the user waits for nothing else."""

from __future__ import annotations

from contextlib import suppress

from textual import work
from textual.timer import Timer
from textual.worker import Worker, WorkerError

from qwen3_chat.session.title_generation import generate_title, needs_title
from qwen3_chat.store.records import TitledBy
from qwen3_chat.ui.actions.turn_actions import TurnActions
from qwen3_chat.ui.error_notices import notify_errors

IDLE_S = 1.0
"""The time after an answer in which nothing must happen before the engine is used for a title."""


class ChatTitling(TurnActions):
    """Automatic titles; the start of a turn cancels the generation of one, which the turn's end retries."""

    _timer: Timer | None = None
    _titling: Worker[None] | None = None
    _attempted = frozenset[int]()

    def after_turn(self) -> None:
        """Schedule a title for a chat that needs one."""
        super().after_turn()
        chat = self.session.chat
        if (
            self.settings.chat_titles
            and chat
            and chat.id not in self._attempted
            and needs_title(self.session)
        ):
            self._timer = self.set_timer(IDLE_S, self._begin)

    def _begin(self) -> None:
        if not self.is_answering and needs_title(self.session):
            self._titling = self._title_chat()

    async def free_engine(self) -> None:
        """Cancel the generation of a title, for something that the user waits for."""
        await super().free_engine()
        if self._timer is not None:
            self._timer.stop()
        if self._titling is not None and self._titling.is_running:
            self._titling.cancel()  # this cancels the reply, too
            with suppress(WorkerError):
                await self._titling.wait()
        self._titling = None

    async def shutdown(self) -> None:
        """Cancel the generation of a title before the app ends."""
        await self.free_engine()
        await super().shutdown()

    @work(group="titling", exclusive=True, exit_on_error=False)
    async def _title_chat(self) -> None:
        assert self.session.chat is not None
        chat_id = self.session.chat.id
        with notify_errors(self, "task.title"):
            title = await generate_title(self.session)
            self._attempted |= {chat_id}
            if title and await self.store.set_title(chat_id, title, TitledBy.MODEL):
                await self.session.reread_chat()
                self.show_state()
                self.refresh_chat_list()
