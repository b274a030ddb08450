"""The samplers in numpy, beside those of llama.cpp and by hand."""

from __future__ import annotations

import ctypes
import math
from collections import Counter

import numpy as np
import pytest

from qwen3_chat.engine.worker.native_library import TokenData, TokenDataArray
from qwen3_chat.engine.worker.numpy_sampler import NumpySampler
from qwen3_chat.sampling import SamplingParams

N_VOCAB = 1000
LOGITS = np.random.default_rng(5).normal(0, 3, N_VOCAB).astype(np.float32)
GREEDY = SamplingParams(temperature=0, top_p=1, top_k=0)


class Outputs:
    """A context that only has logits."""

    def __init__(self, logits: np.ndarray) -> None:
        self._logits = np.ascontiguousarray(logits, np.float32)

    def logits(self, output_index: int) -> object:
        return self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def drawn(params: SamplingParams, count: int, logits: np.ndarray = LOGITS, seed: int = 3) -> list[int]:
    sampler = NumpySampler(params, seed, len(logits))
    return [sampler.sample(Outputs(logits), -1) for _ in range(count)]  # type: ignore[arg-type]


def expected_shares(params: SamplingParams) -> dict[int, float]:
    """Return the probabilities by the definitions, over the whole vocabulary."""
    order = np.argsort(-LOGITS)[: params.top_k or N_VOCAB]
    weights = np.exp(LOGITS[order].astype(float) / params.temperature)
    weights /= weights.sum()
    kept = 0
    while kept < len(weights) and (kept == 0 or weights[:kept].sum() < params.top_p):
        kept += 1
    weights = weights[:kept][weights[:kept] >= params.min_p * weights[0]]
    return dict(zip(order.tolist(), (weights / weights.sum()).tolist(), strict=False))


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(0.6, 0.95, 20),
        SamplingParams(0.7, 0.8, 20),
        SamplingParams(1.0, 1.0, 5),
        SamplingParams(1.0, 0.9, 0),
        SamplingParams(1.5, 1.0, 0, min_p=0.3),
        SamplingParams(2.0, 0.5, 40, min_p=0.05),
    ],
)
def test_tokens_are_drawn_with_the_probabilities_of_the_parameters(params: SamplingParams) -> None:
    expected, count = expected_shares(params), 20_000
    shares = {token: n / count for token, n in Counter(drawn(params, count)).items()}
    assert set(shares) <= set(expected)
    for token, share in expected.items():
        assert abs(shares.get(token, 0.0) - share) < 0.004 + 5 * math.sqrt(share / count)


@pytest.mark.parametrize("top_k", [1, 7, 8, 20, 500, 1000, 5000])
def test_the_best_tokens_are_found_whatever_their_places(top_k: int) -> None:
    for logits in (np.sort(LOGITS), np.sort(LOGITS)[::-1], LOGITS):
        best = set(np.argsort(-logits)[:top_k].tolist())
        assert set(drawn(SamplingParams(50.0, 1.0, top_k), 3000, logits)) <= best


def test_a_seed_gives_the_same_tokens_and_another_one_others() -> None:
    params = SamplingParams(1.0, 0.95, 20)
    assert drawn(params, 50, seed=7) == drawn(params, 50, seed=7) != drawn(params, 50, seed=8)


def test_without_a_temperature_the_best_token_is_drawn() -> None:
    assert drawn(GREEDY, 3) == [int(LOGITS.argmax())] * 3


def test_a_token_that_came_is_penalised_once_and_logits_stay_as_they_were() -> None:
    logits = np.array([2.0, 1.5, 1.2, -9.0], np.float32)
    params = SamplingParams(temperature=0, top_p=1, top_k=0, presence_penalty=1.0)
    assert drawn(params, 6, logits) == [0, 1, 2, 0, 0, 0]
    assert logits.tolist() == pytest.approx([2.0, 1.5, 1.2, -9.0])


def test_what_a_rule_forbids_is_not_selected() -> None:
    tokens = (TokenData * 4)()
    for i, logit in enumerate((3.0, -math.inf, 2.0, -math.inf)):
        tokens[i].id, tokens[i].logit = i, logit
    candidates = TokenDataArray(ctypes.cast(tokens, ctypes.POINTER(TokenData)), 4, -1, False)
    sampler = NumpySampler(SamplingParams(5.0, 1.0, 0), 1, 4)
    selected = set()
    for _ in range(200):
        sampler.apply(candidates)
        selected.add(candidates.selected)
    assert selected == {0, 2}


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_logits_of_a_broken_model_give_some_token(value: float) -> None:
    logits = np.full(300, value, np.float32)
    for params in (GREEDY, SamplingParams(0.6, 0.95, 20)):
        assert 0 <= drawn(params, 1, logits)[0] < 300
