"""The action that sets the system prompt and the sampling of the open chat."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual import work

from qwen3_chat.config.prompt_library import load_prompts
from qwen3_chat.session.turn_options import overrides
from qwen3_chat.texts import current_language, t
from qwen3_chat.texts.formatting import SEPARATOR
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.screens.chat_options_screen import ChatOptionsScreen, ChatSetup
from qwen3_chat.ui.screens.conversation_screen import ConversationScreen
from qwen3_chat.ui.screens.dialog import show_dialog


class OptionActions(ConversationScreen):
    """The options of the chat: they take effect with the next message and show in the title bar."""

    prompts_file: Path | None = None
    """The user's own prompts."""

    @work(group="options", exclusive=True)
    async def action_chat_options(self) -> None:
        """Open the options of this chat, or of the chat that the next message begins."""
        self.app.clear_notifications()
        session = self.session
        preset = session.options.sampling_from(session.sampling_preset(session.mode))
        before = ChatSetup(session.system, session.chat_options)
        library = partial(load_prompts, self.prompts_file, current_language())
        setup = await show_dialog(self, ChatOptionsScreen(before, preset, library))
        if setup is None or setup == before:
            return
        with notify_errors(self, "task.options"):
            await session.set_system(setup.system)
            await session.set_chat_options(setup.options)
        self.show_state()

    def show_state(self) -> None:
        """Show the state, with the options that differ from the presets in the title bar."""
        super().show_state()
        session = self.session
        parts = [t("ui.options.has_system")] if session.system != self.settings.system_prompt else []
        parts += [
            f"{t(f'ui.options.{name}')} {value:g}" for name, value in overrides(session.chat_options).items()
        ]
        self.title_bar.note = SEPARATOR.join(parts)
