"""Tools in the chat screen: what is shown of calls and results."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
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
        assert (
            rows.index('calculator({"expression": "6 * 7"})')
            < rows.index("calculator → 42")
            < rows.index("It is 42")
        )
        await app.until(lambda: not app.screen.is_answering)
        (chat,) = await app.store.chats()
    async with open_app(tmp_path, FakeEngine(), resume=chat.id) as app:
        await app.sees("calculator → 42")
