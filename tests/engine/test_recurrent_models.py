"""Models whose layers keep a state of the whole sequence, which can't be cut: Qwen3-Next, Qwen3.5."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from benchmarks.in_process import Turn, clear_context, open_model, reply_to, then, use_idle_time
from qwen3_chat.chat import ChatMessage
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.models.catalog import Shape
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from tests.engine.random_hybrid import TINY_QWEN3_NEXT, TINY_QWEN35, TINY_QWEN35_MOE, write_random_model
from tests.engine.requests import GREEDY, chat_request, user_message

QUESTIONS = ("How many r's in strawberries?", "What is 17 + 25?", "Count from 3 to 9.", "Who are you?")


@pytest.fixture(
    scope="module",
    params=[TINY_QWEN35, TINY_QWEN35_MOE, TINY_QWEN3_NEXT],
    ids=lambda shape: shape.architecture,
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    shape: Shape = request.param
    folder = tmp_path_factory.mktemp(shape.architecture)
    path = write_random_model(folder / "random.gguf", shape)
    yield from open_model(path, folder / "engine.log", n_ctx=2048, n_threads=1)


def question_of(number: int) -> ChatMessage:
    return user_message(QUESTIONS[number])


def fresh_reply(model: LlamaModel, request: ChatRequest) -> Turn:
    clear_context(model)
    return reply_to(model, request)


def test_each_reply_is_the_one_of_an_empty_cache(model: LlamaModel) -> None:
    sampling = replace(GREEDY, presence_penalty=1.5)
    request = chat_request(question_of(0), sampling=sampling, max_tokens=12)
    requests, turns = [], []
    for number in range(1, len(QUESTIONS) + 1):
        turn = reply_to(model, request)
        requests.append(request)
        turns.append(turn)
        use_idle_time(model, turn)
        if number < len(QUESTIONS):
            request = then(turn, question_of(number))
    again = reply_to(model, requests[1])  # as after an edit: only a part of what was evaluated
    reused = [turn.usage.reused_tokens for turn in turns]
    assert [turn.message for turn in turns] == [fresh_reply(model, request).message for request in requests]
    assert again.message == turns[1].message
    assert len(set(turns[0].message.token_ids)) > 3, "a reply of one token can't differ"
    assert all(now > before for before, now in pairwise(reused)), reused


def test_a_stopped_reply_is_continued_as_if_it_had_not_been(model: LlamaModel) -> None:
    sampling = replace(GREEDY, presence_penalty=1.5)
    request = chat_request(question_of(0), sampling=sampling, max_tokens=30)
    whole = fresh_reply(model, request)
    clear_context(model)
    stopped = reply_to(model, request, stop_at=2)
    use_idle_time(model, stopped)
    assert 0 < len(stopped.message.token_ids) < 30
    continued = reply_to(model, replace(request, prefix=stopped.message))
    assert continued.message.token_ids[:30] == whole.message.token_ids
