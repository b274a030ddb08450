from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import QUALITY_ORDER, find_family_model
from qwen3_chat.models.fit import Fit, Machine, Placement, assess, recommend
from qwen3_chat.models.fit.assessment import FAST_TOKENS_PER_S, MIN_N_CTX, MIN_TOKENS_PER_S, TARGET_N_CTX
from qwen3_chat.models.fit.machine import Gpu
from qwen3_chat.request import KvType
from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import GIB, MIB
from tests.models.fit.machines import MACHINES, cpu, with_gpus

PICKS = {
    "CPU, 4 GiB": ("1.7B", "Q8_0", Placement.CPU, 8192),
    "CPU, 6 GiB (a container's limit)": ("4B", "Q4_K_M", Placement.CPU, 12288),
    "CPU, 8 GiB": ("8B", "Q4_K_M", Placement.CPU, 12288),
    "CPU, 16 GiB": ("8B", "Q5_K_M", Placement.CPU, 16384),
    "CPU, 32 GiB": ("30B-A3B", "Q6_K", Placement.CPU, 16384),
    "CPU, 64 GiB": ("30B-A3B", "Q8_0", Placement.CPU, 16384),
    "4 GiB VRAM, 8 GiB": ("8B", "Q6_K", Placement.PARTIAL, 16384),
    "6 GiB VRAM, 16 GiB": ("30B-A3B", "Q4_K_M", Placement.EXPERTS_IN_RAM, 16384),
    "8 GiB VRAM, 8 GiB": ("14B", "Q5_K_M", Placement.PARTIAL, 16384),
    "8 GiB VRAM, 32 GiB": ("30B-A3B", "Q8_0", Placement.EXPERTS_IN_RAM, 16384),
    "10 GiB VRAM, 16 GiB": ("30B-A3B", "Q5_K_M", Placement.EXPERTS_IN_RAM, 16384),
    "12 GiB VRAM, 16 GiB": ("30B-A3B", "Q6_K", Placement.EXPERTS_IN_RAM, 16384),
    "12 GiB VRAM, 32 GiB": ("30B-A3B", "Q8_0", Placement.EXPERTS_IN_RAM, 16384),
    "16 GiB VRAM, 32 GiB": ("30B-A3B", "Q8_0", Placement.EXPERTS_IN_RAM, 16384),
    "20 GiB VRAM, 32 GiB": ("32B", "Q4_K_M", Placement.PARTIAL, 16384),
    "24 GiB VRAM, 32 GiB": ("32B", "Q4_K_M", Placement.GPU, 16384),
    "32 GiB VRAM, 64 GiB": ("32B", "Q6_K", Placement.GPU, 16384),
    "48 GiB VRAM, 64 GiB": ("32B", "Q8_0", Placement.GPU, 16384),
    "2 × 12 GiB VRAM, 32 GiB": ("32B", "Q4_K_M", Placement.GPU, 16384),
    "2 × 24 GiB VRAM, 64 GiB": ("32B", "Q8_0", Placement.GPU, 16384),
    "Apple, 8 GB": ("1.7B", "Q8_0", Placement.GPU, 16384),
    "Apple, 16 GB": ("14B", "Q4_K_M", Placement.GPU, 16384),
    "Apple, 24 GB": ("14B", "Q6_K", Placement.GPU, 16384),
    "Apple, 32 GB": ("30B-A3B", "Q4_K_M", Placement.GPU, 16384),
    "Apple, 48 GB": ("32B", "Q6_K", Placement.GPU, 16384),
    "Apple, 64 GB": ("32B", "Q6_K", Placement.GPU, 16384),
    "Apple, 128 GB": ("32B", "Q8_0", Placement.GPU, 16384),
}


@pytest.mark.parametrize("name", PICKS)
def test_each_machine_gets_the_model_that_suits_it(name: str) -> None:
    pick = recommend(MACHINES[name]).pick
    assert pick
    found = (pick.model.name, pick.quant, pick.plan.placement, pick.plan.context.n_ctx)
    assert found == PICKS[name]


def test_every_machine_has_an_expectation() -> None:
    assert PICKS.keys() == MACHINES.keys()


@pytest.mark.parametrize("name", MACHINES)
def test_the_pick_follows_the_rule(name: str) -> None:
    machine = MACHINES[name]
    found = recommend(machine)
    assert found.pick
    better = QUALITY_ORDER[: QUALITY_ORDER.index(found.pick.model.name)]
    assert [assessment.model.name for assessment in found.rejected] == list(better)
    for rejected in found.rejected:
        assert rejected.fit in (Fit.SLOW, Fit.TOO_LARGE)
    plan = found.pick.plan
    assert plan.context.n_ctx >= MIN_N_CTX
    assert plan.tokens_per_s >= MIN_TOKENS_PER_S
    assert plan.ram_bytes <= machine.usable_ram_bytes
    assert plan.gpu_bytes <= machine.usable_gpu_bytes
    if found.fast:
        assert plan.tokens_per_s < FAST_TOKENS_PER_S <= found.fast.plan.tokens_per_s


