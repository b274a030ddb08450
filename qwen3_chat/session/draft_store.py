"""The drafts of messages that are typed and not yet sent, kept with their chats or, before there is one,
in a file.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.errors import StoreError
from qwen3_chat.store import ChatStore


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the input of a chat, with what is attached."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()

    def followed_by(self, other: Draft) -> Draft:
        """Put another draft behind this one."""
        return Draft(self.text + other.text, self.attachments + other.attachments)


NO_DRAFT = Draft()
_draft = msgspec.json.Decoder(Draft)


class DraftStore:
    """A draft is kept with its chat in the store; that of a chat that has not begun, in a file."""

    def __init__(self, store: ChatStore, file: Path) -> None:
        self._store = store
        self._file = file
        self._file_lock = asyncio.Lock()  # the file's drafts are written in their order

    async def load(self, chat_id: int | None) -> Draft:
        """Return the draft of a chat; None stands for the chat that has not begun.

        Raises:
            StoreError: there is no such chat, or it can't be read.
        """
        if chat_id is not None:
            kept = (await self._store.chat(chat_id)).draft.encode()
        else:
            async with self._file_lock:
                kept = await asyncio.to_thread(self._read)
        with suppress(msgspec.DecodeError):
            return _draft.decode(kept)
        return NO_DRAFT

    async def save(self, chat_id: int | None, draft: Draft) -> None:
        """Keep a draft; None stands for the chat that has not begun.

        Raises:
            StoreError: it can't be kept.
        """
        kept = b"" if draft == NO_DRAFT else msgspec.json.encode(draft)
        if chat_id is not None:
            await self._store.set_draft(chat_id, kept.decode())
            return
        async with self._file_lock:
            try:
                await asyncio.to_thread(self._write, kept)
            except OSError as error:
                reason = error.strerror or error
                raise StoreError("draft.not_kept", path=self._file, reason=reason) from error

    def _read(self) -> bytes:
        try:
            return self._file.read_bytes()
        except OSError:
            return b""

    def _write(self, encoded: bytes) -> None:
        if not encoded:
            self._file.unlink(missing_ok=True)
            return
        beside = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(encoded)
        beside.replace(self._file)
