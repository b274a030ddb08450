from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.in_process import Turn, clear_context, open_model, reply_to, then, use_idle_time
from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.engine.worker.llama_context import Context
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prefetch import next_prompt_prefix
from qwen3_chat.engine.worker.prompt_ids import count_prompt_tokens
from qwen3_chat.events import AnswerDelta
from tests.engine.agreement import check_agree
from tests.engine.requests import GREEDY, THINKING, chat_request, collect_events, end_of, user_message

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK
QUESTIONS = (
    "How many r's in strawberries?",
    "What is 17 + 25?",
    "Count from 3 to 9.",
    "Who are you?",
    "What is the capital of France?",
    "Spell banana backwards.",
)
SMALL_CTX = 512


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log")


@pytest.fixture
def small_endless(endless_gguf: Path, tmp_path: Path) -> Iterator[LlamaModel]:
    yield from open_model(endless_gguf, tmp_path / "engine.log", n_ctx=SMALL_CTX)


def conversation(model: LlamaModel, number: int, *modes: ThinkingMode) -> Iterator[Turn]:
    """Hold a conversation with idle time after each turn."""
    turn = None
    for index, mode in enumerate(modes):
        tag = mode if index and mode is not modes[index - 1] else None
        question = ChatMessage(Role.USER, QUESTIONS[(number + index) % len(QUESTIONS)], mode_tag=tag)
        request = (
            then(turn, question, mode=mode) if turn else chat_request(question, mode=mode, max_tokens=300)
        )
        turn = reply_to(model, request)
        yield turn
        use_idle_time(model, turn)


def cells_of(context: Context, sequence: int) -> int:
    return context.native.last_position(sequence) + 1


@pytest.mark.parametrize(
    "modes",
    [(THINK,) * 4, (NO_THINK,) * 4, (THINK, NO_THINK, THINK, THINK, NO_THINK)],
    ids=["think", "no_think", "toggled"],
)
def test_a_later_turn_evaluates_the_new_message_only(
    model: LlamaModel, modes: tuple[ThinkingMode, ...]
) -> None:
    clear_context(model)
    for _, turn in pairwise(conversation(model, 0, *modes)):
        counts = count_prompt_tokens(model.template, model.vocab, turn.request)
        template = counts.total - sum(counts.per_message)
        evaluated = turn.usage.prompt_tokens - turn.usage.reused_tokens
        assert evaluated <= counts.per_message[-1] + template + 2


@pytest.mark.parametrize("mode", ThinkingMode)
def test_answering_again_evaluates_next_to_nothing(model: LlamaModel, mode: ThinkingMode) -> None:
    clear_context(model)
    *_, turn = conversation(model, 0, mode, mode)
    again = reply_to(model, turn.request)
    assert again.usage.prompt_tokens - again.usage.reused_tokens <= 8
    check_agree(model, again, turn)


def test_the_reply_stays_beside_what_is_evaluated_ahead(model: LlamaModel) -> None:
    clear_context(model)
    (turn,) = conversation(model, 0, THINK)
    context = model.context
    replied = list(context.tokens)
    use_idle_time(model, turn)
    assert context.tokens == replied
    assert context.prefetched == next_prompt_prefix(model, turn.request, turn.message)
    assert [cells_of(context, 0), cells_of(context, 1)] == [len(context.tokens), len(context.prefetched)]
    reply_to(model, then(turn, user_message("Really?")))
    assert context.prefetched == []
    assert cells_of(context, 1) == 0


def test_a_chat_that_was_left_is_gone_on_with_at_once(model: LlamaModel) -> None:
    clear_context(model)
    *_, first = conversation(model, 0, THINK, THINK)
    use_idle_time(model, first)
    other = reply_to(model, chat_request(user_message(QUESTIONS[3]), mode=THINK, max_tokens=300))
    use_idle_time(model, other)
    assert model.context.previous_chat == next_prompt_prefix(model, first.request, first.message)
    for turn in (first, other, first):
        back = reply_to(model, then(turn, user_message("Really?"), max_tokens=4))
        counts = count_prompt_tokens(model.template, model.vocab, back.request)
        template = counts.total - sum(counts.per_message)
        assert counts.total - back.usage.reused_tokens <= counts.per_message[-1] + template + 2
        use_idle_time(model, back)


def test_a_chat_that_may_go_keeps_no_cells_when_another_one_begins(model: LlamaModel) -> None:
    clear_context(model)
    context = model.context
    (first,) = conversation(model, 0, THINK)
    use_idle_time(model, first)
    context.may_discard_chat = True  # as when it is on disk
    back = reply_to(model, then(first, user_message("Really?"), max_tokens=4))
    assert back.usage.reused_tokens >= len(next_prompt_prefix(model, first.request, first.message))
    context.may_discard_chat = True
    other = reply_to(model, chat_request(user_message(QUESTIONS[3]), max_tokens=20))
    assert (context.previous_chat, context.may_discard_chat) == ([], False)
    assert sum(cells_of(context, sequence) for sequence in range(4)) == len(context.tokens)
    check_agree(model, other, reply_to(model, other.request))
    third = reply_to(model, chat_request(user_message(QUESTIONS[5]), max_tokens=4))
    assert context.previous_chat  # this one was not to go
    assert third.usage.reused_tokens < 8


