"""Calls and results in the transcript: as Markdown, as a line, as a pane that folds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.session import TurnOptions
from qwen3_chat.store.records import CallRecord
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from qwen3_chat.ui.tool_entries import ShownResult, call_markdown, show_result
from tests.fakes import FakeEngine, finished
from tests.harness import open_app
from tests.session.test_tool_turns import OwnTools


def record(decision: Decision = Decision.ALLOW, *, is_error: bool = False) -> CallRecord:
    return CallRecord(0, "fetch", "{}", decision, is_error, elapsed_s=2.0)


@pytest.mark.parametrize(
    ("call", "markdown"),
    [
        (ToolCall("now", '{"place": "Tokyo"}'), '```json\nnow({"place": "Tokyo"})\n```'),
        (ToolCall("now", "{"), "```json\nnow({)\n```"),
        (ToolCall("now", "[" * 5_000), f"```json\nnow({'[' * 5_000})\n```"),
        (
            ToolCall("python", json.dumps({"code": "a = 1\nprint(a)\n"})),
            "python\n\n```python\na = 1\nprint(a)\n```",
        ),
        (
            ToolCall("python", json.dumps({"code": "print('''\n```\n''')"})),
            "python\n\n````python\nprint('''\n```\n''')\n````",
        ),
        (ToolCall("python", '{"code": 7}'), '```json\npython({"code": 7})\n```'),
        (
            ToolCall("fetch", json.dumps({"url": "https://example.com/" + "a" * 60})),
            f"""```json\nfetch({{\n  "url": "https://example.com/{"a" * 60}"\n}})\n```""",
        ),
    ],
)
def test_a_call_is_shown_as_what_it_is(call: ToolCall, markdown: str) -> None:
    assert call_markdown(call) == markdown


def test_a_short_result_stands_beside_the_name() -> None:
    assert show_result("42", record()) == ShownResult(line="fetch → 42")


def test_a_result_of_several_lines_has_a_pane() -> None:
    shown = show_result("a\nb", record())
    assert shown == ShownResult(title="fetch · 2 lines · 2.0 s", text="a\nb")


@pytest.mark.parametrize(
    ("call", "word"),
    [(record(is_error=True), "failed"), (record(Decision.DENY, is_error=True), "did not run")],
)
def test_the_title_of_a_pane_says_what_went_wrong(call: CallRecord, word: str) -> None:
    assert show_result("a\nb", call).title == f"fetch · {word} · 2 lines · 2.0 s"


@pytest.mark.parametrize(
    ("result", "is_folded"), [("a\n" * 7 + "a", False), ("a\n" * 8 + "a", True), ("a" * 2_000, True)]
)
def test_a_long_result_is_folded_at_first(result: str, is_folded: bool) -> None:
    assert show_result(result, record()).is_folded is is_folded


async def test_a_long_result_unfolds_by_the_key_of_the_thinking(tmp_path: Path) -> None:
    async def fetch(arguments: Arguments) -> str:
        return "\n".join(f"line {number}" for number in range(30))

    called = (ToolCallRequested(ToolCall("fetch", "{}")), finished(StopReason.TOOL_CALLS))
    engine = FakeEngine(called, (AnswerDelta("It is long.", 3), finished()))
    tools = OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.NOTHING)])
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, engine, (80, 50), options=options, toolbox=tools) as app:
        await app.turn("Fetch it")
        assert app.shows("▸ fetch · 30 lines")
        assert not app.shows("line 7")
        await app.pilot.press("ctrl+o")
        await app.sees("▾ fetch · 30 lines")
        assert app.shows("line 7")
        await app.pilot.press("ctrl+o")
        await app.until(lambda: not app.shows("line 7"))
