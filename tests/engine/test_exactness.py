"""Replies do not depend on the tokens that were evaluated before, nor on their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.in_process import Turn, clear_context, open_model, reply_to, then, use_idle_time
from benchmarks.random_model import Shape, write_model
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.record_copies import replace
from qwen3_chat.sampling import SamplingParams
from tests.engine.agreement import check_agree
from tests.engine.requests import GREEDY, THINKING, chat_request, user_message

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK
QUESTIONS = (
    "How many r's in strawberries?",
    "What is 17 + 25?",
    "Count from 3 to 9.",
    "Who are you?",
    "What is the capital of France?",
    "Spell banana backwards.",
)
FEW, TENS = [0, *(pytest.param(number, marks=pytest.mark.full) for number in range(1, 4))], range(10, 60, 20)


@dataclass(frozen=True)
class Case:
    """A model, with the sampling and the length of its first replies."""

    model: LlamaModel
    sampling: SamplingParams
    max_tokens: int


@pytest.fixture(scope="module")
def demo(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    for model in open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log"):
        yield Case(model, GREEDY, 200)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Return a model whose replies tokenise to other ids than were sampled."""
    folder = tmp_path_factory.mktemp("made_up")
    write_model(folder / "model.gguf", Shape(2, 64, 64, 2, 1, 32))
    for model in open_model(folder / "model.gguf", folder / "engine.log", n_ctx=2048):
        yield Case(model, THINKING, 40)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.getfixturevalue(request.param)
    return chosen


def conversation(case: Case, number: int) -> Iterator[Turn]:
    """Hold a conversation of greedy turns after a first one: leave it, come back, regenerate."""
    model = case.model
    modes = [(THINK, NO_THINK)[number >> bit & 1] for bit in range(3)]
    questions = [
        user_message(f"{QUESTIONS[(number + index) % len(QUESTIONS)]} {number}") for index in range(3)
    ]
    first = chat_request(
        questions[0], mode=modes[0], sampling=case.sampling, seed=number, max_tokens=case.max_tokens
    )
    turn = reply_to(model, first)
    use_idle_time(model, turn)
    second = reply_to(model, then(turn, questions[1], mode=modes[1], sampling=GREEDY))
    yield second
    yield reply_to(model, second.request)
    use_idle_time(model, second)
    other = reply_to(
        model, chat_request(user_message(f"Something else {number}"), mode=modes[2], max_tokens=20)
    )
    use_idle_time(model, other)
    third = reply_to(model, then(second, questions[2], mode=modes[2]))
    yield third
    use_idle_time(model, third)
    yield reply_to(model, third.request, None)


def count_differing(case: Case, number: int) -> int:
    """Check each turn against a fresh evaluation; return the number of those that differ by a tie."""
    model = case.model
    clear_context(model)
    turns = list(conversation(case, number))
    count = 0
    for turn in turns:
        clear_context(model)
        fresh = reply_to(model, turn.request)
        assert fresh.usage.reused_tokens == 0
        count += not check_agree(model, fresh, turn)
    return count


@pytest.mark.parametrize("case", ["demo", "made_up"], indirect=True)
@pytest.mark.parametrize("number", FEW)
def test_an_answer_equals_one_without_anything_evaluated_before(case: Case, number: int) -> None:
    count_differing(case, number)


@pytest.mark.full
@pytest.mark.parametrize("case", ["demo", "made_up"], indirect=True)
@pytest.mark.parametrize("first", TENS)
def test_many_answers_equal_those_without_anything_evaluated_before(case: Case, first: int) -> None:
    counts = [count_differing(case, number) for number in range(first, first + 10)]
    print(f"{sum(counts)} of {4 * len(counts)} replies differ, after a tie")
    assert sum(counts) < len(counts)


def test_the_made_up_model_says_what_is_read_back_otherwise(made_up: Case) -> None:
    clear_context(made_up.model)
    turn = reply_to(made_up.model, chat_request(user_message("Hi"), sampling=THINKING, max_tokens=40))
    assert made_up.model.vocab.encode(turn.message.content) != list(turn.message.token_ids)
    assert replace(turn.message, token_ids=()) != turn.message
