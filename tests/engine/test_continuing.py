from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from benchmarks.in_process import Turn, clear_context, open_model, reply_to, use_idle_time
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine import wire
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.events import AnswerDelta, EngineFailed, PrefillProgressed, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from tests.engine.agreement import check_agree
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

QUESTION = chat_request(
    user_message("How many r's in strawberries?"), mode=ThinkingMode.THINK, max_tokens=400
)


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log")


@pytest.fixture(scope="module")
def whole(model: LlamaModel) -> ChatMessage:
    clear_context(model)
    turn = reply_to(model, QUESTION)
    assert turn.stop_reason is StopReason.END_OF_TURN
    assert turn.message.reasoning
    assert turn.message.content
    return turn.message


def check_is_whole(model: LlamaModel, turn: Turn, whole: ChatMessage) -> None:
    """Check that a reply in two parts is equal to one that was never stopped."""
    check_agree(model, replace(turn, request=QUESTION), replace(turn, request=QUESTION, message=whole))


def continued(request: ChatRequest, message: ChatMessage) -> ChatRequest:
    return replace(request, prefix=message, max_tokens=400)


def evaluated_for(model: LlamaModel, request: ChatRequest) -> int:
    """Return the number of tokens that are evaluated before the first is sampled."""
    events = ReplyGenerator(model, request, Job(wire.Generate(1, request))).events()
    last = [event for event in events if isinstance(event, PrefillProgressed)][-1]
    return last.total - last.reused


def test_a_reply_continued_anywhere_is_the_reply_that_was_never_stopped(
    model: LlamaModel, whole: ChatMessage
) -> None:
    clear_context(model)
    for stop in range(1, len(whole.token_ids), 9):
        stopped = reply_to(model, replace(QUESTION, max_tokens=stop))
        again = reply_to(model, continued(QUESTION, stopped.message))
        check_is_whole(model, again, whole)
        assert again.usage.context_tokens == again.usage.prompt_tokens + len(again.message.token_ids) - 1


def test_a_cancelled_reply_is_continued(model: LlamaModel, whole: ChatMessage) -> None:
    clear_context(model)
    for stop_at in (0, 1):  # a quick machine sends the whole reply in two pieces
        stopped = reply_to(model, QUESTION, stop_at=stop_at)
        assert stopped.stop_reason is StopReason.CANCELLED
        check_is_whole(model, reply_to(model, continued(QUESTION, stopped.message)), whole)


@pytest.mark.parametrize("uses_idle_time", [False, True])
def test_nothing_is_evaluated_again_that_is_in_the_cache(model: LlamaModel, uses_idle_time: bool) -> None:
    clear_context(model)
    stopped = reply_to(model, replace(QUESTION, max_tokens=30))
    if uses_idle_time:
        use_idle_time(model, stopped)
    assert evaluated_for(model, continued(QUESTION, stopped.message)) == 1


@pytest.mark.parametrize("cut", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_without_its_ids_a_reply_goes_on_from_its_text(
    model: LlamaModel, whole: ChatMessage, cut: float
) -> None:
    reasoning = whole.reasoning[: int(len(whole.reasoning) * cut)]
    for prefix in (
        ChatMessage(Role.ASSISTANT, "", reasoning),
        ChatMessage(Role.ASSISTANT, whole.content[: max(1, int(len(whole.content) * cut))], whole.reasoning),
    ):
        clear_context(model)
        message = reply_to(model, continued(QUESTION, prefix)).message
        assert message.reasoning.startswith(prefix.reasoning)
        assert message.content.startswith(prefix.content)
        assert message.content


def test_ids_that_are_not_those_of_the_text_are_not_used(model: LlamaModel, whole: ChatMessage) -> None:
    changed = replace(whole, content="The answer is", token_ids=whole.token_ids)
    message = reply_to(model, continued(QUESTION, changed)).message
    assert message.content.startswith("The answer is")


def test_text_that_spells_a_mark_stays_text(model: LlamaModel) -> None:
    prefix = ChatMessage(Role.ASSISTANT, "It ends with </think> and", "<think> begins it")
    message = reply_to(model, continued(QUESTION, prefix)).message
    assert message.reasoning == prefix.reasoning
    assert message.content.startswith(prefix.content)


def test_what_there_is_of_a_reply_counts(model: LlamaModel) -> None:
    plain = count_prompt_tokens(model.template, model.vocab, QUESTION)
    request = continued(QUESTION, ChatMessage(Role.ASSISTANT, "It is"))
    counts = count_prompt_tokens(model.template, model.vocab, request)
    assert counts.total == plain.total + len(model.vocab.encode("It is"))
    assert counts.per_message == plain.per_message


def test_the_most_tokens_are_those_to_come(endless_gguf: Path, tmp_path: Path) -> None:
    for model in open_model(endless_gguf, tmp_path / "engine.log"):
        request = chat_request(user_message("Hi"), max_tokens=7)
        first = reply_to(model, request)
        second = reply_to(model, replace(request, prefix=first.message))
        assert second.stop_reason is StopReason.MAX_TOKENS
        assert second.usage.answer_tokens == 14
        assert second.message.token_ids[:7] == first.message.token_ids


async def test_a_reply_goes_on_after_the_engine_died(endless_engine: LocalEngine) -> None:
    request = chat_request(user_message("Hi"))  # to the end of the context, so that it dies long before
    undisturbed = text_of(
        await collect_events(events_of(endless_engine.generate, replace(request, max_tokens=60)))
    )
    events = []
    async with aclosing(events_of(endless_engine.generate, request)) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta) and endless_engine.pid:
                os.kill(endless_engine.pid, signal.SIGKILL)
    assert isinstance(events[-1], EngineFailed)
    arrived = ChatMessage(Role.ASSISTANT, text_of(events))
    again = await collect_events(
        events_of(endless_engine.generate, replace(request, prefix=arrived, max_tokens=20))
    )
    known = min(len(undisturbed), len(arrived.content))
    assert undisturbed[:known] == arrived.content[:known] != ""
    assert text_of(again).startswith(arrived.content)
    assert end_of(again).stop_reason is StopReason.MAX_TOKENS
    assert any(isinstance(event, ReasoningDelta | AnswerDelta) for event in again)
