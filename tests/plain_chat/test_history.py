"""The messages of a stored chat, read out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.store import MessageMeta, StoredMessage
from qwen3_chat.store.records import CallRecord, WholeResult
from qwen3_chat.tools.result_notes import NoPaths

CALL = ToolCall("calculator", '{"expression": "6 * 7"}')
RECORD = CallRecord(0, CALL.name, CALL.arguments, "allowed_by_rule")


class Paths(NoPaths):
    """A store that saved each result."""

    def result_path(self, result: WholeResult) -> Path | None:
        return Path("/results/one")


def test_calls_and_results_are_part_of_it() -> None:
    messages = (
        (ChatMessage(Role.USER, "How much?"), MessageMeta()),
        (ChatMessage(Role.ASSISTANT, "", "A tool.", (CALL,)), MessageMeta()),
        (ChatMessage(Role.TOOL, "42\x1b[2J"), MessageMeta(call=replace(RECORD, whole=WholeResult(9_000)))),
        (ChatMessage(Role.ASSISTANT, "It is 42."), MessageMeta()),
    )
    written = list[str]()
    renderer = LineRenderer(written.append, lambda: 0.0, shows_thinking=True, paths=Paths())
    renderer.write_history(
        tuple(
            StoredMessage(number, 1, number - 1 or None, message, meta, datetime.now(UTC))
            for number, (message, meta) in enumerate(messages, 1)
        )
    )
    assert "".join(written).splitlines() == [
        "You: How much?",
        'calculator({"expression": "6 * 7"})',
        "calculator returned: 42\ufffd[2J",
        "The whole result, 9,000 characters: /results/one",
        "Model: It is 42.",
    ]
