from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from benchmarks.in_process import open_model
from qwen3_chat.chat import EARLY_STOPPING_TEXT, StopReason, ThinkingMode
from qwen3_chat.engine import wire
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.events import AnswerDelta, ReasoningDelta, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from tests.engine.requests import THINKING, chat_request, user_message

WORDS = ("strawberries", "banana", "mississippi", "bookkeeper", "committee", "level", "tomorrow", "coffee")
CHINESE = ("你好！", "法国的首都是哪里？", "你是谁？", "十七加二十五等于多少？", "从三数到九。")
QUESTIONS = (
    *(f"Spell {word} backwards." for word in WORDS),
    *(f"How many {letter}'s in {word}?" for word in WORDS for letter in "aerst"),
    *(f"Count from {start} to {start + 9}." for start in range(1, 27)),
    *(f"What is {number} + {number * 3 % 41}?" for number in range(3, 26)),
    *CHINESE,
)
BUDGETS = (0, 16, 64, 256)


@dataclass(frozen=True)
class ReplyOutcome:
    """The outcome of one reply."""

    thinking: str
    answer: str
    reasoning_tokens: int
    stop_reason: StopReason


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log", n_ctx=2048)


def generate(model: LlamaModel, request: ChatRequest, end_thinking_at: int | None = None) -> ReplyOutcome:
    """Generate a reply; end its thinking after the n-th delta."""
    job = Job(wire.Generate(1, request))
    thinking, answer = list[str](), list[str]()
    for event in ReplyGenerator(model, request, job).events():
        match event:
            case ReasoningDelta(text=text):
                thinking.append(text)
                job.answer_now_requested = end_thinking_at is not None and len(thinking) > end_thinking_at
            case AnswerDelta(text=text):
                answer.append(text)
            case TurnFinished(usage=usage, stop_reason=reason):
                return ReplyOutcome("".join(thinking), "".join(answer), usage.reasoning_tokens, reason)
    raise AssertionError


def request_of(number: int) -> ChatRequest:
    question = user_message(QUESTIONS[number])
    return chat_request(question, mode=ThinkingMode.THINK, sampling=THINKING, seed=number, max_tokens=500)


def check(model: LlamaModel, outcomes: list[ReplyOutcome], max_reasoning_tokens: int | None) -> None:
    """Check that answers follow, that no character is broken, that the thinking keeps to its limit."""
    vocab = model.vocab
    forced = len(vocab.encode(EARLY_STOPPING_TEXT)) + 2  # with the marks around the thinking
    assert not [outcome for outcome in outcomes if "\ufffd" in outcome.thinking + outcome.answer]
    assert sum(bool(outcome.answer.strip()) for outcome in outcomes) >= 0.99 * len(outcomes)
    if max_reasoning_tokens is not None:
        assert max(outcome.reasoning_tokens for outcome in outcomes) <= max_reasoning_tokens + forced


@pytest.mark.parametrize("budget", BUDGETS[:2])
def test_some_replies_keep_to_their_budget(model: LlamaModel, budget: int) -> None:
    numbers = range(0, len(QUESTIONS), 20)
    outcomes = [generate(model, replace(request_of(number), thinking_budget=budget)) for number in numbers]
    check(model, outcomes, budget)


@pytest.mark.full
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_hundred_replies_keep_to_their_budget(model: LlamaModel, budget: int) -> None:
    assert len(QUESTIONS) >= 100
    numbers = range(len(QUESTIONS))
    outcomes = [generate(model, replace(request_of(number), thinking_budget=budget)) for number in numbers]
    check(model, outcomes, budget)
    if budget == 0:
        assert all(outcome.reasoning_tokens == 0 for outcome in outcomes)


@pytest.mark.full
def test_a_hundred_replies_answer_when_they_are_asked_to(model: LlamaModel) -> None:
    random = Random(0)
    outcomes = [generate(model, request_of(number), random.randrange(2)) for number in range(len(QUESTIONS))]
    check(model, outcomes, None)
    assert sum(EARLY_STOPPING_TEXT.strip() in outcome.thinking for outcome in outcomes) > len(outcomes) // 4
