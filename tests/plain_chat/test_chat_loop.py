from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from time import monotonic

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, LoadProgressed, ReasoningDelta, ToolCallRequested
from qwen3_chat.plain_chat.chat_loop import PlainChat
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.result_notes import NoPaths
from tests.fakes import FakeEngine, Step, finished


async def no_export() -> None:
    """Write no file."""


async def talk(
    folder: Path,
    engine: FakeEngine,
    *lines: str,
    shows_thinking: bool = True,
    options: TurnOptions | None = None,
) -> str:
    written: list[str] = []
    typed = iter(lines)

    def read_line(prompt: str) -> str | None:
        written.append(prompt)
        return next(typed, None)

    store = await ChatStore.open(folder / "chats.db")
    session = ChatSession(engine, store, lambda: 1, monotonic, options=options or TurnOptions())
    renderer = LineRenderer(written.append, monotonic, shows_thinking, NoPaths())

    async def to_its_end(turn: Coroutine[None, None, None]) -> None:
        await turn

    try:
        await PlainChat(session, store, renderer, read_line, to_its_end, no_export).run()
    finally:
        await store.close()
    return "".join(written)


async def test_thinking_and_answer_are_sections_of_whole_lines(tmp_path: Path) -> None:
    said = await talk(tmp_path, FakeEngine(), "How many?")
    assert "Thinking:\nLet me see.\nAnswer:\nIt is 3.\n(Thought 1.0 s · 2 tok · 50 tok/s)\n" in said


async def test_closed_thinking_is_only_named(tmp_path: Path) -> None:
    said = await talk(tmp_path, FakeEngine(), "How many?", shows_thinking=False)
    assert "Thinking:\nAnswer:\nIt is 3.\n" in said


async def test_nothing_is_drawn_over_and_no_box_or_spinner_appears(tmp_path: Path) -> None:
    engine = FakeEngine(loading=[LoadProgressed(fraction / 10) for fraction in range(11)])
    said = await talk(tmp_path, engine, "How many?", "/chats", "/help")
    assert not set("\r\x1b") & set(said)
    assert not {mark for mark in said if 0x2500 <= ord(mark) <= 0x28FF}
    assert said.count("Loading the model") == 2  # once for each load that this engine tells of


async def test_a_tag_alone_switches_and_the_prompt_tells_the_mode(tmp_path: Path) -> None:
    engine = FakeEngine()
    said = await talk(tmp_path, engine, "/no_think", "Hello")
    assert said.index("You, thinking on: ") < said.index("You, thinking off: ")
    assert [request.mode.value for request in engine.requests] == ["no_think"]


async def test_lines_that_end_with_a_backslash_are_one_message(tmp_path: Path) -> None:
    engine = FakeEngine()
    await talk(tmp_path, engine, "one\\", "two\\", "three")
    assert engine.requests[0].messages[-1].content == "one\ntwo\nthree"


async def test_commands_list_open_answer_again_continue_and_leave(tmp_path: Path) -> None:
    stopped: list[Step] = [ReasoningDelta("Hm.", 1), AnswerDelta("Half", 2), finished(StopReason.CANCELLED)]
    rest: list[Step] = [AnswerDelta("Half an answer", 4), finished()]
    engine = FakeEngine(stopped, rest)
    lines = (
        "First",
        "/continue",
        "/continue",
        "/new",
        "Second",
        "/again",
        "/chats",
        "/open 1",
        "/open",
        "/quit",
    )
    said = await talk(tmp_path, engine, *lines, "never read")
    for part in (
        "Stopped",
        "The last reply is complete",
        "1: First\n",
        "2: Second\n",
        "You: First\nModel: Half an answer\n",
        "Say which chat by its number",
    ):
        assert part in said
    assert len(engine.requests) == 4


async def test_a_reply_is_made_to_call_a_tool(tmp_path: Path) -> None:
    call = ToolCallRequested(ToolCall("calculator", '{"expression": "6 * 7"}'))
    engine = FakeEngine((finished(),), (call, finished(StopReason.TOOL_CALLS)), (finished(),))
    tools = TurnOptions(tools=("calculator",))
    said = await talk(tmp_path, engine, "/call", "How much?", "/call", options=tools)
    assert "No tool can be called here" in said
    assert "calculator returned: 42" in said
    assert [request.must_call for request in engine.requests] == [False, True, False]
    engine.capabilities = replace(engine.capabilities, requires_calls=False)
    assert "can't be made to call" in await talk(tmp_path, engine, "How much?", "/call", options=tools)


async def test_a_chat_that_no_longer_fits_is_asked_about(tmp_path: Path) -> None:
    engine = FakeEngine(tokens_per_message=200)
    lines = ("one", "two", "three", "drop")
    said = await talk(tmp_path, engine, *lines)
    assert "Type one of drop" in said
    assert len(engine.requests) == 3


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (
            (ReasoningDelta("Hm.", 1), finished()),
            "The model stopped while thinking and gave no answer. /again asks for another reply;",
        ),
        ((finished(),), "The model sent an empty reply. /again asks for another reply."),
        (
            (ReasoningDelta("Hm.", 1), finished(StopReason.MAX_TOKENS)),
            "Reached the token limit while thinking, before any answer. /continue goes on",
        ),
        (
            (AnswerDelta("It", 1), finished(StopReason.CONTEXT_FULL)),
            "the context was full. /continue makes room",
        ),
    ],
)
async def test_a_reply_that_is_no_whole_answer_says_so_with_the_way_out(
    tmp_path: Path, reply: Sequence[Step], sentence: str
) -> None:
    assert sentence in await talk(tmp_path, FakeEngine(reply), "How many?")
    assert "no answer" not in await talk(tmp_path, FakeEngine(), "How many?")
