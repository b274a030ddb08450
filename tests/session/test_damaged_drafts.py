from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.session.draft_store import NO_DRAFT, Draft, DraftStore
from qwen3_chat.store import ChatStore

DAMAGED = [
    b"\xff\xfe",
    b'{"text": "\xff"}',
    b"[" * 100_000,
    b'{"text": 5}',
    b'{"text": "a", "attachments": [["n"]]}',
    b"null",
    b"1" * 10_000,
    b"",
]


@pytest.mark.parametrize("data", DAMAGED)
async def test_a_damaged_draft_is_no_draft(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "draft.json"
    file.write_bytes(data)
    store = await ChatStore.open(tmp_path / "chats.db")
    try:
        assert await DraftStore(store, file).load(None) == NO_DRAFT
    finally:
        await store.close()


async def test_a_name_that_is_no_text_is_kept_in_a_draft(tmp_path: Path) -> None:
    store = await ChatStore.open(tmp_path / "chats.db")
    draft = Draft("草莓 \ud83d", (Attachment("caf\udce9.txt", "x\n"),))
    try:
        drafts = DraftStore(store, tmp_path / "draft.json")
        chat = await store.create_chat()
        for chat_id in (None, chat.id):
            await drafts.save(chat_id, draft)
            assert await drafts.load(chat_id) == draft
    finally:
        await store.close()
