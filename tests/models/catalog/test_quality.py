"""The check of `quality.toml`, which contributors extend."""

from __future__ import annotations

import re

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog import ThinkingSupport, find_family_model
from qwen3_chat.models.catalog.quality import ModelQuality, load_quality, quant_loss

DATA = load_quality()


@pytest.mark.parametrize("rated", DATA.models, ids=lambda rated: rated.name)
def test_a_rated_model_exists_and_has_results_for_the_modes_that_it_has(rated: ModelQuality) -> None:
    model = find_family_model(rated.name)
    assert model
    assert model.name == rated.name
    assert re.fullmatch(r"https://[\w./-]+", rated.source)
    assert (rated.think is not None) is (model.thinking is not ThinkingSupport.NEVER)
    assert (rated.no_think is not None) is (model.thinking is not ThinkingSupport.ALWAYS)
    for results in (rated.think, rated.no_think):
        assert all(0 < result < 100 for result in results or ())


def test_no_model_is_rated_twice() -> None:
    names = [rated.name for rated in DATA.models]
    assert len(names) == len(set(names))


def test_thinking_helps_every_model_that_can_do_both() -> None:
    for rated in DATA.models:
        thinking, at_once = rated.points(ThinkingMode.THINK), rated.points(ThinkingMode.NO_THINK)
        if thinking is not None and at_once is not None:
            assert thinking > at_once


def test_fewer_bits_lose_more_and_most_below_four() -> None:
    losses = [DATA.quants.loss[quant] for quant in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")]
    assert losses == sorted(losses)
    assert DATA.quants.loss["Q3_K_M"] > 3 * DATA.quants.loss["Q4_K_M"]


def test_every_offered_quant_is_known_and_has_four_bits_or_more() -> None:
    for quant in DATA.quants.offered:
        assert DATA.quants.loss[quant] <= DATA.quants.loss["Q4_K_M"]


def test_a_small_model_loses_more() -> None:
    small, large = find_family_model("0.6B"), find_family_model("8B")
    assert small
    assert large
    assert (quant_loss(small, "q4_k_m") or 0) > (quant_loss(large, "Q4_K_M") or 0) > 0
    assert quant_loss(large, "Q9_X") is None
