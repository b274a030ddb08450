"""The name of an exported file, after the chat's title, valid on every system."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.store.records import Chat
from qwen3_chat.texts.terminal_safe import REPLACEMENT, terminal_safe

MAX_NAME_BYTES: Final = 200
"""Systems allow 255; the difference is for ` (2)` and for tools that add endings of their own."""

_FORBIDDEN: Final = re.compile(rf'[<>:"/\\|?*\s{REPLACEMENT}]+')
_RESERVED: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)", re.IGNORECASE
)


def default_file_name(chat: Chat, format: ExportFormat) -> str:
    """Return a file name after the chat's title, in its script, valid on Windows, macOS and Linux."""
    ending = f".{format.value}"
    name = _FORBIDDEN.sub(" ", terminal_safe(unicodedata.normalize("NFC", chat.title)))
    name = _cut(_trimmed(name), MAX_NAME_BYTES - len(ending.encode()) - 1)
    name = _trimmed(name) or f"chat-{chat.id}"
    if _RESERVED.match(name):  # devices on Windows, with any ending
        name = f"_{name}"
    return name + ending


def _trimmed(name: str) -> str:
    """Drop characters that hide a file, look like an option, or are dropped by Windows itself."""
    return name.strip(" .").lstrip("-~ .")


def _cut(name: str, max_bytes: int) -> str:
    """Shorten a name between characters, never before a mark that belongs to the character in front."""
    if len(name.encode()) <= max_bytes:
        return name
    shortened = name.encode()[:max_bytes].decode(errors="ignore")
    while shortened and _joins(name[len(shortened)], shortened[-1]):
        shortened = shortened[:-1]
    return shortened


def _joins(following: str, last: str) -> bool:
    joiner = "\N{ZERO WIDTH JOINER}"
    return unicodedata.category(following).startswith("M") or joiner in (following, last)