def test_a_chat_that_was_left_makes_room_for_the_one_that_is_on(small_endless: LlamaModel) -> None:
    context = small_endless.context
    use_idle_time(small_endless, reply_to(small_endless, chat_request(user_message("Hi"), max_tokens=200)))
    request = chat_request(user_message("Something else entirely"))
    turn = reply_to(small_endless, request)
    assert turn.stop_reason is StopReason.CONTEXT_FULL
    assert context.previous_chat == []
    assert len(context.tokens) == SMALL_CTX
    clear_context(small_endless)
    check_agree(small_endless, reply_to(small_endless, request), turn)


def test_without_room_for_both_a_finished_reply_is_cut_back(small_endless: LlamaModel) -> None:
    request = chat_request(user_message("Hi"), max_tokens=350)
    stopped = reply_to(small_endless, request)
    context = small_endless.context
    use_idle_time(small_endless, stopped)
    assert stopped.stop_reason is StopReason.MAX_TOKENS
    assert len(context.tokens) > 350
    assert context.prefetched == []
    use_idle_time(small_endless, Turn(request, stopped.message, StopReason.END_OF_TURN, stopped.usage))
    assert context.tokens == next_prompt_prefix(small_endless, request, stopped.message)
    assert context.prefetched == []


def test_an_interrupted_evaluation_is_worth_what_was_done(model: LlamaModel) -> None:
    clear_context(model)
    (turn,) = conversation(model, 0, THINK)
    abort = AbortFlag()
    abort.set()
    use_idle_time(model, turn, abort)
    context = model.context
    prefix = next_prompt_prefix(model, turn.request, turn.message)
    assert context.prefetched == prefix[: len(context.prefetched)]
    again = reply_to(model, then(turn, user_message("Really?")))
    clear_context(model)
    check_agree(model, reply_to(model, again.request), again)


def test_after_a_tool_call_the_turn_goes_on_where_it_was(model: LlamaModel) -> None:
    clear_context(model)
    (turn,) = conversation(model, 0, THINK)
    clear_context(model)
    use_idle_time(model, Turn(turn.request, turn.message, StopReason.TOOL_CALLS, turn.usage))
    assert model.context.tokens == model.context.prefetched == []


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    folder = tmp_path_factory.mktemp("made_up")
    write_model(folder / "model.gguf", Shape(2, 64, 64, 2, 1, 32))
    yield from open_model(folder / "model.gguf", folder / "engine.log", n_ctx=2048)


def test_tokens_that_no_text_gives_are_in_the_cache_as_they_were_sampled(made_up: LlamaModel) -> None:
    for seed in range(4):
        clear_context(made_up)
        turn = reply_to(
            made_up, chat_request(user_message(f"Hi {seed}"), sampling=THINKING, seed=seed, max_tokens=60)
        )
        newlines = made_up.vocab.encode("\n\n")  # before the answer, they are not part of it
        ids = [token for token in turn.message.token_ids if token not in newlines]
        assert made_up.vocab.encode(turn.message.content) != ids
        use_idle_time(made_up, turn)
        prefetched = list(made_up.context.prefetched)
        header = len(prefetched) - len(ids)
        assert any(prefetched[start : start + len(ids)] == ids for start in range(header + 1))
        second = reply_to(made_up, then(turn, user_message("Really?"), sampling=GREEDY, max_tokens=20))
        assert second.usage.reused_tokens == len(prefetched)
        clear_context(made_up)
        check_agree(made_up, reply_to(made_up, second.request), second)


async def test_the_engine_uses_its_idle_time(demo_engine: LocalEngine) -> None:
    await demo_engine.wait_idle()
    first = chat_request(user_message(QUESTIONS[0]), mode=THINK)
    events = await collect_events(events_of(demo_engine.generate, first))
    content = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    answer = ChatMessage(Role.ASSISTANT, content, token_ids=end_of(events).token_ids)
    await demo_engine.wait_idle()
    second = chat_request(*first.messages, answer, user_message("Really?"), mode=THINK, max_tokens=4)
    counts = await demo_engine.count_tokens(second)
    usage = end_of(await collect_events(events_of(demo_engine.generate, second))).usage
    assert usage.prompt_tokens == counts.total
    template = counts.total - sum(counts.per_message)
    assert counts.total - usage.reused_tokens <= counts.per_message[-1] + template + 2


async def test_idle_time_ends_with_the_engine(demo_engine: LocalEngine) -> None:
    await collect_events(
        events_of(demo_engine.generate, chat_request(user_message(QUESTIONS[0]), mode=THINK))
    )
    await demo_engine.close()
    await demo_engine.wait_idle()
    assert demo_engine.pid is None
