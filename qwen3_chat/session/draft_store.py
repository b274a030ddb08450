"""The drafts of unsent messages, stored with their chats or, before a chat exists, in a file."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore
from qwen3_chat.store.database import OWNER_ONLY


@dataclass(frozen=True, slots=True)
class Draft:
    """The text in the input of a chat, with its attachments."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()

    def followed_by(self, other: Draft) -> Draft:
        """Return this draft with another one appended."""
        return Draft(self.text + other.text, self.attachments + other.attachments)


NO_DRAFT = Draft()
MAX_DRAFT_FILE_BYTES = 64 * 1024**2
"""The limit for the file of a draft: some attachments of the largest size."""


def encode_draft(draft: Draft) -> bytes:
    """Return a draft as JSON in ASCII, which holds half characters too: names of files may have them."""
    return b"" if draft == NO_DRAFT else json.dumps(msgspec.to_builtins(draft)).encode()


def decode_draft(encoded: bytes) -> Draft:
    """Return the draft that was encoded; a damaged one is none."""
    try:
        return msgspec.convert(json.loads(encoded), Draft)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return NO_DRAFT


class DraftStore:
    """A store of drafts: a chat's draft is kept with the chat, that of a chat not yet begun in a file."""

    def __init__(self, store: ChatStore, file: Path) -> None:
        self._store = store
        self._file = file
        self._file_lock = asyncio.Lock()  # the drafts are written to the file in their order

    async def load(self, chat_id: int | None) -> Draft:
        """Return the draft of a chat; None stands for the chat that has not begun.

        Raises:
            StoreError: there is no such chat, or it can't be read.
        """
        if chat_id is not None:
            encoded = (await self._store.chat(chat_id)).draft.encode()
        else:
            async with self._file_lock:
                encoded = await asyncio.to_thread(self._read)
        return decode_draft(encoded)

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
        try:
            with self._file.open("rb") as file:
                return file.read(MAX_DRAFT_FILE_BYTES)
        except OSError:
            return b""

    def _write(self, encoded: bytes) -> None:
        if not encoded:
            self._file.unlink(missing_ok=True)
            return
        temporary_file = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        with open(os.open(temporary_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as file:
            file.write(encoded)
        temporary_file.replace(self._file)
