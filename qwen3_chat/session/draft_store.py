"""The drafts of unsent messages, stored with their chats or, before a chat exists, in a file."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.private_file import write_private_file
from qwen3_chat.store import ChatStore
from qwen3_chat.texts.terminal_safe import storable


class Draft(Struct, frozen=True):
    """The text in the input of a chat, with its attachments."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()

    def followed_by(self, other: Draft) -> Draft:
        """Return this draft with another one appended."""
        return Draft(self.text + other.text, self.attachments + other.attachments)


NO_DRAFT = Draft()
MAX_DRAFT_BYTES = 1 << 28
"""No draft is larger: its attachments are texts of limited length."""


def encode_draft(draft: Draft) -> bytes:
    """Return a draft as JSON; half characters, which UTF-8 does not have, are replaced."""
    files = tuple(Attachment(storable(file.name), storable(file.text)) for file in draft.attachments)
    return b"" if draft == NO_DRAFT else msgspec.json.encode(Draft(storable(draft.text), files))


def decode_draft(encoded: bytes) -> Draft | None:
    """Return the draft that was encoded; None for bytes that are none."""
    try:
        return msgspec.json.decode(encoded, type=Draft) if encoded else NO_DRAFT
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class DraftStore:
    """A store of drafts: a chat's draft is kept with the chat, that of a chat not yet begun in a file."""

    def __init__(self, store: ChatStore, file: Path) -> None:
        self._store = store
        self._file = file
        self._file_lock = asyncio.Lock()  # the drafts are written to the file in their order

    async def load(self, chat_id: int | None) -> Draft:
        """Return the draft of a chat; None stands for the chat that has not begun.

        Raises:
            StoreError: there is no such chat, or it can't be read; the file is damaged and was put aside.
        """
        if chat_id is not None:
            encoded = (await self._store.chat(chat_id)).draft.encode(errors="replace")
            return decode_draft(encoded) or NO_DRAFT
        async with self._file_lock:
            encoded = await asyncio.to_thread(self._read)
            if (draft := decode_draft(encoded)) is None:
                copy = await asyncio.to_thread(self._put_aside)
                raise StoreError(ErrorCode.DRAFT_DAMAGED, path=self._file, copy=copy)
        return draft

    async def save(self, chat_id: int | None, draft: Draft) -> None:
        """Save a draft; None stands for the chat that has not begun.

        Raises:
            StoreError: it can't be saved.
        """
        encoded = encode_draft(draft)
        if chat_id is not None:
            await self._store.set_draft(chat_id, encoded.decode())
            return
        async with self._file_lock:
            try:
                await asyncio.to_thread(self._write, encoded)
            except OSError as error:
                reason = error.strerror or error
                raise StoreError(ErrorCode.DRAFT_NOT_SAVED, path=self._file, reason=reason) from error

    def _read(self) -> bytes:
        """Read the file; one that is no file, or larger than any draft, counts as damaged."""
        try:
            if not self._file.exists():
                return b""
            if not self._file.is_file() or self._file.stat().st_size > MAX_DRAFT_BYTES:
                return b"?"
            return self._file.read_bytes()
        except OSError:
            return b""

    def _put_aside(self) -> Path:
        """Rename a damaged file, so that the next draft does not replace what may be saved of it."""
        copy = self._file.with_name(f"{self._file.name}.damaged")
        with suppress(OSError):
            self._file.replace(copy)
        return copy

    def _write(self, encoded: bytes) -> None:
        if not encoded:
            self._file.unlink(missing_ok=True)
            return
        write_private_file(self._file, encoded)
