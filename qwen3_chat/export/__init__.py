"""Chats as files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

from qwen3_chat.export import html, json_file, markdown, plain_text
from qwen3_chat.export.file_names import default_file_name
from qwen3_chat.export.kinds import ExportFormat, ThinkingStyle
from qwen3_chat.export.writer import write_transcript
from qwen3_chat.store.records import Chat, StoredMessage

__all__ = ["ExportFormat", "ThinkingStyle", "default_file_name", "render", "write_transcript"]

_Renderer = Callable[[Chat, Sequence[StoredMessage], ThinkingStyle, tzinfo | None], str]
_RENDERERS: Final[dict[ExportFormat, _Renderer]] = {
    ExportFormat.MARKDOWN: markdown.render,
    ExportFormat.HTML: html.render,
    ExportFormat.JSON: json_file.render,
    ExportFormat.TEXT: plain_text.render,
}


def render(
    chat: Chat,
    messages: Sequence[StoredMessage],
    format: ExportFormat,
    thinking: ThinkingStyle = ThinkingStyle.FOLDED,
    zone: tzinfo | None = None,
) -> str:
    """Return a branch of a chat as one text; dates are told in `zone`, by default the machine's own."""
    return _RENDERERS[format](chat, messages, thinking, zone)
