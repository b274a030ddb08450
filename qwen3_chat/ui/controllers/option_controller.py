"""The mode, the system prompt and the sampling of the open chat."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession
from qwen3_chat.session.thinking_mode import fixed_mode
from qwen3_chat.session.turn_options import overrides
from qwen3_chat.texts import current_language, t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.ui.controllers.controller import ChatView, Controller, in_worker
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.dialog import show_dialog
from qwen3_chat.ui.widgets.chat_widgets import ChatWidgets


class OptionController(Controller):
    """The options of the chat: they take effect with the next message and show in the title bar."""

    def __init__(
        self,
        view: ChatView,
        session: ChatSession,
        widgets: ChatWidgets,
        prompts_file: Path | None,
    ) -> None:
        super().__init__(view, session, widgets)
        self._prompts_file = prompts_file

    @property
    def note(self) -> str:
        """The options that differ from the presets, for the title bar."""
        session = self._session
        parts = [t("ui.options.has_system")] if session.system != self._view.settings.system_prompt else []
        options = session.chat_options
        parts += [f"{t(f'ui.options.{name}')} {value:g}" for name, value in overrides(options).items()]
        if options.tools:
            parts.append(f"{t('ui.options.tools')} {', '.join(options.tools)}")
        return SEPARATOR.join(parts)

    def setting_in_force(self, name: str) -> str:
        """Return what holds where a setting has no value; empty where that is nothing."""
        model = self._session.engine.model
        match name:
            case "language":
                return current_language().value
            case "model" if model is not None:
                return model.title
            case "export_folder":
                return str(self._view.exports_folder)
            case "thinking_budget":
                return t("ui.options.unlimited")
            case "presence_penalty" if model is not None:
                from qwen3_chat.models.catalog import sampling_for

                sampling = sampling_for(self._session.mode, is_demo=model.is_demo)
                return f"{sampling.presence_penalty:g}"
            case _:
                return ""

    @in_worker("mode", exclusive=True)
    async def set_mode(self, mode: ThinkingMode) -> None:
        """Store the mode with the chat, then show it."""
        if (fixed := fixed_mode(self._session.engine.model)) is not None:
            self._screen.notify(t(f"ui.fixed_mode.{fixed.value}"))
            return
        with notify_errors(self._screen, "task.mode"):
            await self._session.set_mode_override(mode)
        self._view.show_state()

    @in_worker("options")
    async def open_dialog(self) -> None:
        """Open the options of this chat, or of the chat that the next message begins."""
        from qwen3_chat.config.prompt_library import load_prompts
        from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen, ChatSetup

        self._screen.app.clear_notifications()
        session = self._session
        preset = session.options.sampling_from(session.sampling_preset(session.mode))
        before = ChatSetup(session.system, session.chat_options)
        library = partial(load_prompts, self._prompts_file, current_language())
        model = session.engine.model
        adapters = model.adapters if model is not None else ()
        setup = await show_dialog(self._screen, ChatOptionsScreen(before, preset, library, adapters))
        if setup is None or setup == before:
            return
        with notify_errors(self._screen, "task.options"):
            await session.set_system(setup.system)
            await session.set_chat_options(replace(setup.options, tools=session.chat_options.tools))
        self._view.show_state()
