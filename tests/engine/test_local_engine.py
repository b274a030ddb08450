from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import (
    AnswerDelta,
    EngineFailed,
    LoadProgressed,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
)
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings, ToolSpec
from tests.engine import model_files
from tests.engine.requests import (
    THINKING,
    assistant_message,
    chat_request,
    collect_events,
    end_of,
    text_of,
    user_message,
)

LONG = user_message("Tell me everything. " * 40)


async def test_loading_shows_progress_and_describes_the_model(
    demo_engine: LocalEngine, demo_gguf: Path
) -> None:
    fractions = [
        event.fraction async for event in events_of(demo_engine.load) if isinstance(event, LoadProgressed)
    ]
    header = read_file(demo_gguf)
    model = demo_engine.model
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert model is not None
    assert (model.name, model.quant, model.architecture) == (header.name, "Q8_0", "qwen3")
    assert (model.n_layers, model.parameters, model.is_demo) == (header.n_layers, header.parameters, True)
    assert model.n_ctx == model.n_ctx_train == header.n_ctx_train


async def test_a_model_that_is_loaded_is_not_loaded_again(demo_engine: LocalEngine) -> None:
    await collect_events(events_of(demo_engine.load))
    process = demo_engine.pid
    assert await collect_events(events_of(demo_engine.load)) == []
    assert demo_engine.pid == process


async def test_two_who_wait_for_the_model_load_it_once(demo_engine: LocalEngine) -> None:
    both = await asyncio.gather(
        collect_events(events_of(demo_engine.load)), collect_events(events_of(demo_engine.load))
    )
    assert sorted(map(bool, both)) == [False, True]


async def test_a_reply_loads_the_model_first(demo_engine: LocalEngine) -> None:
    events = await collect_events(
        events_of(demo_engine.generate, chat_request(user_message("Hi"), max_tokens=4))
    )
    assert isinstance(events[0], LoadProgressed)
    assert end_of(events).timings.load_s > 0
    again = await collect_events(
        events_of(demo_engine.generate, chat_request(user_message("Hi"), max_tokens=4))
    )
    assert end_of(again).timings.load_s == 0


async def test_a_reply_is_counted_to_the_token(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"), max_tokens=20)
    await collect_events(events_of(endless_engine.load))
    measure = await endless_engine.count_tokens(request)
    events = await collect_events(events_of(endless_engine.generate, request))
    end = end_of(events)
    prefill = [event for event in events if isinstance(event, PrefillProgressed)]
    answer = [event for event in events if isinstance(event, AnswerDelta)]
    assert measure.exact
    assert measure.total == end.usage.prompt_tokens == prefill[-1].done == prefill[-1].total
    assert (end.stop_reason, end.usage.answer_tokens) == (StopReason.MAX_TOKENS, 20)
    assert len(end.token_ids) == 20
    assert [delta.tokens for delta in answer] == sorted(delta.tokens for delta in answer)
    assert end.timings.tokens_per_s > 0
    assert 0 < end.timings.prefill_s <= end.timings.first_token_s


async def test_the_demo_model_thinks_before_it_answers(demo_engine: LocalEngine) -> None:
    question = chat_request(
        user_message("How many r's in strawberries?"), mode=ThinkingMode.THINK, max_tokens=1000
    )
    events = await collect_events(events_of(demo_engine.generate, question))
    kinds = [type(event) for event in events if isinstance(event, ReasoningDelta | AnswerDelta)]
    end = end_of(events)
    assert kinds == sorted(kinds, key=[ReasoningDelta, AnswerDelta].index)
    assert {ReasoningDelta, AnswerDelta} <= set(kinds)
    assert end.stop_reason is StopReason.END_OF_TURN
    assert end.usage.reasoning_tokens > 0
    assert end.usage.answer_tokens > 0
    assert end.timings.reasoning_s > 0


async def test_the_hard_switch_leaves_no_thinking(demo_engine: LocalEngine) -> None:
    question = chat_request(user_message("How many r's in strawberries?"), max_tokens=200)
    events = await collect_events(events_of(demo_engine.generate, question))
    assert end_of(events).usage.reasoning_tokens == 0
    assert end_of(events).mode is ThinkingMode.NO_THINK


async def test_the_same_seed_gives_the_same_text(endless_gguf: Path, log_path: Path) -> None:
    # Where the cells of a chat lie, and how many threads there are, decides how sums are rounded; the first
    # depends on how far the idle time went, the second on other programs. In 20 tokens no draw is that close.
    engine = LocalEngine(LoadSettings(str(endless_gguf), n_threads=1), log_path)
    request = chat_request(user_message("Hi"), sampling=THINKING, seed=7, max_tokens=20)
    first, second, other = [
        text_of(await collect_events(events_of(engine.generate, r)))
        for r in (request, request, replace(request, seed=8))
    ]
    await engine.close()
    assert first == second != other


async def test_evaluated_tokens_are_used_again_and_change_nothing(
    demo_engine: LocalEngine, demo_gguf: Path, tmp_path: Path
) -> None:
    first = chat_request(user_message("How many r's in strawberries?"), max_tokens=200)
    answer = text_of(await collect_events(events_of(demo_engine.generate, first)))
    second = chat_request(*first.messages, assistant_message(answer), user_message("Really?"), max_tokens=200)
    with_reuse = await collect_events(events_of(demo_engine.generate, second))
    fresh_engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "fresh.log")
    fresh = await collect_events(events_of(fresh_engine.generate, second))
    await fresh_engine.close()
    assert end_of(with_reuse).usage.reused_tokens > 0 == end_of(fresh).usage.reused_tokens
    assert end_of(with_reuse).token_ids == end_of(fresh).token_ids
    assert text_of(with_reuse) == text_of(fresh)


