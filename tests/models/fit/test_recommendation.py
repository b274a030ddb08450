from __future__ import annotations

import random
from itertools import pairwise

import pytest

from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.catalog.quality import load_quality
from qwen3_chat.models.fit import (
    Assessment,
    Fit,
    Machine,
    OfferKind,
    Placement,
    assess,
    best_assessment,
    recommend,
)
from qwen3_chat.models.fit.assessment import MIN_N_CTX, MIN_TOKENS_PER_S, TARGET_N_CTX
from qwen3_chat.models.fit.machine import Gpu
from qwen3_chat.models.fit.offers import FAST_TOKENS_PER_S, SAME_SPEED, shortest_answer_seconds
from qwen3_chat.models.fit.placement import PLENTY_SHARE
from qwen3_chat.models.fit.recommendation import MAX_REJECTED, Recommendation
from qwen3_chat.models.kernel_speeds import Curve
from qwen3_chat.models.picker.offer_text import describe_offers, grouped_offers
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType
from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import GIB, MIB
from tests.models.fit.machines import KERNELS, MACHINES, cpu, with_gpus

PICKS = {
    "CPU, 4 GiB": ("1.7B", "1.7B", "1.7B"),
    "CPU, 8 GiB": ("4B-Instruct-2507", "4B", "1.7B"),
    "CPU, 32 GiB": ("30B-A3B-Instruct-2507", "30B-A3B", "1.7B"),
    "8 GiB VRAM, 32 GiB": ("30B-A3B-Instruct-2507", "30B-A3B", "4B-Instruct-2507"),
    "24 GiB VRAM, 32 GiB": ("30B-A3B-Thinking-2507", "30B-A3B", "30B-A3B-Instruct-2507"),
    "Apple, 16 GB": ("4B-Instruct-2507", "4B", "4B-Instruct-2507"),
    "Apple, 32 GB": ("30B-A3B", "30B-A3B", "30B-A3B-Instruct-2507"),
}


@pytest.mark.parametrize("name", PICKS)
def test_each_machine_gets_three_models_that_suit_it(name: str) -> None:
    offers = recommend(MACHINES[name]).offers
    assert tuple(offer.kind for offer in offers) == tuple(OfferKind)
    assert tuple(offer.assessment.model.name for offer in offers) == PICKS[name]


def best_of(machine: Machine) -> Assessment:
    pick = recommend(machine).pick
    assert pick
    return pick


def test_a_large_machine_gets_the_flagship_and_not_a_dense_model_in_eight_bits() -> None:  # C6
    pick = best_of(with_gpus(256, 192))
    assert pick.model.name.startswith("235B-A22B-")
    assert pick.plan.tokens_per_s > 30


@pytest.mark.parametrize("machine", [with_gpus(32, 8), with_gpus(32, 8, 8)], ids=["8", "2 × 8"])
def test_no_quant_is_offered_that_is_too_large_for_comfort(machine: Machine) -> None:  # C6
    for offer in recommend(machine).offers:
        if offer.assessment.model.name.startswith("30B"):
            assert offer.assessment.quant not in ("Q6_K", "Q8_0")
            assert offer.assessment.plan.tokens_per_s > 18


def test_a_model_wholly_on_the_gpu_is_preferred_to_a_slow_half_of_a_larger_one() -> None:  # C6
    pick = best_of(with_gpus(64, 20))
    assert pick.plan.placement is Placement.GPU
    assert pick.plan.tokens_per_s > 90


@pytest.mark.parametrize("name", ["CPU, 32 GiB", "24 GiB VRAM, 32 GiB"])
@pytest.mark.parametrize("model_name", ["4B", "8B"])
def test_no_repository_is_advised_in_more_bits_than_are_worth_their_time(
    name: str, model_name: str
) -> None:  # C6
    model, machine = find_family_model(model_name), MACHINES[name]
    assert model
    quants = ("Q4_K_M", "Q6_K", "Q8_0", "BF16")
    variants = [assess(model, quant, machine) for quant in quants]
    assert variants[-1].fit is not Fit.TOO_LARGE
    advised = best_assessment(variants, machine)
    assert advised
    assert advised.quant != "BF16"


def test_two_slow_cores_are_not_promised_a_good_pace_in_eight_bits() -> None:  # C6
    pick = best_of(Machine(int(17.7 * GIB), 40e9))
    assert pick.quant == "Q4_K_M"
    assert pick.plan.tokens_per_s > 8


