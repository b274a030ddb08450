from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import psutil

from qwen3_chat.chat import StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, LoadProgressed, PrefillProgressed, TurnFinished
from qwen3_chat.request import LoadSettings
from tests.engine import model_files
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

LARGE_FILE_BYTES = 4 << 30


async def test_a_reply_stops_in_the_midst_and_keeps_what_arrived(endless_engine: LocalEngine) -> None:
    events = []
    async with aclosing(endless_engine.generate(chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta):
                await endless_engine.cancel()
    end = end_of(events)
    assert end.stop_reason is StopReason.CANCELLED
    assert text_of(events)
    assert len(end.token_ids) == end.usage.answer_tokens > 0


async def test_a_turn_after_a_stop_equals_one_without(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"), max_tokens=10)
    undisturbed = text_of(await collect_events(endless_engine.generate(request)))
    async with aclosing(
        endless_engine.generate(chat_request(user_message("Something else entirely")))
    ) as reply:
        async for event in reply:
            if isinstance(event, AnswerDelta):
                await endless_engine.cancel()
    assert text_of(await collect_events(endless_engine.generate(request))) == undisturbed


async def test_the_evaluation_of_a_prompt_stops(endless_engine: LocalEngine) -> None:
    await collect_events(endless_engine.load())
    events = []
    async with aclosing(
        endless_engine.generate(chat_request(user_message("Tell me everything. " * 140)))
    ) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, PrefillProgressed) and event.done == 0:
                await endless_engine.cancel()
    assert end_of(events).stop_reason is StopReason.CANCELLED
    again = await collect_events(endless_engine.generate(chat_request(user_message("Hi"), max_tokens=5)))
    assert end_of(again).stop_reason is StopReason.MAX_TOKENS


async def test_a_load_stops_before_it_began(demo_engine: LocalEngine) -> None:
    loading = asyncio.create_task(collect_events(demo_engine.load()))
    await asyncio.sleep(0)
    await demo_engine.cancel()
    assert (await loading)[-1] == EngineFailed("engine.load_cancelled")
    assert demo_engine.model is None


async def test_a_load_stops_in_the_midst(demo_gguf: Path, log_path: Path, tmp_path: Path) -> None:
    path = model_files.make(tmp_path / "large.gguf", demo_gguf)
    size_bytes = min(LARGE_FILE_BYTES, psutil.virtual_memory().available // 2)  # more is not read at first
    model_files.stretch(path, size_bytes)
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    events = []
    async with aclosing(engine.load()) as loading:
        async for event in loading:
            events.append(event)
            if isinstance(event, LoadProgressed) and event.fraction > 0:
                await engine.cancel()
    assert events[-1] == EngineFailed("engine.load_cancelled")
    assert not any(isinstance(event, LoadProgressed) and event.fraction == 1 for event in events)
    await engine.close()


async def test_a_load_can_be_tried_again_after_a_stop(demo_engine: LocalEngine) -> None:
    loading = asyncio.create_task(collect_events(demo_engine.load()))
    await asyncio.sleep(0)
    await demo_engine.cancel()
    await loading
    assert all(isinstance(event, LoadProgressed) for event in await collect_events(demo_engine.load()))
    assert demo_engine.model is not None


async def test_a_reply_that_still_waits_for_its_model_ends_as_cancelled(demo_engine: LocalEngine) -> None:
    first = asyncio.create_task(collect_events(demo_engine.load()))
    second = asyncio.create_task(collect_events(demo_engine.generate(chat_request(user_message("Hi")))))
    await asyncio.sleep(0)
    await demo_engine.cancel()
    assert (await first)[-1] == EngineFailed("engine.load_cancelled")
    end = end_of(await second)
    assert (end.stop_reason, end.seed, end.token_ids) == (StopReason.CANCELLED, 1, ())


async def test_a_reply_that_nobody_listens_to_is_stopped(endless_engine: LocalEngine) -> None:
    async with aclosing(endless_engine.generate(chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            if isinstance(event, AnswerDelta):
                break
    events = await collect_events(endless_engine.generate(chat_request(user_message("Hi"), max_tokens=3)))
    assert end_of(events).stop_reason is StopReason.MAX_TOKENS


async def test_a_cancelled_task_stops_its_reply(endless_engine: LocalEngine) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(endless_engine.generate(chat_request(user_message("Hi")))) as reply:
            async for event in reply:
                if isinstance(event, AnswerDelta):
                    started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    events = await collect_events(endless_engine.generate(chat_request(user_message("Hi"), max_tokens=3)))
    assert end_of(events).stop_reason is StopReason.MAX_TOKENS


async def test_closing_ends_a_running_reply(endless_engine: LocalEngine) -> None:
    events = []
    async with aclosing(endless_engine.generate(chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta):
                await endless_engine.close()
    assert isinstance(events[-1], TurnFinished | EngineFailed)
    assert endless_engine.pid is None


async def test_stopping_nothing_does_nothing(demo_engine: LocalEngine) -> None:
    await demo_engine.cancel()
    await demo_engine.end_thinking()
    await collect_events(demo_engine.load())
    await demo_engine.cancel()
    assert end_of(
        await collect_events(demo_engine.generate(chat_request(user_message("Hi"), max_tokens=2)))
    ).token_ids
