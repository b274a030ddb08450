from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import Shape, find_family_model
from qwen3_chat.models.fit.context_memory import ContextSpec
from qwen3_chat.models.fit.machine import Machine
from qwen3_chat.models.fit.placement import network_parts, plans
from qwen3_chat.models.fit.speed import prompt_tokens_per_s, tokens_per_s, weight_bits
from qwen3_chat.models.kernel_speeds import LONG_CELLS, SHORT_CELLS, Curve, KernelSpeeds, seconds_at
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType
from tests.models.fit.machines import KERNELS, cpu, with_gpus

MEASURED = replace(cpu(64), kernels=KERNELS)


def speed(
    name: str, quant: str, machine: Machine = MEASURED, depth: int = 256, kv_type: KvType = KvType.F16
) -> float:
    model = find_family_model(name)
    assert model
    context = ContextSpec(4096, kv_type, 128, flash_attention=kv_type is not KvType.F16)
    parts = network_parts(model.shape, model.weights(quant), 0, 0)
    return tokens_per_s(model.shape, machine, context, *parts, depth)


def test_a_mixture_of_types_lies_between_them() -> None:
    curve = ((4.0, 1.0), (8.0, 3.0))
    assert [seconds_at(curve, bits) for bits in (2, 4, 6, 8, 16)] == [1.0, 1.0, 2.0, 3.0, 6.0]


def test_the_bits_of_layers_and_of_the_output_are_those_of_their_types() -> None:
    model = find_family_model("4B")
    assert model
    layers, output = weight_bits(model.shape, model.weights("Q4_K_M"))
    assert 4.5 < layers < 5.2
    assert output == pytest.approx(6.5625, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "quant", "depth", "measured"),
    [
        ("0.6B", "Q8_0", 256, 14.4),
        ("0.6B", "Q8_0", 2048, 9.6),
        ("0.6B", "Q4_K_M", 256, 20.4),
        ("0.6B", "Q4_K_M", 2048, 11.9),
        ("4B", "Q4_K_M", 256, 3.7),
        ("4B", "Q4_K_M", 2048, 2.9),
    ],
)
def test_what_was_measured_on_that_core_is_predicted(
    name: str, quant: str, depth: int, measured: float
) -> None:
    assert speed(name, quant, depth=depth) == pytest.approx(measured, rel=0.25)


def test_computing_counts_where_it_takes_longer_than_reading() -> None:
    slow = replace(
        KERNELS, weights=((4.5, 9e-11), (16.0, 15e-11)), narrow_weights=((4.5, 9e-11), (16.0, 19e-11))
    )
    fewer_bits = speed("4B", "Q4_K_M", replace(MEASURED, kernels=slow))
    assert fewer_bits < speed("4B", "Q4_K_M")
    assert fewer_bits == pytest.approx(speed("4B", "Q8_0", replace(MEASURED, kernels=slow)), rel=0.35)


DISTURBED = replace(
    KERNELS,
    weights=((4.5, 0.8e-11), (6.5625, 1.9e-11), (8.5, 3.9e-11), (16.0, 3e-11)),
    narrow_weights=((4.5, 4.7e-11), (6.5625, 6.8e-11), (8.5, 4.2e-11), (16.0, 29.1e-11)),
)
"""What two cores were measured to do while tests ran beside: each type by a factor of its own."""


def test_a_disturbed_measurement_makes_no_large_model_as_fast_as_a_small_one() -> None:
    machine = replace(MEASURED, kernels=DISTURBED)
    assert speed("14B", "Q4_K_M", machine) < 0.55 * speed("4B", "Q4_K_M", machine)


@pytest.mark.parametrize(
    ("weights", "narrow_weights", "is_consistent"),
    [
        (KERNELS.weights, KERNELS.narrow_weights, True),
        (KERNELS.weights, KERNELS.weights, True),
        (DISTURBED.weights, DISTURBED.narrow_weights, False),
        (((4.5, 0.8e-11), (16.0, 3e-11)), ((4.5, 5e-11), (16.0, 3.3e-11)), False),
        (((4.5, 1e-11), (16.0, 25e-11)), ((4.5, 1.2e-11), (16.0, 25e-11)), False),
        (((4.5, 0.8e-11), (16.0, 2.9e-11)), ((4.5, 1e-11), (16.0, 3.1e-11)), True),
    ],
)
def test_a_measurement_that_contradicts_itself_is_found_out(
    weights: Curve, narrow_weights: Curve, is_consistent: bool
) -> None:
    kernels = replace(KERNELS, weights=weights, narrow_weights=narrow_weights)
    assert kernels.is_plausible
    assert kernels.is_consistent is is_consistent


def test_a_speed_falls_with_the_depth_and_more_with_a_quantised_cache() -> None:
    shallow, deep = (speed("0.6B", "Q8_0", depth=depth) for depth in (256, 4096))
    assert deep < 0.7 * shallow
    assert speed("0.6B", "Q8_0", depth=4096, kv_type=KvType.Q8_0) < deep


def test_a_token_after_a_full_step_of_cells_reads_the_next_step() -> None:
    within, full = (speed("0.6B", "Q8_0", depth=depth) for depth in (255, 256))
    assert full < 0.95 * within


def test_the_cache_of_a_short_chat_costs_more_for_each_token() -> None:
    read_s, step_s = KERNELS.attention_at(SHORT_CELLS)
    assert (read_s, step_s) == pytest.approx((KERNELS.short_cache_read_s, KERNELS.short_attention_s))
    assert KERNELS.attention_at(LONG_CELLS) == pytest.approx((KERNELS.cache_read_s, KERNELS.attention_s))
    assert (
        KERNELS.attention_at(256)[0] > read_s > KERNELS.attention_at(40_960)[0] > 0.8 * KERNELS.cache_read_s
    )


def test_only_the_chosen_experts_are_read() -> None:
    assert speed("30B-A3B", "Q4_K_M") > 4 * speed("32B", "Q4_K_M")


def test_a_prompt_is_read_faster_than_an_answer_is_written() -> None:
    model = find_family_model("4B")
    assert model
    context = ContextSpec(4096, KvType.F16, 128, flash_attention=False)
    _, part = network_parts(model.shape, model.weights("Q4_K_M"), 0, 0)
    short, long = (prompt_tokens_per_s(model.shape, KERNELS, context, part, n) for n in (256, 4096))
    assert short > long > 2 * speed("4B", "Q4_K_M")


def gpu_speed(kernels: KernelSpeeds | None, shape: Shape) -> float:
    model = find_family_model("4B")
    assert model
    machine = with_gpus(64, 24)
    machine = replace(machine, gpus=(replace(machine.gpus[0], kernels=kernels),))
    plan = next(plans(shape, model.weights("Q4_K_M"), machine, 8192, KvType.F16))
    return plan.tokens_per_s


def test_a_measured_gpu_counts_as_measured() -> None:
    model = find_family_model("4B")
    assert model
    estimated = gpu_speed(None, model.shape)
    slow, fast = (
        KernelSpeeds(
            weights=((4.5, second), (16.0, 4 * second)),
            narrow_weights=((4.5, second), (16.0, 4 * second)),
            prompt_weights=((4.5, second),),
            expert_factor=1.0,
            prompt_expert_factor=1.0,
            cache_read_s=second,
            attention_s=second / 10,
            short_cache_read_s=second,
            short_attention_s=second / 10,
            quantised_attention_s=second / 10,
            prompt_attention_s=second / 10,
            operation_s=2e-6,
        )
        for second in (5e-12, 0.6e-12)
    )
    assert gpu_speed(slow, model.shape) < estimated < gpu_speed(fast, model.shape)
