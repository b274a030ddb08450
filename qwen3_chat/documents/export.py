"""A chat written to a file in one of the export formats."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path

from qwen3_chat.documents.export_file_name import default_file_name
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.store.records import Chat, StoredMessage

__all__ = [
    "ExportFormat",
    "ThinkingStyle",
    "default_file_name",
    "export_to_folder",
    "render",
    "write_new_file",
]


def render(
    chat: Chat,
    messages: Sequence[StoredMessage],
    format: ExportFormat,
    thinking: ThinkingStyle = ThinkingStyle.FOLDED,
    zone: tzinfo | None = None,
) -> str:
    """Return messages of a chat as one text: a branch, or for JSON all of them.

    Dates are in `zone`, by default the machine's own.
    """
    # Imported here: HTML needs a Markdown parser and a highlighter, which would delay every start.
    match format:
        case ExportFormat.MARKDOWN:
            from qwen3_chat.documents.markdown_export import render_markdown

            return render_markdown(chat, messages, thinking, zone)
        case ExportFormat.HTML:
            from qwen3_chat.documents.html_export import render_html

            return render_html(chat, messages, thinking, zone)
        case ExportFormat.JSON:
            from qwen3_chat.documents.json_export import render_json

            return render_json(chat, messages, thinking, zone)
        case ExportFormat.TEXT:
            from qwen3_chat.documents.text_export import render_text

            return render_text(chat, messages, thinking, zone)
        case ExportFormat.JSON_LINES:
            from qwen3_chat.documents.message_lists import render_message_list

            return render_message_list(chat, messages, thinking)


def export_to_folder(
    chat: Chat,
    messages: Sequence[StoredMessage],
    folder: Path,
    thinking: ThinkingStyle,
    format: ExportFormat = ExportFormat.MARKDOWN,
) -> Path:
    """Write a chat to a new file in a folder; return the file's path.

    Raises:
        ExportError: the file can't be written.
    """
    with suppress(OSError):  # writing the file reports it, with the path
        folder.mkdir(parents=True, exist_ok=True)
    text = render(chat, messages, format, thinking)
    return write_new_file(folder, text, default_file_name(chat, format))
