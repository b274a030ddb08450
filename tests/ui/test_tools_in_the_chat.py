"""Tools in the chat screen: what is shown of calls and results."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from tests.fakes import FakeEngine, finished
from tests.harness import open_app

CALLS = (
    ToolCallRequested(ToolCall("calculator", '{"expression": "6 * 7"}')),
    finished(StopReason.TOOL_CALLS),
)
ANSWER = (AnswerDelta("It is 42.", 3), finished())


async def test_a_result_stands_between_the_call_and_the_answer(tmp_path: Path) -> None:
    engine = FakeEngine(CALLS, ANSWER)
    async with open_app(tmp_path, engine, options=TurnOptions(tools=("calculator",))) as app:
        await app.say("How much?")
        await app.sees("It is 42.")
        rows = "\n".join(app.rows())
        assert rows.index("▸ calculator → 42 · done") < rows.index("It is 42")
        await app.until(lambda: not app.screen.is_answering)
        await app.pilot.press("ctrl+o")
        await app.sees("▾ calculator → 42 · done")
        assert app.shows('expression: "6 * 7"')
        (chat,) = await app.store.chats()
    async with open_app(tmp_path, FakeEngine(), resume=chat.id) as app:
        await app.sees("calculator → 42")


async def test_thinking_folds_when_a_call_follows(tmp_path: Path) -> None:
    engine = FakeEngine((ReasoningDelta("It is a product.", 4), *CALLS), ANSWER)
    async with open_app(tmp_path, engine, options=TurnOptions(tools=("calculator",))) as app:
        await app.say("How much?")
        await app.sees("It is 42.")
        await app.until(lambda: not app.screen.is_answering)
        assert app.shows("▸ Thought")
        assert not app.shows("It is a product.")


async def test_one_key_has_an_answer_go_on_with_the_call_that_it_announced(tmp_path: Path) -> None:
    engine = FakeEngine((AnswerDelta("I compute it.", 3), finished()), CALLS, ANSWER)
    async with open_app(tmp_path, engine, options=TurnOptions(tools=("calculator",))) as app:
        assert not app.screen.check_action("make_call", ())
        await app.turn("How much?")
        await app.pilot.press("alt+t")
        await app.sees("It is 42.")
        await app.until(lambda: not app.screen.is_answering)
        assert [request.must_call for request in engine.requests] == [False, True, False]
        await app.turn("Thanks")
        await app.say("/make_call")
        await app.until(lambda: len(engine.requests) == 5 and not app.screen.is_answering)
        assert engine.requests[-1].must_call


async def test_without_tools_there_is_no_call_to_make(tmp_path: Path) -> None:
    async with open_app(tmp_path, FakeEngine()) as app:
        await app.turn("How much?")
        assert not app.screen.check_action("make_call", ())


async def test_a_server_that_cannot_require_calls_is_told_of(tmp_path: Path) -> None:
    engine = FakeEngine(ANSWER)
    engine.capabilities = replace(engine.capabilities, requires_calls=False)
    async with open_app(tmp_path, engine, options=TurnOptions(tools=("calculator",))) as app:
        await app.turn("How much?")
        await app.pilot.press("alt+t")
        await app.sees("made to call a tool")
        assert len(engine.requests) == 1
