"""The language of the pictures."""

from __future__ import annotations

from qwen3_chat.texts import Language, current_language


def say(english: str, chinese: str) -> str:
    """Return the text in the current language."""
    return chinese if current_language() is Language.ZH else english
