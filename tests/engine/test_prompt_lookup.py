from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.in_process import clear_context, open_model, reply_to
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.engine.worker.prompt_lookup import NgramIndex, PromptLookup, SpeedupEstimate
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams
from tests.engine.agreement import check_agree
from tests.engine.requests import GREEDY, THINKING, chat_request, user_message

WORDS = ("strawberries", "banana", "mississippi", "bookkeeper", "committee", "level", "tomorrow", "coffee")
QUESTIONS = (
    *(f"Spell {word} backwards." for word in WORDS),
    *(f"How many {letter}'s in {word}?" for word in WORDS for letter in "aerst"),
    *(f"Count from {start} to {start + 8}." for start in range(1, 27)),
    *(f"What is {number} + {number * 3 % 41}?" for number in range(3, 30)),
)
CONTINUATIONS = {
    "nothing came twice": ([1, 2, 3, 4, 5], []),
    "too little came twice": ([1, 2, 9, 1, 2], []),
    "what followed the last time": ([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], [5, 1, 2]),
    "a circle": ([7, 7, 7, 7], [7]),
    "less than was asked for": ([1, 2, 3, 4, 1, 2, 3], [4, 1, 2]),
}


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log")


@pytest.mark.parametrize(("tokens", "expected"), CONTINUATIONS.values(), ids=CONTINUATIONS)
def test_what_came_before_is_guessed_again(tokens: list[int], expected: list[int]) -> None:
    ngrams = NgramIndex()
    ngrams.add(tokens)
    assert ngrams.continuation(3) == expected


def test_nothing_is_guessed_before_it_is_known_what_a_token_takes() -> None:
    speedup = SpeedupEstimate()
    assert not speedup.is_worthwhile
    speedup.record_token(0.01)
    assert speedup.is_worthwhile


def test_guessing_stops_where_it_does_not_pay_and_is_tried_again_ever_later() -> None:
    speedup = SpeedupEstimate()
    speedup.record_token(0.01)
    pauses = []
    for _ in range(4):
        speedup.record(0.02, 3, 0)
        pauses.append(0)
        while not speedup.is_worthwhile:
            speedup.record_token(0.01)
            pauses[-1] += 1
    assert pauses == [16, 32, 64, 128]


def test_what_pays_goes_on_and_grows() -> None:
    speedup = SpeedupEstimate()
    speedup.record_token(0.01)
    for _ in range(20):
        speedup.record(0.02, speedup.draft_length, speedup.draft_length)
        assert speedup.is_worthwhile
    assert speedup.draft_length == 7


def test_a_draft_that_came_out_empty_took_its_time() -> None:
    speedup = SpeedupEstimate()
    speedup.record_token(0.01)
    speedup.record(0.02, 0, 0)
    assert not speedup.is_worthwhile
    assert (speedup.n_steps, speedup.n_pauses, speedup.speedup) == (0, 1, 0.5)


def test_the_speedup_is_that_of_all_steps_together() -> None:
    speedup = SpeedupEstimate()
    assert speedup.speedup == 0
    speedup.record_token(0.01)
    speedup.record(0.02, 3, 3)
    speedup.record(0.04, 7, 3)
    assert speedup.speedup == pytest.approx(0.08 / 0.06)
    assert (speedup.n_steps, speedup.n_drafted, speedup.n_accepted) == (2, 10, 6)


def test_a_draft_model_waits_until_some_tokens_were_timed_and_lets_one_be_timed_again() -> None:
    speedup = SpeedupEstimate(4)
    for time_s in (0.09, 0.01, 0.01):
        speedup.record_token(time_s)
        assert not speedup.is_worthwhile
    speedup.record_token(0.01)
    assert speedup.is_worthwhile
    speedup.record(0.06, 1, 1)
    assert speedup.speedup == pytest.approx(1.0)
    for _ in range(31):
        assert speedup.is_worthwhile
        speedup.record(0.01, 3, 3)
    assert not speedup.is_worthwhile
    speedup.record_token(0.01)
    assert speedup.is_worthwhile