def test_a_context_is_as_long_as_is_useful_where_memory_is_plentiful() -> None:  # C6
    assert best_of(with_gpus(128, 139)).plan.context.n_ctx > 32_768
    assert best_of(with_gpus(32, 24)).plan.context.n_ctx == TARGET_N_CTX


def test_a_long_context_leaves_most_of_the_ram_to_other_programs() -> None:
    for machine in MACHINES.values():
        for offer in recommend(machine).offers:
            plan = offer.assessment.plan
            if plan.context.n_ctx > TARGET_N_CTX:
                in_ram = plan.need_bytes if machine.is_unified else plan.ram_bytes
                assert in_ram <= PLENTY_SHARE * machine.usable_ram_bytes


@pytest.mark.parametrize("name", MACHINES)
def test_the_offers_follow_the_rule(name: str) -> None:
    machine = MACHINES[name]
    found = recommend(machine)
    best, balanced, quick = found.offers
    for offer in found.offers:
        plan = offer.assessment.plan
        assert plan.context.n_ctx >= MIN_N_CTX
        assert plan.tokens_per_s >= MIN_TOKENS_PER_S
        assert plan.ram_bytes <= machine.usable_ram_bytes
        assert plan.gpu_bytes <= machine.usable_gpu_bytes
        assert offer.assessment.quant in load_quality().quants.offered
    assert balanced.answer_s
    assert balanced.thinking_answer_s
    assert best.answer_s or best.thinking_answer_s
    assert quick.assessment.plan.tokens_per_s >= FAST_TOKENS_PER_S


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", MACHINES)
def test_offers_and_rejections_say_why_in_one_line(name: str, language: Language) -> None:
    set_language(language)
    try:
        found = recommend(MACHINES[name])
        sentences = [describe_offers(offers, found) for offers in grouped_offers(found)]
        sentences += [str(rejected.reason) for rejected in found.rejected]
    finally:
        set_language(Language.EN)
    for sentence in sentences:
        assert any(character.isdigit() for character in sentence)
        assert "\n" not in sentence
        assert len(sentence) < 300


def test_a_rejection_says_what_is_missing() -> None:
    reasons = {
        rejected.assessment.model.name: str(rejected.reason) for rejected in recommend(cpu(8)).rejected
    }
    assert reasons["14B"] == "needs 9.4 GiB, 7.0 GiB free"


def test_a_slow_model_is_rejected_for_its_speed() -> None:
    rejected = recommend(cpu(64)).rejected
    assert MAX_REJECTED >= len(rejected) > 0
    reasons = {rejection.assessment.model.name: str(rejection.reason) for rejection in rejected}
    assert "only about 1.5 tok/s on the processor" in reasons["32B"]


def test_a_model_that_would_think_for_minutes_is_rejected_for_the_wait() -> None:
    reasons = [str(rejected.reason) for rejected in recommend(cpu(8)).rejected]
    assert "answers take about 7 min" in reasons


def test_more_quality_is_never_offered_for_less_speed_to_the_quick() -> None:
    for machine in MACHINES.values():
        best, _, quick = recommend(machine).offers
        assert quick.assessment.plan.tokens_per_s >= min(FAST_TOKENS_PER_S, best.assessment.plan.tokens_per_s)


@pytest.mark.parametrize("name", PICKS)
def test_the_quick_model_writes_no_slower_than_the_best_one(name: str) -> None:  # C6
    best, _, quick = (offer.assessment for offer in recommend(MACHINES[name]).offers)
    assert quick.plan.tokens_per_s >= best.plan.tokens_per_s


@pytest.mark.parametrize("name", MACHINES)
def test_a_quicker_offer_is_neither_larger_nor_slower(name: str) -> None:
    assert_ordered(recommend(MACHINES[name]))


@pytest.mark.parametrize("ram_gib", [8, 16, 32, 64, 256])
@pytest.mark.parametrize("seed", range(8))
def test_offers_keep_their_order_whatever_was_measured(seed: int, ram_gib: int) -> None:
    chance = random.Random(seed)

    def disturbed(curve: Curve) -> Curve:
        return tuple((bits, seconds * chance.choice([1, 1, 1.5, 3, 6])) for bits, seconds in curve)

    kernels = replace(
        KERNELS, weights=disturbed(KERNELS.weights), narrow_weights=disturbed(KERNELS.narrow_weights)
    )
    assert_ordered(recommend(replace(cpu(ram_gib), kernels=kernels)))


