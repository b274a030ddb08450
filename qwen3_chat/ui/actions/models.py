"""The actions on models: choose another one, fetch one while the chat goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from textual import work

from qwen3_chat.fit import recommend
from qwen3_chat.session import EngineChoice, LocalModel, SessionEvent, use_engine
from qwen3_chat.shelf import Download, Phase
from qwen3_chat.shelf.advice import idle_gpu, newcomer_advice
from qwen3_chat.texts import t
from qwen3_chat.ui.actions.turns import TurnActions
from qwen3_chat.ui.model_lines import status_words
from qwen3_chat.ui.screens.dialog import ask
from qwen3_chat.ui.screens.models import ModelsScreen
from qwen3_chat.ui.telling import telling
from qwen3_chat.ui.widgets.banner import Banner


class ModelActions(TurnActions):
    """A chat goes on with another model; what is sent meanwhile waits for it."""

    def on_mount(self) -> None:
        """Follow the downloads."""
        self._switching = asyncio.Lock()
        self._arrived: LocalModel | None = None
        if self.desk is not None:
            self.desk.downloads.listeners.append(self.download_changed)
            self.call_next(self.look_at_machine)

    @work(group="machine", exit_on_error=False)
    async def look_at_machine(self) -> None:
        """Tell of a GPU that lies idle; advise a newcomer, who has nothing but the demo yet."""
        assert self.desk is not None
        with telling(self):
            hardware = await self.desk.look()
            self.query_one(Banner).say(idle_gpu(hardware))
            if await self.desk.disk():
                return
            machine = self.desk.machine(hardware, self.session.engine.model)
            found = await asyncio.to_thread(recommend, machine)
            self.advice = newcomer_advice(self.desk.in_words(hardware, machine), found)
            if not self.session.messages and not self.is_answering:
                self.show_messages()

    async def settle(self) -> None:
        """Pause the downloads, then end whatever runs."""
        if self.desk is not None:
            self.desk.downloads.listeners.remove(self.download_changed)
            await self.desk.downloads.close()
        await super().settle()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        if action == "models":
            return self.desk is not None and not self.is_answering
        return super().check_action(action, parameters)

    @work(group="models", exclusive=True)
    async def action_models(self) -> None:
        """Choose a model, or fetch one."""
        assert self.desk is not None
        self.app.clear_notifications()
        choice = await ask(self, ModelsScreen(self.desk, lambda: self.session.engine.model))
        if choice is not None:
            self.switch(choice)
        elif self._arrived is not None and self._awaits_a_model:
            self.switch(self._arrived)

    @work(group="load", exclusive=True, exit_on_error=False)
    async def switch(self, choice: EngineChoice) -> None:
        """Go on with another model, once the one in use has given back its memory."""
        assert self.desk is not None
        with telling(self):
            engine = self.desk.make_engine(choice)
            async with self._switching:
                await self._run(use_engine(self.session, engine))
        self._arrived = None
        self.show_downloads()
        if not self.session.messages:
            self.show_messages()
        self.show_state()

    def take_turn(self, events: AsyncGenerator[SessionEvent, None], typed: str = "") -> None:
        """Run one turn, with the model that is being loaded where one is."""
        super().take_turn(self._after_switching(events), typed)

    async def _after_switching(
        self, events: AsyncGenerator[SessionEvent, None]
    ) -> AsyncGenerator[SessionEvent, None]:
        async with self._switching:
            pass
        async with aclosing(events):
            async for event in events:
                yield event

    def download_changed(self, download: Download) -> None:
        """Show how far it is; use a first real model at once where nothing was said yet."""
        name = " ".join(download.key)
        if download.phase is Phase.FAILED:
            self.notify(download.said, title=t("ui.notice.not_fetched", name=name), severity="error")
        elif download.phase is Phase.DONE and download.path is not None:
            self._arrived = LocalModel(download.path)
            if self._awaits_a_model and self.app.screen is self:
                self.notify(t("ui.notice.fetched_and_used", name=name))
                self.switch(self._arrived)
            else:
                self.notify(t("ui.notice.fetched", name=name), timeout=15)
        self.show_downloads()

    def show_downloads(self) -> None:
        """Say in the status bar how far the downloads are, and that a model waits to be used."""
        assert self.desk is not None
        words = status_words(self.desk.downloads.running)
        if not words and self._arrived is not None:
            words = t("ui.status.arrived")
        if words != self.status_bar.status.download:
            self.status_bar.status = replace(self.status_bar.status, download=words)

    @property
    def _awaits_a_model(self) -> bool:
        """Whether there is nothing yet but the demo, unused."""
        model = self.session.engine.model
        return not self.session.messages and not self.is_answering and model is not None and model.is_demo