async def test_an_unchanged_prompt_leaves_one_token_to_evaluate(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"), max_tokens=10)
    first, second = [await collect_events(events_of(endless_engine.generate, request)) for _ in range(2)]
    assert end_of(second).usage.reused_tokens == end_of(first).usage.prompt_tokens - 1
    assert text_of(second) == text_of(first)


async def test_a_full_context_ends_the_reply(endless_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(endless_gguf), n_ctx=256), log_path)
    events = await collect_events(events_of(engine.generate, chat_request(user_message("Hi"))))
    end = end_of(events)
    assert engine.model is not None
    assert end.stop_reason is StopReason.CONTEXT_FULL
    assert end.usage.context_tokens - engine.model.n_ctx in (0, 1)  # the last token need not be evaluated
    await engine.close()


async def test_a_prompt_that_does_not_fit_is_refused(endless_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(endless_gguf), n_ctx=256), log_path)
    events = await collect_events(events_of(engine.generate, chat_request(LONG)))
    failure = events[-1]
    assert isinstance(failure, EngineFailed)
    assert failure.code == ErrorCode.PROMPT_TOO_LONG
    assert end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=2)))
    ).token_ids
    await engine.close()


async def test_more_context_than_the_model_knows_is_not_given(demo_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf), n_ctx=1_000_000), log_path)
    events = await collect_events(events_of(engine.load))
    assert engine.model is not None
    assert engine.model.n_ctx == engine.model.n_ctx_train
    assert [event.key for event in events if isinstance(event, Notice)] == ["engine.context_capped"]
    await engine.close()


async def test_counting_goes_on_while_a_reply_is_written(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"))
    async with aclosing(events_of(endless_engine.generate, request)) as events:
        async for event in events:
            if isinstance(event, AnswerDelta):
                break
        assert (await endless_engine.count_tokens(request)).total > 0
        devices = await endless_engine.devices()
        events.cancel()
        rest = [event async for event in events]
    assert devices[-1].kind == "cpu"
    assert end_of(rest).stop_reason is StopReason.CANCELLED


async def test_two_replies_at_once_are_refused(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"))
    async with aclosing(events_of(endless_engine.generate, request)) as events:
        await anext(events)
        with pytest.raises(EngineError, match=r"^The engine is still writing another reply\.$"):
            await endless_engine.generate(request, lambda event: None)


async def test_a_request_that_cannot_be_rendered_is_refused(demo_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"), tools=(ToolSpec("{"),))
    await collect_events(events_of(demo_engine.load))
    with pytest.raises(EngineError) as refusal:
        await demo_engine.count_tokens(request)
    assert refusal.value.code == ErrorCode.TOOL_SCHEMA_INVALID
    events = await collect_events(events_of(demo_engine.generate, request))
    assert isinstance(events[-1], EngineFailed)
    assert end_of(
        await collect_events(events_of(demo_engine.generate, chat_request(user_message("Hi"), max_tokens=2)))
    ).token_ids


async def test_half_a_character_is_refused_with_a_sentence(demo_engine: LocalEngine) -> None:
    events = await collect_events(events_of(demo_engine.generate, chat_request(user_message("\ud800"))))
    assert events[-1] == EngineFailed("engine.text_not_unicode")


async def test_a_long_message_reaches_the_worker_in_one_piece(demo_engine: LocalEngine) -> None:
    text = "长" * 200_000
    request = chat_request(ChatMessage(Role.SYSTEM, text), user_message("Hi"))
    await collect_events(events_of(demo_engine.load))
    assert (await demo_engine.count_tokens(request)).total > 200_000


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("leaves_out", [True, False])
async def test_tools_that_a_template_leaves_out_are_told_of_once(
    demo_gguf: Path, log_path: Path, tmp_path: Path, leaves_out: bool
) -> None:
    """SmolLM2's template has no place for them: the model guessed, and nothing said why."""

    def change(data: bytes) -> bytes:
        return model_files.with_text(data, "tokenizer.chat_template", CHATML) if leaves_out else data

    path = model_files.make(tmp_path / "x.gguf", demo_gguf, change)
    tool = ToolSpec('{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}')
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    plain = chat_request(user_message("Hi"), max_tokens=3)
    told = []
    for request in (plain, replace(plain, tools=(tool,)), replace(plain, tools=(tool,))):
        events = await collect_events(events_of(engine.generate, request))
        told.append(Notice("engine.tools_left_out") in events)
    assert told == [False, leaves_out, False]
    await engine.close()


async def test_a_model_of_another_family_gets_a_notice(
    demo_gguf: Path, log_path: Path, tmp_path: Path
) -> None:
    path = model_files.make(tmp_path / "x.gguf", demo_gguf, model_files.of_unknown_architecture)
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    events = await collect_events(events_of(engine.load))
    assert Notice("engine.not_qwen3", {"name": "x.gguf", "architecture": "qwenX"}) in events
    await engine.close()


@pytest.mark.parametrize(
    ("title", "file", "name"),
    [
        ("Checkpoint 1500", "Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B"),
        ("Qwen3 for tests", "file-Q8_0.gguf", "Qwen3 for tests"),
    ],
)
async def test_a_model_is_named_by_its_file_where_the_header_names_none(
    demo_gguf: Path, log_path: Path, tmp_path: Path, title: str, file: str, name: str
) -> None:
    path = model_files.make(
        tmp_path / file, demo_gguf, lambda data: model_files.with_text(data, "general.name", title)
    )
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    await collect_events(events_of(engine.load))
    assert engine.model is not None
    assert (engine.model.name, engine.model.title) == (name, f"{name} Q8_0")
    await engine.close()
