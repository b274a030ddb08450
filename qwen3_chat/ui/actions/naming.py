"""The naming of chats by the model, while nobody waits for it."""

from __future__ import annotations

from contextlib import suppress

from textual import work
from textual.timer import Timer
from textual.worker import Worker, WorkerError

from qwen3_chat.session.titling import needs_title, title_by_model
from qwen3_chat.store.records import TitledBy
from qwen3_chat.ui.actions.turns import TurnActions
from qwen3_chat.ui.telling import telling

IDLE_S = 1.0
"""So long after an answer nothing has happened: the engine may be used for a title."""


class ChatNaming(TurnActions):
    """A turn never waits for a title: its beginning ends the naming, which is tried again after it."""

    _timer: Timer | None = None
    _naming: Worker[None] | None = None
    _tried = frozenset[int]()

    def turn_is_over(self) -> None:
        """Name the chat unless something else happens first."""
        super().turn_is_over()
        chat = self.session.chat
        if self.settings.chat_titles and chat and chat.id not in self._tried and needs_title(self.session):
            self._timer = self.set_timer(IDLE_S, self._begin)

    def _begin(self) -> None:
        if not self.is_answering and needs_title(self.session):
            self._naming = self._name_chat()

    async def engine_wanted(self) -> None:
        """End the naming, for something that the user waits for."""
        await super().engine_wanted()
        if self._timer is not None:
            self._timer.stop()
        if self._naming is not None and self._naming.is_running:
            self._naming.cancel()  # which cancels the reply, too
            with suppress(WorkerError):
                await self._naming.wait()
        self._naming = None

    async def settle(self) -> None:
        """End the naming before the app ends."""
        await self.engine_wanted()
        await super().settle()

    @work(group="naming", exclusive=True, exit_on_error=False)
    async def _name_chat(self) -> None:
        assert self.session.chat is not None
        chat_id = self.session.chat.id
        with telling(self):
            title = await title_by_model(self.session)
            self._tried |= {chat_id}
            if title and await self.store.set_title(chat_id, title, TitledBy.MODEL):
                await self.session.reread_chat()
                self.show_state()
                self.chats_changed()
