from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.chat import EARLY_STOPPING_TEXT, StopReason, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.events import AnswerDelta, EngineEvent, ReasoningDelta
from qwen3_chat.request import LoadSettings
from tests.engine.requests import chat_request, collect_events, end_of, user_message

QUESTION = chat_request(user_message("How many r's in strawberries?"), mode=ThinkingMode.THINK)


def reasoning_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def answer_tokens_of(events: list[EngineEvent]) -> int:
    return end_of(events).usage.answer_tokens


@pytest.mark.parametrize("budget", [1, 16, 64, 256])
async def test_thinking_stays_within_its_budget_and_an_answer_follows(
    brooding_engine: LocalEngine, demo_vocab: Vocab, budget: int
) -> None:
    forced = [*demo_vocab.encode(EARLY_STOPPING_TEXT), demo_vocab.specials["</think>"]]
    after_mark = len(demo_vocab.encode("\n\n"))
    request = chat_request(
        *QUESTION.messages, mode=QUESTION.mode, thinking_budget=budget, max_tokens=budget + 200
    )
    events = await collect_events(events_of(brooding_engine.generate, request))
    end = end_of(events)
    assert 0 < end.usage.reasoning_tokens - len(forced) <= budget
    assert reasoning_of(events).endswith(EARLY_STOPPING_TEXT.strip())
    assert answer_tokens_of(events) > after_mark
    assert any(isinstance(event, AnswerDelta) for event in events)
    assert "".join(map(str, end.token_ids)).count("".join(map(str, forced))) == 1


async def test_thinking_ends_when_it_is_asked_to(brooding_engine: LocalEngine) -> None:
    events = []
    async with aclosing(events_of(brooding_engine.generate, QUESTION)) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, ReasoningDelta):
                await brooding_engine.end_thinking()
            if isinstance(event, AnswerDelta):
                reply.cancel()
    assert reasoning_of(events).endswith(EARLY_STOPPING_TEXT.strip())
    assert answer_tokens_of(events) > 0


async def test_an_answer_follows_even_where_the_context_ends(brooding_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(brooding_gguf), n_ctx=512), log_path)
    events = await collect_events(events_of(engine.generate, QUESTION))
    assert end_of(events).stop_reason is StopReason.CONTEXT_FULL
    assert reasoning_of(events).endswith(EARLY_STOPPING_TEXT.strip())
    assert answer_tokens_of(events) >= 512 // 8 - 2
    await engine.close()


async def test_a_budget_of_nothing_is_the_hard_switch(demo_engine: LocalEngine) -> None:
    nothing = chat_request(*QUESTION.messages, mode=ThinkingMode.THINK, thinking_budget=0, max_tokens=40)
    switched = chat_request(*QUESTION.messages, mode=ThinkingMode.NO_THINK, max_tokens=40)
    first, second = [
        await collect_events(events_of(demo_engine.generate, request)) for request in (nothing, switched)
    ]
    assert end_of(first).token_ids == end_of(second).token_ids
    assert end_of(first).mode is ThinkingMode.NO_THINK
    assert end_of(first).usage.prompt_tokens == (await demo_engine.count_tokens(nothing)).total
