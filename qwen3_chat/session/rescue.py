"""A file elsewhere for what the chat database did not take when the user left."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.errors import ExportError
from qwen3_chat.session.draft_store import NO_DRAFT, Draft
from qwen3_chat.session.unstored_replies import UnstoredReplies
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe

RESCUE_FILE_NAME: Final = "qwen3-chat-not-stored.md"


def rescue(unstored: UnstoredReplies, exports: Path, draft: Draft = NO_DRAFT) -> str:
    """Write what is not stored into a file; return the sentence about it, empty where there is nothing.

    The folder of exports is tried first, then the user's own, then that of temporary files. Where no file can
    be written, the text itself follows the sentence, as it is not kept anywhere else.
    """
    text = rescue_text(unstored.replies, draft)
    if not text:
        return ""
    reason = unstored.error or t("session.draft_not_stored")
    for folder in (exports, Path("~").expanduser(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        with suppress(ExportError):
            path = write_new_file(folder, text, RESCUE_FILE_NAME)
            return terminal_safe(t("session.rescued", reason=reason, path=path))
    return terminal_safe(f"{t('session.not_rescued', reason=reason)}\n\n{text}")


def rescue_text(replies: Sequence[StoredMessage], draft: Draft) -> str:
    """Return the replies, each with its thinking and calls, and the text that was not sent; else nothing."""
    parts = [
        part
        for stored in replies
        for part in (
            stored.message.reasoning,
            stored.message.content,
            *(f"{call.name}({call.arguments})" for call in stored.message.tool_calls),
        )
        if part.strip()
    ]
    parts += [part for part in (draft.text, *(file.text for file in draft.attachments)) if part.strip()]
    return "\n\n---\n\n".join(part.strip("\n") for part in parts) + "\n" if parts else ""