class AlwaysWorthwhile(SpeedupEstimate):
    """An estimate by which each draft is worthwhile, so that a test does not depend on the clock."""

    @property
    def is_worthwhile(self) -> bool:
        return True


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Draft wherever possible; return the list of the numbers of accepted tokens."""
    accepted_counts: list[int] = []

    class Recorded(AlwaysWorthwhile):
        def record(self, elapsed_s: float, n_drafted: int, n_accepted: int) -> None:
            if n_drafted:
                accepted_counts.append(n_accepted)
            super().record(elapsed_s, n_drafted, n_accepted)

    monkeypatch.setattr("qwen3_chat.engine.worker.prompt_lookup.SpeedupEstimate", Recorded)
    return accepted_counts


def request_of(number: int, sampling: SamplingParams = GREEDY) -> ChatRequest:
    mode = ThinkingMode.THINK if number % 3 else ThinkingMode.NO_THINK
    return chat_request(
        user_message(QUESTIONS[number]), mode=mode, sampling=sampling, seed=number, max_tokens=300
    )


def check_is_the_same(model: LlamaModel, request: ChatRequest) -> bool:
    """Return True if a reply with drafts equals one without; a greedy one may differ only after a tie."""
    replies = []
    for guesses in (False, True):
        clear_context(model)
        replies.append(reply_to(model, replace(request, guesses=guesses)))
    plain, drafted = (replace(turn, request=request) for turn in replies)
    if request.sampling is GREEDY:
        check_agree(model, plain, drafted)
    return plain.message.token_ids == drafted.message.token_ids


@pytest.mark.parametrize("sampling", [GREEDY, THINKING], ids=["greedy", "drawn"])
def test_a_reply_with_guesses_is_the_one_without(
    model: LlamaModel, always: list[int], sampling: SamplingParams
) -> None:
    same = [check_is_the_same(model, request_of(number, sampling)) for number in range(0, 60, 6)]
    assert sum(same) >= 8
    assert sum(always) > 30


@pytest.mark.full
def test_a_hundred_replies_with_guesses_are_those_without(model: LlamaModel, always: list[int]) -> None:
    assert len(QUESTIONS) > 100
    same = [check_is_the_same(model, request_of(number)) for number in range(len(QUESTIONS))]
    print(f"{len(same) - sum(same)} of {len(same)} replies differ after a tie, {sum(always)} tokens guessed")
    assert sum(same) >= 0.9 * len(same)


def cells_of(model: LlamaModel) -> int:
    return model.context.native.last_position(0) + 1


@pytest.mark.parametrize("stop_at", [None, 2, 3, 5])
def test_nothing_that_was_guessed_in_vain_stays_in_the_cache(
    model: LlamaModel, always: list[int], stop_at: int | None
) -> None:
    for number in range(1, 40, 8):
        clear_context(model)
        request = replace(request_of(number), max_tokens=90 + number)
        turn = reply_to(model, request, stop_at)
        prompt = tokenise(model.template.render_request(request), model.vocab, request)
        known = [*prompt, *turn.message.token_ids]
        assert model.context.tokens == known[: len(model.context.tokens)]
        assert cells_of(model) == len(model.context.tokens)


def test_thinking_that_is_ended_early_is_evaluated_after_what_was_drawn(
    model: LlamaModel, always: list[int]
) -> None:
    for budget in (20, 33, 47):
        assert check_is_the_same(model, replace(request_of(1), thinking_budget=budget))


def test_guesses_stop_before_the_context_is_full(
    endless_gguf: Path, tmp_path: Path, always: list[int]
) -> None:
    for model in open_model(endless_gguf, tmp_path / "engine.log", n_ctx=256):
        turn = reply_to(model, chat_request(user_message("Hi")))
        assert turn.stop_reason is StopReason.CONTEXT_FULL
        assert len(model.context.tokens) == model.context.n_ctx
        assert sum(always) > 0


def test_where_it_does_not_pay_hardly_anything_is_guessed(model: LlamaModel) -> None:
    clear_context(model)
    batches: list[int] = []
    context = model.context
    for _ in context.evaluate([5] * 40):
        pass
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 0.01 * (4 if batches and batches[-1] > 1 else 1)
        return now_s

    class WatchedLookup(PromptLookup):
        def _next_draft(self) -> list[int]:
            draft = super()._next_draft()
            batches.append(1 + len(draft))
            return draft

    with WatchedLookup(context, [5] * 40, clock=clock) as lookup:
        for number in range(200):
            lookup.append(5 if number % 4 else 6 + number)
    assert sum(size > 1 for size in batches) < 10


class Unsure:
    """A draft model that takes as long as a token, and is never sure of the next one."""

    def __init__(self) -> None:
        self.n_asked = 0

    def has_room_for(self, n_tokens: int) -> bool:
        return True

    def follow(self, tokens: object) -> int:
        return 1

    def draft(self, length: int) -> list[int]:
        self.n_asked += 1
        return []


def test_a_draft_model_that_is_never_sure_is_hardly_asked(model: LlamaModel) -> None:
    clear_context(model)
    for _ in model.context.evaluate(known := list(range(5, 45))):
        pass
    unsure, now_s, n_asked = Unsure(), 0.0, 0

    def clock() -> float:
        nonlocal now_s, n_asked
        now_s += 0.01 * (1 + unsure.n_asked - n_asked)
        n_asked = unsure.n_asked
        return now_s

    with PromptLookup(model.context, known, draft_model=unsure, clock=clock) as lookup:  # type: ignore[arg-type]
        for number in range(200):
            lookup.append(100 + number)
    assert 0 < unsure.n_asked < 10
