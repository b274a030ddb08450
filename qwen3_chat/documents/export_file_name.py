"""The name of an exported file, after the chat's title, valid on every system."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.store.records import Chat
from qwen3_chat.texts.terminal_safe import REPLACEMENT, terminal_safe

MAX_NAME_BYTES: Final = (
    200  # systems allow 255; the rest is for ` (2)` and for tools that add endings of their own
)
_FORBIDDEN: Final = re.compile(rf'[<>:"/\\|?*\s{REPLACEMENT}]+')
_RESERVED: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)", re.IGNORECASE
)


def default_file_name(chat: Chat, format: ExportFormat) -> str:
    """Name a transcript after its chat, in the title's script, valid on Windows, macOS and Linux."""
    ending = f".{format.value}"
    name = _FORBIDDEN.sub(" ", terminal_safe(unicodedata.normalize("NFC", chat.title)))
    name = _cut(_trimmed(name), MAX_NAME_BYTES - len(ending.encode()) - 1)
    name = _trimmed(name) or f"chat-{chat.id}"
    if _RESERVED.match(name):  # devices on Windows, with any ending
        name = f"_{name}"
    return name + ending


def _trimmed(name: str) -> str:
    """Drop what hides a file, reads as an option, or is dropped by Windows itself."""
    return name.strip(" .").lstrip("-~ .")


def _cut(name: str, max_bytes: int) -> str:
    """Cut between characters, and not before a mark that belongs to the one in front."""
    if len(name.encode()) <= max_bytes:
        return name
    kept = name.encode()[:max_bytes].decode(errors="ignore")
    while kept and _joins(name[len(kept)], kept[-1]):
        kept = kept[:-1]
    return kept


def _joins(following: str, last: str) -> bool:
    joiner = "\N{ZERO WIDTH JOINER}"
    return unicodedata.category(following).startswith("M") or joiner in (following, last)
