"""A chat that was imported with a call that has no result: nothing runs, and the chat goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from qwen3_chat.chat import Role
from qwen3_chat.documents.chat_import import read_chat_file
from qwen3_chat.events import AnswerDelta
from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore
from tests.fakes import FakeEngine, finished


async def test_a_call_of_a_file_is_not_run(tmp_path: Path) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "python", "arguments": '{"code": "1"}'}}
    messages = [
        {"role": "user", "content": "3 + 4?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    file = tmp_path / "chat.json"
    file.write_text(json.dumps({"messages": messages}), "utf-8")
    store = await ChatStore.open(tmp_path / "chats.db")
    (chat_id,) = await store.import_chats(read_chat_file(file, datetime.now(UTC)).chats)
    engine = FakeEngine([AnswerDelta("Seven."), finished()])
    session = ChatSession(engine, store, lambda: 1, monotonic)
    await session.resume(chat_id)
    await session.send("Well?", lambda event: None)
    result = (await store.branch(chat_id))[2]
    assert result.message.role is Role.TOOL
    assert result.meta.call is not None
    assert (result.meta.call.decision, result.meta.call.is_error) == ("deny", True)
    assert [stored.message.content for stored in session.messages[3:]] == ["Well?", "Seven."]
    await store.close()
