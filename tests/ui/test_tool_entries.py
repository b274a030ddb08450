"""Calls and results in the transcript: panes that fold, with arguments, state, time and result."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.session import TurnOptions
from qwen3_chat.store.records import CallRecord, MessageMeta, StoredMessage
from qwen3_chat.tools.call_context import current_call
from qwen3_chat.tools.call_state import CallState
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.result_notes import NoPaths
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from qwen3_chat.tools.tool_runner import STOPPED_CALL
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.ui.message_entries import entries_from_branch
from qwen3_chat.ui.readable_result import make_readable
from qwen3_chat.ui.tool_entries import call_entry, code_markdown, result_entry
from tests.fakes import FakeEngine, finished
from tests.harness import open_app
from tests.session.test_tool_turns import OwnTools


def stored(number: int, message: ChatMessage, record: CallRecord | None = None) -> StoredMessage:
    moment = datetime.fromtimestamp(0, UTC)
    return StoredMessage(number, 1, number - 1 or None, message, MessageMeta(call=record), moment)


def shown(
    result: str, decision: Decision = Decision.ALLOW, *, is_error: bool = False, is_repaired: bool = False
) -> MessageEntry:
    record = CallRecord(0, "fetch", '{"url": "https://a.example/"}', decision, is_error, is_repaired, 2.0)
    return result_entry(stored(1, ChatMessage(Role.TOOL, result), record))


@pytest.mark.parametrize(
    ("call", "markdown"),
    [
        (ToolCall("now", '{"place": "Tokyo"}'), ""),
        (ToolCall("python", '{"code": 7}'), ""),
        (ToolCall("python", "{"), ""),
        (ToolCall("python", json.dumps({"code": "a = 1\nprint(a)\n"})), "```python\na = 1\nprint(a)\n```"),
        (
            ToolCall("python", json.dumps({"code": "print('''\n```\n''')"})),
            "````python\nprint('''\n```\n''')\n````",
        ),
    ],
)
def test_source_is_shown_as_code(call: ToolCall, markdown: str) -> None:
    assert code_markdown(call) == markdown


def test_a_short_result_stands_in_the_title_and_the_arguments_in_the_pane() -> None:
    entry = shown("42")
    assert entry.reasoning_header == "fetch → 42 · done · 2.0 s"
    assert entry.reasoning == 'url: "https://a.example/"\n\n42'
    assert entry.is_folded


def test_a_result_of_several_lines_tells_how_many() -> None:
    entry = shown("a\nb")
    assert entry.reasoning_header == "fetch · done · 2 lines · 2.0 s"
    assert not entry.is_folded


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (shown("no such page", is_error=True), "failed"),
        (shown("The user does not allow this call.", Decision.DENY, is_error=True), "did not run"),
        (shown(STOPPED_CALL, Decision.DENY, is_error=True), "stopped"),
    ],
)
def test_what_went_wrong_is_said_in_words_and_can_be_read_at_once(entry: MessageEntry, words: str) -> None:
    assert entry.reasoning_header == f"fetch · {words} · 2.0 s"
    assert not entry.is_folded


def test_a_call_that_was_repaired_or_changed_says_so() -> None:
    assert shown("42", is_repaired=True).reasoning_header == "fetch → 42 · done · repaired · 2.0 s"
    assert shown("42", Decision.EDITED).reasoning_header == "fetch → 42 · done · changed by you · 2.0 s"


@pytest.mark.parametrize(
    ("result", "is_folded"), [("a\n" * 7 + "a", False), ("a\n" * 8 + "a", True), ("a" * 2_000, True)]
)
def test_a_long_result_is_folded_at_first(result: str, is_folded: bool) -> None:
    assert shown(result).is_folded is is_folded


@pytest.mark.parametrize("arguments", ["{", "[" * 5_000, "no JSON"])
def test_arguments_that_cannot_be_read_are_shown_as_they_came(arguments: str) -> None:
    entry = call_entry(ToolCall("now", arguments), CallState.WAITING)
    assert (entry.reasoning_header, entry.reasoning) == ("now · waiting", arguments)


def test_a_call_without_a_result_has_a_pane_behind_the_results_of_its_reply() -> None:
    calls = tuple(ToolCall("now", f'{{"place": "{place}"}}') for place in ("Rome", "Oslo"))
    reply = stored(1, ChatMessage(Role.ASSISTANT, "", tool_calls=calls))
    record = CallRecord(0, "now", calls[0].arguments, Decision.ALLOWED_BY_RULE)
    branch = [reply, stored(2, ChatMessage(Role.TOOL, "noon"), record)]
    branch += [stored(3, ChatMessage(Role.USER, "Go on"))]
    panes = [(entry.role, entry.reasoning_header) for entry in entries_from_branch(branch, NoPaths())]
    assert panes == [
        ("assistant", ""),
        ("tool", "now → noon · done"),
        ("tool", "now · result unknown"),
        ("user", ""),
    ]


@pytest.mark.parametrize(
    ("result", "readable"),
    [
        ("plain | text", "plain | text"),
        ('{"a": 1}', '{"a": 1}'),
        (
            '{"name": "\\u4e2d\\u6587", "figures": [1.50, 12345678901234567890], "none": null, "empty": {}}',
            '{\n  "name": "中文",\n  "figures": [\n    1.50,\n    12345678901234567890\n  ],\n'
            '  "none": null,\n  "empty": {}\n}',
        ),
        ('{"a": "\\u0000\\u202e", "long": "' + "x" * 60 + '"}', None),
        ("[" * 5_000 + "]" * 5_000, "[" * 5_000 + "]" * 5_000),
        ("| a | long |\n|---|:-:|\n| 中文 | b |", "a    │ long\n─────┼─────\n中文 │ b"),
        ("a\tb\nlonger\tc", "a      │ b\nlonger │ c"),
        ("one\ttab", "one\ttab"),
        ("| a |\n" + "| " + "x" * 200 + " |", "| a |\n" + "| " + "x" * 200 + " |"),
    ],
)
def test_json_and_tables_are_made_readable(result: str, readable: str | None) -> None:
    made = make_readable(result)
    if readable is None:
        assert "\\u0000\\u202e" in made
        assert "\n" in made
    else:
        assert made == readable


def fetching(arguments: str = "{}") -> FakeEngine:
    called = (ToolCallRequested(ToolCall("fetch", arguments)), finished(StopReason.TOOL_CALLS))
    return FakeEngine(called, (AnswerDelta("It is long.", 3), finished()))


async def test_a_long_result_unfolds_by_the_key_of_the_thinking(tmp_path: Path) -> None:
    async def fetch(arguments: Arguments) -> str:
        return "\n".join(f"line {number}" for number in range(30))

    tools = OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.NOTHING)])
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching(), (80, 50), options=options, toolbox=tools) as app:
        await app.turn("Fetch it")
        assert app.shows("▸ fetch · done · 30 lines")
        assert not app.shows("line 7")
        await app.pilot.press("ctrl+o")
        await app.sees("▾ fetch · done · 30 lines")
        assert app.shows("line 7")
        await app.pilot.press("ctrl+o")
        await app.until(lambda: not app.shows("line 7"))


async def test_the_pane_of_a_call_tells_how_far_it_has_come(tmp_path: Path) -> None:
    may_end = asyncio.Event()

    async def fetch(arguments: Arguments) -> str:
        current_call.get().report(1, 4, "first [b]page")
        await may_end.wait()
        return "all pages"

    tools = OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.NOTHING)])
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching('{"n": 3}'), options=options, toolbox=tools) as app:
        await app.say("Fetch it")
        await app.sees("▸ fetch · running")
        await app.sees("25% · first [b]page")
        await app.pilot.press("ctrl+o")
        await app.sees("n: 3")
        may_end.set()
        await app.sees("▾ fetch → all pages · done")  # what the reader has unfolded stays so
        await app.until(lambda: not app.screen.is_answering)


async def test_the_pane_of_a_call_says_that_it_waits_for_an_answer_and_that_it_was_stopped(
    tmp_path: Path,
) -> None:
    async def fetch(arguments: Arguments) -> str:
        return "never"

    tools = OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.OUTSIDE)])
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching(), options=options, toolbox=tools) as app:
        await app.say("Fetch it")
        await app.sees("Run fetch?")
        headers = [view.reasoning_header for view in app.screen.transcript.transcript_layout.message_views]
        assert "fetch · waiting for your answer" in headers
        await app.until(lambda: getattr(app.app.screen, "is_armed", False))
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        await app.sees("fetch · stopped")
