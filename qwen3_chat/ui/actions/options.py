"""The choice of a system prompt and of the sampling for the open chat."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual import work

from qwen3_chat.catalog import sampling_for
from qwen3_chat.prompt_library import load_prompts
from qwen3_chat.session.turn_options import chosen
from qwen3_chat.texts import language, t
from qwen3_chat.ui.screens.chat_options import ChatOptionsScreen, ChatSetup
from qwen3_chat.ui.screens.conversation import ConversationScreen
from qwen3_chat.ui.screens.dialog import ask
from qwen3_chat.ui.telling import telling


class OptionActions(ConversationScreen):
    """What is chosen counts from the next message on, and is told in the title bar."""

    prompts_file: Path | None = None
    """The user's own prompts."""

    @work(group="options", exclusive=True)
    async def action_chat_options(self) -> None:
        """Choose for this chat, or for the one that the next message begins."""
        self.app.clear_notifications()
        session = self.session
        model = session.engine.model
        preset = session.options.sampling(sampling_for(session.mode, is_demo=bool(model and model.is_demo)))
        before = ChatSetup(session.system, session.chat_options)
        library = partial(load_prompts, self.prompts_file, language())
        setup = await ask(self, ChatOptionsScreen(before, preset, library))
        if setup is None or setup == before:
            return
        with telling(self):
            await session.set_system(setup.system)
            await session.set_chat_options(setup.options)
        self.show_state()

    def show_state(self) -> None:
        """Tell what differs from the presets, too."""
        super().show_state()
        session = self.session
        parts = [t("ui.options.has_system")] if session.system != self.settings.system_prompt else []
        parts += [
            f"{t(f'ui.options.{name}')} {value:g}" for name, value in chosen(session.chat_options).items()
        ]
        self.title_bar.note = " · ".join(parts)