@pytest.mark.parametrize("name", MACHINES)
def test_no_better_quant_would_do_in_the_same_place(name: str) -> None:
    pick = recommend(MACHINES[name]).pick
    assert pick
    quants = ["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
    for quant in quants[quants.index(pick.quant) + 1 :]:
        better = assess(pick.model, quant, MACHINES[name])
        assert better.fit is not Fit.GOOD or better.plan.placement is not pick.plan.placement


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", MACHINES)
def test_pick_and_rejections_say_why_in_one_line(name: str, language: Language) -> None:
    set_language(language)
    try:
        found = recommend(MACHINES[name])
        sentences = [str(found.reason), *(str(rejected.reason) for rejected in found.rejected)]
    finally:
        set_language(Language.EN)
    for sentence in sentences:
        assert any(character.isdigit() for character in sentence)
        assert "\n" not in sentence
        assert len(sentence) < 200


def test_a_rejection_says_what_is_missing() -> None:
    found = recommend(cpu(8))
    assert str(found.rejected[-1].reason) == "needs 9.4 GiB, 7.0 GiB free"


def test_a_slow_model_is_rejected_for_its_speed() -> None:
    (large,) = recommend(cpu(64)).rejected
    assert large.model.name == "32B"
    assert "only about 1.5 tok/s on the processor" in str(large.reason)


def test_the_smallest_model_is_the_last_resort() -> None:
    found = recommend(Machine(2 * GIB + 300 * MIB, 50e9))
    assert found.pick
    assert (found.pick.model.name, found.pick.plan.context.n_ctx) == ("0.6B", 4096)
    assert found.reason.key == "fit.pick.last_resort"


def test_a_machine_without_memory_gets_no_model() -> None:
    found = recommend(Machine(GIB, 50e9))
    assert found.pick is None
    assert "no room for even the smallest model" in str(found.reason)


@pytest.mark.parametrize(("n_ctx", "name"), [(8192, "32B"), (32_768, "32B"), (131_072, "30B-A3B")])
def test_a_context_that_is_asked_for_is_kept(n_ctx: int, name: str) -> None:
    pick = recommend(with_gpus(64, 24), n_ctx).pick
    assert pick
    assert (pick.model.name, pick.plan.context.n_ctx) == (name, n_ctx)


def test_a_context_beyond_what_the_model_was_made_for_is_refused() -> None:
    model = find_family_model("1.7B")
    assert model
    refused = assess(model, "Q8_0", cpu(64), 131_072)
    assert refused.fit is Fit.TOO_LARGE
    assert str(refused.reason) == "holds 40,960 tokens of context at most"


@pytest.mark.parametrize(("machine", "n_ctx"), [(cpu(64), 10**9), (cpu(4), 131_072)])
def test_a_context_that_no_model_has_room_for_is_said(machine: Machine, n_ctx: int) -> None:
    found = recommend(machine, n_ctx)
    assert found.pick is None
    assert str(found.reason) == f"No model has room for a context of {n_ctx:,} tokens here."


def test_one_memory_is_read_no_faster_by_the_processor() -> None:
    (large,) = recommend(MACHINES["Apple, 32 GB"]).rejected
    assert str(large.reason) == "fits on the GPU, but only about 4.2 tok/s"


def test_what_is_too_long_only_says_what_would_fit() -> None:
    model = find_family_model("8B")
    assert model
    refused = assess(model, "Q4_K_M", cpu(8), 32_768)
    assert str(refused.reason) == "needs 7.4 GiB, 7.0 GiB free; fits at 12K"


def test_a_processor_shortens_the_context_before_it_quantises_the_cache() -> None:
    pick = recommend(cpu(8)).pick
    assert pick
    assert pick.plan.context.kv_type is KvType.F16
    assert pick.plan.context.n_ctx < TARGET_N_CTX


def test_a_screen_keeps_more_of_a_gpu_free_than_none() -> None:
    assert Gpu("", 8 * GIB, 8 * GIB, 1e11).usable_bytes == 7 * GIB
    assert Gpu("", 8 * GIB, 8 * GIB, 1e11, drives_display=False).usable_bytes == 7 * GIB + 512 * MIB
    assert Gpu("", 20 * GIB, 48 * GIB, 1e11).usable_bytes == 20 * GIB - round(48 * GIB * 0.08)


def test_a_gpu_that_is_full_changes_nothing() -> None:
    with_full_one = with_gpus(32, 12, 1)
    assert with_full_one.gpus[1].usable_bytes == 0
    one, two = recommend(with_gpus(32, 12)).pick, recommend(with_full_one).pick
    assert one
    assert two
    assert one.plan == two.plan


def test_memory_that_is_shared_counts_once() -> None:
    machine = MACHINES["Apple, 32 GB"]
    assert machine.usable_bytes == machine.usable_ram_bytes
    model = find_family_model("32B")
    assert model
    assert assess(model, "Q6_K", machine).fit is Fit.TOO_LARGE


def test_experts_move_to_ram_only_as_far_as_they_must() -> None:
    model = find_family_model("30B-A3B")
    assert model
    moved = [assess(model, "Q4_K_M", with_gpus(32, vram)).plan.n_cpu_moe for vram in (6, 8, 12, 16, 24)]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] == 0


def test_more_memory_never_makes_the_pick_worse() -> None:
    picks = [recommend(cpu(ram)).pick for ram in range(3, 65)]
    order = [QUALITY_ORDER.index(pick.model.name) for pick in picks if pick]
    assert order == sorted(order, reverse=True)


def test_a_place_for_everything_is_the_gpu() -> None:
    model = find_family_model("8B")
    assert model
    plan = assess(model, "Q4_K_M", with_gpus(32, 24)).plan
    assert (plan.placement, plan.n_gpu_layers) == (Placement.GPU, model.shape.n_layers)
