"""The actions on models: switch to another model, download one while the chat goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from textual import work

from qwen3_chat.models.fit import recommend
from qwen3_chat.models.picker import Download, DownloadPhase
from qwen3_chat.models.picker.model_picker import idle_gpu_notice, newcomer_advice
from qwen3_chat.session import EngineChoice, LocalModel, SessionEventSink, Turn, switch_engine
from qwen3_chat.texts import t
from qwen3_chat.ui.actions.turn_actions import TurnActions
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.model_list import downloads_label
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen
from qwen3_chat.ui.widgets.banner import Banner


class ModelActions(TurnActions):
    """The model picker, the switch to another model and the state of downloads.

    A message that is sent during a switch waits for the new model.
    """

    def on_mount(self) -> None:
        """Listen to the downloads and probe the machine."""
        self._switch_lock = asyncio.Lock()
        self._downloaded_model: LocalModel | None = None
        if self.model_picker is not None:
            self.model_picker.downloads.listeners.append(self.download_changed)
            self.call_next(self.probe_machine)

    @work(group="machine", exit_on_error=False)
    async def probe_machine(self) -> None:
        """Notify of an idle GPU; advise a newcomer, who has only the demo, on a model."""
        assert self.model_picker is not None
        with notify_errors(self, "task.probe"):
            hardware = await self.model_picker.probe()
            self.query_one(Banner).set_text(idle_gpu_notice(hardware))
            if await self.model_picker.list_disk_models():
                return
            machine = self.model_picker.available_machine(hardware, self.session.engine.model)
            recommendation = await asyncio.to_thread(recommend, machine)
            description = self.model_picker.describe_machine(hardware, machine)
            self.advice = newcomer_advice(description, recommendation)
            if not self.session.messages and not self.is_answering:
                self.show_messages()

    async def shutdown(self) -> None:
        """Pause the downloads, then shut down."""
        if self.model_picker is not None:
            self.model_picker.downloads.listeners.remove(self.download_changed)
            await self.model_picker.downloads.close()
        await super().shutdown()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now; None shows it disabled."""
        if action == "models":
            return self.model_picker is not None and not self.is_answering
        return super().check_action(action, parameters)

    @work(group="models", exclusive=True)
    async def action_models(self) -> None:
        """Open the model picker, then switch to the chosen model."""
        assert self.model_picker is not None
        self.app.clear_notifications()
        choice = await show_dialog(
            self, ModelPickerScreen(self.model_picker, lambda: self.session.engine.model)
        )
        if choice is not None:
            self.switch_model(choice)
        elif self._downloaded_model is not None and self._has_only_unused_demo:
            self.switch_model(self._downloaded_model)

    @work(group="load", exclusive=True, exit_on_error=False)
    async def switch_model(self, choice: EngineChoice) -> None:
        """Switch to another model, after the one in use has freed its memory."""
        assert self.model_picker is not None
        with notify_errors(self, "task.switch_model"):
            engine = self.model_picker.make_engine(choice)
            async with self._switch_lock:
                await self._run(partial(switch_engine, self.session, engine))
        self._downloaded_model = None
        self.show_downloads()
        if not self.session.messages:
            self.show_messages()
        self.show_state()

    def take_turn(self, turn: Turn, typed: str = "") -> None:
        """Run one turn, with the new model if a switch is under way."""

        async def take_after_switch(on_event: SessionEventSink) -> None:
            async with self._switch_lock:
                pass
            await turn(on_event)

        super().take_turn(take_after_switch, typed)

    def download_changed(self, download: Download) -> None:
        """Show a download's progress; use the first real model at once if the chat is still empty."""
        if download.phase is DownloadPhase.FAILED:
            self.notify(
                download.message, title=t("ui.notice.not_fetched", name=download.title), severity="error"
            )
        elif download.phase is DownloadPhase.DONE and download.path is not None:
            self._downloaded_model = LocalModel(download.path)
            if self._has_only_unused_demo and self.app.screen is self:
                self.notify(t("ui.notice.fetched_and_used", name=download.title))
                self.switch_model(self._downloaded_model)
            else:
                self.notify(t("ui.notice.fetched", name=download.title), timeout=15)
        self.show_downloads()

    def show_downloads(self) -> None:
        """Show the downloads in the status bar, or that a downloaded model can be used."""
        assert self.model_picker is not None
        label = downloads_label(self.model_picker.downloads.running)
        if not label and self._downloaded_model is not None:
            label = t("ui.status.arrived")
        if label != self.status_bar.status.download:
            self.status_bar.status = replace(self.status_bar.status, download=label)

    @property
    def _has_only_unused_demo(self) -> bool:
        """True while the model is the demo and the chat is empty."""
        model = self.session.engine.model
        return not self.session.messages and not self.is_answering and model is not None and model.is_demo
