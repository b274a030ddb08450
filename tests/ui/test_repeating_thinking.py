from __future__ import annotations

import asyncio

from qwen3_chat.events import ReasoningDelta
from qwen3_chat.texts import t
from tests.fakes import FakeEngine
from tests.harness import Start

LOOP = "Let me check that once more: I have to add both of the numbers that the user gave me. "


async def test_thinking_that_repeats_itself_is_reported_with_the_way_out(start: Start) -> None:
    never = asyncio.Event()
    async with start(FakeEngine([*(ReasoningDelta(LOOP, 20) for _ in range(9)), never])) as harness:
        await harness.say("Go")
        await harness.sees(t("ui.notice.repeats")[:20])
        assert "Ctrl+G" in t("ui.notice.repeats")
        assert harness.screen.check_action("answer_now", ())
        never.set()