def assert_ordered(found: Recommendation) -> None:
    assessments = [offer.assessment for offer in found.offers]
    for better, quicker in pairwise(assessments):
        assert quicker.model.shape.parameters <= better.model.shape.parameters
        assert quicker.plan.tokens_per_s >= SAME_SPEED * better.plan.tokens_per_s
        assert SAME_SPEED * shortest_answer_seconds(quicker) <= shortest_answer_seconds(better)


def test_a_quick_answer_comes_sooner_than_thinking_takes() -> None:
    """On an H100 the quick offer was a model that always thinks, for 15 s, below one that answers in 2 s."""
    vram_gib, bandwidth = 80, 3.35e12
    card = Gpu("", vram_gib * GIB, vram_gib * GIB, bandwidth, drives_display=False)
    quick = recommend(replace(cpu(512), gpus=(card,))).offers[-1]
    assert quick.answer_s is not None
    assert quick.answer_s < 5


def test_a_large_machine_is_not_slowed_down_by_its_quick_model() -> None:  # C6
    machine = Machine(64 * GIB, 80e9, (Gpu("", 32 * GIB, 32 * GIB, 1792e9),))
    best, _, quick = (offer.assessment for offer in recommend(machine).offers)
    assert quick.model.name == "30B-A3B-Instruct-2507"
    assert quick.plan.tokens_per_s >= best.plan.tokens_per_s > 100


def test_offers_are_not_changed_by_what_other_programs_take_at_the_moment() -> None:  # C6
    steady, busy = cpu(32), cpu(12)
    assert recommend(steady, now=busy).pick == recommend(steady).pick
    first = recommend(steady, now=busy).offers[0]
    assert first.is_postponed
    assert "close some first" in describe_offers([first], recommend(steady, now=busy))
    assert not recommend(steady, now=steady).offers[0].is_postponed


def test_the_smallest_model_is_the_last_resort() -> None:
    found = recommend(Machine(2 * GIB + 50 * MIB, 50e9))
    assert found.pick
    assert (found.pick.model.name, found.pick.plan.context.n_ctx) == ("0.6B", 4096)
    assert found.reason.key == "fit.pick.last_resort"


def test_a_machine_without_memory_gets_no_model() -> None:
    found = recommend(Machine(GIB, 50e9))
    assert found.pick is None
    assert "no room for even the smallest model" in str(found.reason)


@pytest.mark.parametrize("n_ctx", [8192, 32_768, 131_072])
def test_a_context_that_is_asked_for_is_kept(n_ctx: int) -> None:
    for offer in recommend(with_gpus(64, 24), n_ctx).offers:
        assert offer.assessment.plan.context.n_ctx == n_ctx


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
    model = find_family_model("32B")
    assert model
    assert str(assess(model, "Q4_K_M", MACHINES["Apple, 32 GB"]).reason) == (
        "fits on the GPU, but only about 4.2 tok/s"
    )


def test_what_is_too_long_only_says_what_would_fit() -> None:
    model = find_family_model("8B")
    assert model
    refused = assess(model, "Q4_K_M", cpu(8), 32_768)
    assert str(refused.reason) == "needs 7.4 GiB, 7.0 GiB free; fits at 12K"


def test_a_processor_shortens_the_context_before_it_quantises_the_cache() -> None:
    model = find_family_model("8B")
    assert model
    plan = assess(model, "Q4_K_M", cpu(8)).plan
    assert plan.context.kv_type is KvType.F16
    assert plan.context.n_ctx < TARGET_N_CTX


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


def test_more_memory_never_makes_the_best_answers_worse() -> None:
    quality = {rated.name: rated.best_points for rated in load_quality().models}
    points = [quality[pick.model.name] for ram in range(3, 65) if (pick := recommend(cpu(ram)).pick)]
    assert points == sorted(points)


def test_a_place_for_everything_is_the_gpu() -> None:
    model = find_family_model("8B")
    assert model
    plan = assess(model, "Q4_K_M", with_gpus(32, 24)).plan
    assert (plan.placement, plan.n_gpu_layers) == (Placement.GPU, model.shape.n_layers)
