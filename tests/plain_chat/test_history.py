"""The messages of a stored chat, read out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.record_copies import replace
from qwen3_chat.store import MessageMeta, StoredMessage
from qwen3_chat.store.records import CallRecord, WholeResult
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.result_notes import NoPaths
from qwen3_chat.tools.tool_runner import STOPPED_CALL

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
        'The model calls calculator({"expression": "6 * 7"})',
        "calculator returned: 42\ufffd[2J",
        "The whole result, 9,000 characters: /results/one",
        "Model: It is 42.",
    ]


@pytest.mark.parametrize(
    ("decision", "is_error", "result", "line"),
    [
        (Decision.ALLOW, False, "42", "After 2.0 s: calculator returned: 42"),
        (Decision.ALLOW, True, "No.", "After 2.0 s: calculator failed: No."),
        (Decision.DENY, True, "Not allowed.", "After 2.0 s: calculator did not run: Not allowed."),
        (Decision.DENY, True, STOPPED_CALL, f"After 2.0 s: calculator was stopped: {STOPPED_CALL}"),
    ],
)
def test_the_state_of_a_call_is_said_in_words(
    decision: Decision, is_error: bool, result: str, line: str
) -> None:
    written = list[str]()
    renderer = LineRenderer(written.append, lambda: 0.0, shows_thinking=True, paths=Paths())
    record = replace(RECORD, decision=decision, is_error=is_error, elapsed_s=2.0)
    message = StoredMessage(
        1, 1, None, ChatMessage(Role.TOOL, result), MessageMeta(call=record), datetime.now(UTC)
    )
    renderer.write_history((message,))
    assert written == [f"{line}\n"]
