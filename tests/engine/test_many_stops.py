from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest

from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, PrefillProgressed
from qwen3_chat.request import ChatRequest, LoadSettings
from tests.engine.requests import THINKING, chat_request, collect_events, end_of, text_of, user_message

QUICK, ALL = 12, 200
LONG = "a " * 900
CHECK = chat_request(user_message("And now?"), max_tokens=6)


@pytest.fixture
async def made_up_engine(tmp_path: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    write_model(tmp_path / "model.gguf", Shape(2, 64, 64, 2, 1, 32))
    engine = LocalEngine(LoadSettings(str(tmp_path / "model.gguf"), n_ctx=4096), log_path)
    yield engine
    await engine.close()


async def stop(engine: LocalEngine, request: ChatRequest, kind: type, at: int) -> None:
    """Stop a reply at the n-th event of a kind; it ends as cancelled, or had ended before."""
    events = []
    async with aclosing(events_of(engine.generate, request)) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, kind):
                at -= 1
                if at < 0:
                    reply.cancel()
    assert end_of(events).stop_reason in (StopReason.CANCELLED, StopReason.MAX_TOKENS)


async def interrupt_idle_time(engine: LocalEngine, request: ChatRequest) -> None:
    """Ask the next question at once, while the last answer is evaluated without its thinking."""
    events = await collect_events(events_of(engine.generate, request))
    answer = ChatMessage(Role.ASSISTANT, text_of(events), token_ids=end_of(events).token_ids)
    following = chat_request(*request.messages, answer, user_message("Really?"), max_tokens=4)
    assert (
        end_of(await collect_events(events_of(engine.generate, following))).stop_reason
        is StopReason.MAX_TOKENS
    )


async def check_stops(engine: LocalEngine, count: int) -> None:
    """Stop at random moments; each time, the next turn equals an undisturbed one."""
    random = Random(1)
    expected = end_of(await collect_events(events_of(engine.generate, CHECK))).token_ids
    ways = ["prompt evaluation", "decoding", "idle evaluation"]
    for number in range(count):
        match random.choice(ways):
            case "prompt evaluation":
                request = chat_request(user_message(f"{number} {LONG}"), max_tokens=4)
                await stop(engine, request, PrefillProgressed, random.randrange(8))
            case "decoding":
                request = chat_request(
                    user_message(f"{number}"), sampling=THINKING, seed=number, max_tokens=200
                )
                await stop(engine, request, AnswerDelta, random.randrange(5))
            case _:
                await interrupt_idle_time(engine, chat_request(user_message(f"{number}"), max_tokens=30))
        assert end_of(await collect_events(events_of(engine.generate, CHECK))).token_ids == expected


async def test_after_some_stops_the_next_turn_is_right(made_up_engine: LocalEngine) -> None:
    await check_stops(made_up_engine, QUICK)


@pytest.mark.full
async def test_after_two_hundred_stops_the_next_turn_is_right(made_up_engine: LocalEngine) -> None:
    await check_stops(made_up_engine, ALL)
