"""Writes the chat on the screen to a new file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from qwen3_chat.session import ChatSession


def export_session(session: ChatSession, folder: Path, thinking: str) -> Path | None:
    """Write the chat as Markdown, its thinking left out, folded or full; None where there is no chat.

    Raises:
        ExportError: the file can't be written.
    """
    # Imported here: it brings HTML and highlighting along, which nobody needs to begin.
    from qwen3_chat.export import ExportFormat, ThinkingStyle, default_file_name, render, write_transcript

    if session.chat is None:
        return None
    with suppress(OSError):  # the export itself says where it can't be written
        folder.mkdir(parents=True, exist_ok=True)
    text = render(session.chat, session.messages, ExportFormat.MARKDOWN, ThinkingStyle(thinking))
    return write_transcript(folder, text, default_file_name(session.chat, ExportFormat.MARKDOWN))
