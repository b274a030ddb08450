"""Gives a changed setting its effect at once, where it can have one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from qwen3_chat.config import Settings
from qwen3_chat.session import TurnOptions
from qwen3_chat.transcript.entry import ThinkingDisplay
from qwen3_chat.ui.motion import set_motion
from qwen3_chat.ui.screens.conversation import ConversationScreen

OF_THE_TURNS = frozenset(field.name for field in fields(TurnOptions))


def apply_setting(screen: ConversationScreen, settings: Settings, name: str) -> bool:
    """Have a setting count from now on; tell whether it does, or only after the next start."""
    value: Any = getattr(settings, name)
    screen.settings = settings
    match name:
        case "theme":
            screen.app.theme = value
        case "reduced_motion":
            set_motion(screen, reduced=value)
        case "thinking_display":
            screen.transcript.thinking_display = ThinkingDisplay(value)
        case "chat_titles" | "export_thinking":
            pass  # asked for when needed
        case "enter_key":
            screen.input.enter_sends = value == "send"
        case "export_folder" if settings.exports is not None:
            screen.exports = settings.exports
        case _ if name in OF_THE_TURNS:
            screen.session.options = replace(screen.session.options, **{name: value})
        case _:
            return False
    return True
