"""The model: switch to another one, download one while the chat goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qwen3_chat.engine.llama_compilation import read_compilation
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession, EngineChoice, LocalModel, switch_engine
from qwen3_chat.texts import t
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.controllers.turn_controller import TurnController
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets

if TYPE_CHECKING:
    from textual.timer import Timer

    from qwen3_chat.models.picker import Download, ModelPicker

PROBE_DELAY_S = 1.0
"""The time from the start of the screen until the machine is probed, which imports much."""
COMPILATION_INTERVAL_S = 2.0
"""The time between two looks at the compilation of llama.cpp."""


class ModelController(Controller):
    """The model picker, the switch to another model and the state of downloads.

    The picker is made when the screen is there: what it imports takes as long as the rest of the start.
    """

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        get_picker: Callable[[], ModelPicker],
        turns: TurnController,
    ) -> None:
        super().__init__(view, session, widgets)
        self._get_picker = get_picker
        self._picker: ModelPicker | None = None
        self._turns = turns
        self._downloaded_model: LocalModel | None = None
        self._compilation_timer: Timer | None = None
        self.advice = ""
        """The model that suits this machine better than the demo, as a sentence; empty until it is known."""

    def start(self) -> None:
        """Probe the machine, once the screen is drawn and keys are taken."""
        self._screen.call_after_refresh(self._screen.set_timer, PROBE_DELAY_S, self._probe_machine)
        if (compilation := read_compilation()) and compilation.is_running:
            self._compilation_timer = self._screen.set_interval(
                COMPILATION_INTERVAL_S, self._show_compilation
            )
            self._show_compilation()

    def _show_compilation(self) -> None:
        """Show how far llama.cpp is compiled; at its end, say what hinders it."""
        compilation = read_compilation()
        percent = compilation.percent if compilation and compilation.is_running else None
        status_bar = self._widgets.status_bar
        if percent != status_bar.status.compiled_percent:
            status_bar.status = replace(status_bar.status, compiled_percent=percent)
        if percent is None and self._compilation_timer is not None:
            self._compilation_timer.stop()
            if compilation:
                self._screen.notify(compilation.sentence, severity="warning", timeout=15)

    def _used_picker(self) -> ModelPicker:
        """Return the picker, whose downloads are listened to from the first use on."""
        if self._picker is None:
            self._picker = self._get_picker()
            self._picker.downloads.listeners.append(self._download_changed)
        return self._picker

    @in_worker("machine")
    async def _probe_machine(self) -> None:
        """Notify of an idle GPU; advise a newcomer, who has only the demo, on a model."""
        with notify_errors(self._screen, "task.probe"):
            await asyncio.to_thread(_import_picker)
            from qwen3_chat.models.fit import recommend
            from qwen3_chat.models.picker.model_picker import idle_gpu_notice, newcomer_advice

            picker = self._used_picker()
            hardware = await picker.probe()
            self._widgets.banner.set_text(idle_gpu_notice(hardware))
            if await picker.list_disk_models():
                return
            machine = picker.available_machine(hardware, self._session.engine.model)
            steady = picker.steady_machine(hardware)
            recommendation = await asyncio.to_thread(recommend, steady, now=machine)
            self.advice = newcomer_advice(picker.describe_machine(hardware, machine), recommendation)
            if not self._session.messages and not self._turns.is_answering:
                self._view.show_messages()

    async def shutdown(self) -> None:
        """Pause the downloads."""
        if self._picker is not None:
            self._picker.downloads.listeners.remove(self._download_changed)
            await self._picker.downloads.close()

    @in_worker("models")
    async def open_picker(self) -> None:
        """Open the model picker, then switch to the chosen model."""
        from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen

        self._screen.app.clear_notifications()
        choice = await show_dialog(
            self._screen, ModelPickerScreen(self._used_picker(), lambda: self._session.engine.model)
        )
        if choice is not None:
            self._switch(choice)
        elif self._downloaded_model is not None and self._has_only_unused_demo:
            self._switch(self._downloaded_model)

    @in_worker("load", exclusive=True)
    async def _switch(self, choice: EngineChoice) -> None:
        """Switch to another model, after the one in use has freed its memory."""
        with notify_errors(self._screen, "task.switch_model"):
            engine = self._used_picker().make_engine(choice)
            await self._turns.switch_model(partial(switch_engine, self._session, engine))
        self._downloaded_model = None
        self._show_downloads()
        if not self._session.messages:
            self._view.show_messages()
        self._view.show_state()

    def _download_changed(self, download: Download) -> None:
        """Show a download's progress; use the first real model at once if the chat is still empty."""
        from qwen3_chat.models.picker import DownloadPhase

        notify = self._screen.notify
        if download.phase is DownloadPhase.FAILED:
            notify(download.message, title=t("ui.notice.not_fetched", name=download.title), severity="error")
        elif download.phase is DownloadPhase.DONE and download.path is not None:
            self._downloaded_model = LocalModel(download.path)
            if self._has_only_unused_demo and self._screen.app.screen is self._screen:
                notify(t("ui.notice.fetched_and_used", name=download.title))
                self._switch(self._downloaded_model)
            else:
                notify(t("ui.notice.fetched", name=download.title), timeout=15)
        self._show_downloads()

    def _show_downloads(self) -> None:
        """Show the downloads in the status bar, or that a downloaded model can be used."""
        from qwen3_chat.ui.model_list import downloads_label

        label = downloads_label(self._used_picker().downloads.running)
        if not label and self._downloaded_model is not None:
            label = t("ui.status.arrived")
        status_bar = self._widgets.status_bar
        if label != status_bar.status.download:
            status_bar.status = replace(status_bar.status, download=label)

    @property
    def _has_only_unused_demo(self) -> bool:
        """True while the model is the demo and the chat is empty."""
        model = self._session.engine.model
        is_unused = not self._session.messages and not self._turns.is_answering
        return is_unused and model is not None and model.is_demo


def _import_picker() -> None:
    """Import what the picker needs, in a thread, so that keys are handled meanwhile."""
    import qwen3_chat.models.fit
    import qwen3_chat.models.hardware
    import qwen3_chat.models.hub
    import qwen3_chat.models.picker.model_picker  # noqa: F401
