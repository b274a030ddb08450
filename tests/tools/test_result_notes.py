from __future__ import annotations

from datetime import UTC, datetime

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import CallRecord, MessageMeta, StoredMessage
from qwen3_chat.tools.built_in_tools import FILES_WRITTEN
from qwen3_chat.tools.result_notes import NoPaths, result_note


def test_the_folder_of_the_images_of_a_servers_result_is_named() -> None:
    call = CallRecord(0, "mcp:web.get", "{}", "allow", False, False, 0.1)
    message = ChatMessage(Role.TOOL, f"{FILES_WRITTEN}image-1.png]")
    stored = StoredMessage(1, 7, None, message, MessageMeta(call=call), datetime.fromtimestamp(0, UTC))
    assert result_note(stored, NoPaths()) == "Its files are in files/7"
    assert result_note(replace(stored, message=ChatMessage(Role.TOOL, "none")), NoPaths()) == ""
    fetched = replace(stored, meta=MessageMeta(call=replace(call, name="fetch")))
    assert result_note(fetched, NoPaths()) == ""
