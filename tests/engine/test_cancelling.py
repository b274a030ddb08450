from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import psutil

from event_stream import events_of
from qwen3_chat.chat import StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, LoadProgressed, PrefillProgressed, TurnFinished
from qwen3_chat.request import LoadSettings
from tests.engine import model_files
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

LARGE_FILE_BYTES = 4 << 30


async def test_a_reply_stops_in_the_midst_and_keeps_what_arrived(endless_engine: LocalEngine) -> None:
    events = []
    async with aclosing(events_of(endless_engine.generate, chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta):
                reply.cancel()
    end = end_of(events)
    assert end.stop_reason is StopReason.CANCELLED
    assert text_of(events)
    assert len(end.token_ids) == end.usage.answer_tokens > 0


async def test_a_turn_after_a_stop_equals_one_without(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"), max_tokens=10)
    undisturbed = text_of(await collect_events(events_of(endless_engine.generate, request)))
    async with aclosing(
        events_of(endless_engine.generate, chat_request(user_message("Something else entirely")))
    ) as reply:
        async for event in reply:
            if isinstance(event, AnswerDelta):
                reply.cancel()
    assert text_of(await collect_events(events_of(endless_engine.generate, request))) == undisturbed


async def test_the_evaluation_of_a_prompt_stops(endless_engine: LocalEngine) -> None:
    await collect_events(events_of(endless_engine.load))
    events = []
    async with aclosing(
        events_of(endless_engine.generate, chat_request(user_message("Tell me everything. " * 140)))
    ) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, PrefillProgressed) and event.done == 0:
                reply.cancel()
    assert end_of(events).stop_reason is StopReason.CANCELLED
    again = await collect_events(
        events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=5))
    )
    assert end_of(again).stop_reason is StopReason.MAX_TOKENS


async def test_a_load_stops_before_it_began(demo_engine: LocalEngine) -> None:
    loading = asyncio.create_task(demo_engine.load(lambda event: None))
    await asyncio.sleep(0)
    loading.cancel()
    await asyncio.wait({loading})
    assert loading.cancelled()
    assert demo_engine.model is None


async def test_a_load_stops_in_the_midst(demo_gguf: Path, log_path: Path, tmp_path: Path) -> None:
    path = model_files.make(tmp_path / "large.gguf", demo_gguf)
    size_bytes = min(LARGE_FILE_BYTES, psutil.virtual_memory().available // 2)  # more is not read at first
    model_files.stretch(path, size_bytes)
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    events = []
    async with aclosing(events_of(engine.load)) as loading:
        async for event in loading:
            events.append(event)
            if isinstance(event, LoadProgressed) and event.fraction > 0:
                loading.cancel()
        assert loading.is_cancelled
    assert not any(isinstance(event, LoadProgressed) and event.fraction == 1 for event in events)
    await engine.close()


async def test_a_load_can_be_tried_again_after_a_stop(demo_engine: LocalEngine) -> None:
    loading = asyncio.create_task(demo_engine.load(lambda event: None))
    await asyncio.sleep(0)
    loading.cancel()
    await asyncio.wait({loading})
    assert all(
        isinstance(event, LoadProgressed) for event in await collect_events(events_of(demo_engine.load))
    )
    assert demo_engine.model is not None


async def test_a_reply_that_still_waits_for_its_model_ends_when_it_is_cancelled(
    demo_engine: LocalEngine,
) -> None:
    first = asyncio.create_task(demo_engine.load(lambda event: None))
    second = asyncio.create_task(demo_engine.generate(chat_request(user_message("Hi")), lambda event: None))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.wait({first, second})
    assert (first.cancelled(), second.cancelled()) == (True, True)
    assert demo_engine.model is None


async def test_a_load_goes_on_for_a_reply_that_waits_for_it(demo_engine: LocalEngine) -> None:
    first = asyncio.create_task(demo_engine.load(lambda event: None))
    request = chat_request(user_message("Hi"), max_tokens=2)
    second = asyncio.create_task(demo_engine.generate(request, lambda event: None))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).token_ids


async def test_a_reply_that_nobody_listens_to_is_stopped(endless_engine: LocalEngine) -> None:
    async with aclosing(events_of(endless_engine.generate, chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            if isinstance(event, AnswerDelta):
                break
    events = await collect_events(
        events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=3))
    )
    assert end_of(events).stop_reason is StopReason.MAX_TOKENS


async def test_a_cancelled_task_stops_its_reply(endless_engine: LocalEngine) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(events_of(endless_engine.generate, chat_request(user_message("Hi")))) as reply:
            async for event in reply:
                if isinstance(event, AnswerDelta):
                    started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    events = await collect_events(
        events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=3))
    )
    assert end_of(events).stop_reason is StopReason.MAX_TOKENS


async def test_closing_ends_a_running_reply(endless_engine: LocalEngine) -> None:
    events = []
    async with aclosing(events_of(endless_engine.generate, chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta):
                await endless_engine.close()
    assert isinstance(events[-1], TurnFinished | EngineFailed)
    assert endless_engine.pid is None


async def test_ending_the_thinking_of_nothing_does_nothing(demo_engine: LocalEngine) -> None:
    await demo_engine.end_thinking()
    request = chat_request(user_message("Hi"), max_tokens=2)
    assert end_of(await collect_events(events_of(demo_engine.generate, request))).token_ids
