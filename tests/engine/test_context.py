from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from in_place_renderer import InPlaceRenderer
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.__main__ import open_library
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.llama_context import Context
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.llama_model import LlamaModel, load_model
from qwen3_chat.engine.worker.sampler import Sampler
from qwen3_chat.engine.worker.worker_log import WorkerLog
from qwen3_chat.errors import EngineError
from qwen3_chat.request import LoadSettings
from qwen3_chat.sampling import SamplingParams
from tests.engine.requests import GREEDY, THINKING

N_CTX = 512


@pytest.fixture(scope="module")
def model(endless_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    log = WorkerLog(tmp_path_factory.mktemp("log") / "engine.log")
    settings, plan = LoadSettings(str(endless_gguf)), LoadPlan(n_layers=4, n_ctx=N_CTX)
    loaded = load_model(
        open_library(log), settings, plan, AbortFlag(), lambda event: None, LlamaLog(log), InPlaceRenderer()
    )
    yield loaded
    loaded.context.native.free()
    loaded.native.free()


@pytest.fixture
def context(model: LlamaModel) -> Context:
    model.context.clear()
    model.context.set_abort_flag(AbortFlag())
    return model.context


def cells_of(context: Context) -> int:
    """Return the number of tokens in the context by llama.cpp's own account."""
    return context.native.last_position(0) + 1


def drawn(
    model: LlamaModel, context: Context, params: SamplingParams, seed: int, count: int = 12
) -> list[int]:
    """Draw tokens after the same prompt."""
    prompt = model.vocab.encode("Hello, who are you?")
    list(context.evaluate(prompt[context.keep_prefix(prompt) :]))
    tokens = []
    with Sampler(params, seed, model.vocab.native) as sampler:
        for _ in range(count):
            tokens.append(sampler.sample(context.native))
            context.append(tokens[-1])
    return tokens


def test_a_prompt_is_evaluated_in_chunks(context: Context) -> None:
    assert list(context.evaluate([5] * 300)) == [128, 256, 300]
    assert len(context.tokens) == cells_of(context) == 300
    assert context.free_tokens == N_CTX - 300


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ([1, 2, 3, 4, 5], 4),
        ([1, 2, 3, 4, 5, 6], 5),
        ([1, 2, 9, 4, 5], 2),
        ([9, 2, 3], 0),
        ([1, 2], 1),
        ([1], 0),
    ],
)
def test_the_longest_common_prefix_is_kept_but_for_one_token(
    context: Context, prompt: list[int], kept: int
) -> None:
    list(context.evaluate([1, 2, 3, 4, 5]))
    assert context.keep_prefix(prompt) == kept
    assert context.tokens == prompt[:kept]
    assert cells_of(context) == kept


def test_a_flag_stops_llama_cpp_itself(context: Context) -> None:
    list(context.evaluate([1, 2, 3]))
    abort = AbortFlag()
    context.set_abort_flag(abort)
    context.append(4)
    abort.set()
    with pytest.raises(AbortedError):
        context.append(5)
    with pytest.raises(AbortedError):
        list(context.evaluate([5, 6]))
    assert context.tokens == [1, 2, 3, 4]
    assert cells_of(context) == 4
    context.set_abort_flag(AbortFlag())
    context.append(5)
    assert cells_of(context) == 5


def test_what_does_not_fit_is_refused_and_the_rest_stays(context: Context) -> None:
    with pytest.raises(EngineError, match=r"^The context of 512 tokens is full\.$"):
        list(context.evaluate([5] * (N_CTX + 1)))
    assert len(context.tokens) == cells_of(context) == N_CTX


def test_the_same_seed_draws_the_same_tokens(model: LlamaModel, context: Context) -> None:
    assert drawn(model, context, THINKING, 7) == drawn(model, context, THINKING, 7)


def test_no_seed_means_chance(model: LlamaModel, context: Context) -> None:
    for seed in (0, 0xFFFFFFFF, 1 << 40):
        assert drawn(model, context, THINKING, seed) == drawn(model, context, THINKING, seed)


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(temperature=5, top_p=1, top_k=1)])
def test_the_most_probable_token_needs_no_seed(
    model: LlamaModel, context: Context, params: SamplingParams
) -> None:
    assert drawn(model, context, params, 1) == drawn(model, context, params, 2)


def test_a_penalty_against_repetition_draws_other_tokens(model: LlamaModel, context: Context) -> None:
    penalised = SamplingParams(temperature=0, top_p=1, top_k=0, presence_penalty=50)
    tokens = drawn(model, context, penalised, 1)
    assert len(set(tokens)) == len(tokens)


def test_where_cells_have_to_lie_in_a_row_there_is_one_sequence(
    context: Context, model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.native, "needs_cells_in_a_row", True, raising=False)
    first, second = model.vocab.encode("Hello, who are you?"), model.vocab.encode("Something else. " * 8)
    for prompt in (first, second, first):
        list(context.evaluate(prompt[context.keep_prefix(prompt) :]))
        assert context.tokens == prompt
        assert context.prefetched == []
    assert context.previous_chat == second
    assert context.keep_prefix([*second, first[0]]) == len(second)
    assert context.tokens == second
    context.may_discard_chat = True
    list(context.evaluate(first[context.keep_prefix(first) :]))
    assert context.tokens == first
    following = [*first[:3], *second]
    list(context.prefetch(following, may_cut_back=False))
    assert context.tokens == first  # the reply may be gone on with
    list(context.prefetch(following, may_cut_back=True))
    assert context.tokens == following
    assert context.prefetched == []
    assert cells_of(context) == len(following)


def test_where_cells_have_to_lie_in_a_row_a_file_is_read_into_empty_cells(
    context: Context, model: LlamaModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.native, "needs_cells_in_a_row", True, raising=False)
    saved, other = model.vocab.encode("Hello, who are you?"), model.vocab.encode("Something else. " * 8)
    list(context.evaluate(saved))
    assert context.save(tmp_path / "saved", saved)
    context.clear()
    list(context.evaluate(other))
    assert context.load(tmp_path / "saved", len(saved))
    assert context.tokens == []
    assert context.keep_prefix([*saved, other[0]]) == len(saved)
    assert context.tokens == saved
    assert context.previous_chat == []
