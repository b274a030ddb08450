from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit import Assessment, Machine, assess
from qwen3_chat.models.fit.placement import MAX_EXCESS
from qwen3_chat.models.observed_runs import ObservedRun, ObservedSpeed, find_draft_speedup
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import Language, set_language
from tests.models.fit.machines import KERNELS, cpu

MACHINE = replace(cpu(32), kernels=KERNELS)


def assessed(quant: str, machine: Machine = MACHINE) -> Assessment:
    model = find_family_model("4B")
    assert model
    return assess(model, quant, machine)


def run_of(
    assessment: Assessment, *tokens_per_s: float, depth: int = 2048, held_bytes: int = 0
) -> ObservedRun:
    model, plan = assessment.model, assessment.plan
    return ObservedRun(
        architecture=model.shape.architecture,
        parameters=model.shape.parameters,
        size_bytes=model.weights(assessment.quant).total_bytes + 1000,
        n_gpu_layers=plan.n_gpu_layers,
        n_cpu_moe=plan.n_cpu_moe,
        kv_type=plan.context.kv_type.value,
        n_ctx=plan.context.n_ctx,
        held_bytes=held_bytes,
        speeds=tuple(ObservedSpeed(depth, speed) for speed in tokens_per_s),
    )


def after(*runs: ObservedRun) -> Machine:
    return replace(MACHINE, observed=runs)


def test_the_observed_speed_is_the_next_prediction_and_is_said() -> None:
    before = assessed("Q4_K_M")
    found = assessed("Q4_K_M", after(run_of(before, 6.0, 2.0, 5.0)))
    assert found.plan.tokens_per_s == pytest.approx(5.0)
    assert found.plan.is_observed
    assert str(found.reason).endswith("about 5.0 tok/s, measured here")
    set_language(Language.ZH)
    try:
        assert str(found.reason).endswith("，本机实测")
    finally:
        set_language(Language.EN)


def test_a_speed_in_a_short_chat_is_carried_over_to_the_usual_one() -> None:
    before = assessed("Q4_K_M")
    found = assessed("Q4_K_M", after(run_of(before, 5.0, depth=1)))
    assert found.plan.tokens_per_s < 4.9


def test_other_models_and_quants_stay_predicted() -> None:
    run = run_of(assessed("Q4_K_M"), 1.0)
    others = (run, replace(run, parameters=run.parameters * 2), replace(run, n_gpu_layers=3))
    assert assessed("Q8_0", after(*others)).plan == assessed("Q8_0").plan
    assert not assessed("Q4_K_M", after(*others[1:])).plan.is_observed


def test_only_more_memory_than_predicted_counts() -> None:
    before = assessed("Q4_K_M")
    need = before.plan.ram_bytes
    for held, counted in ((need // 2, need), (round(need * 1.2), round(need * 1.2)), (need * 3, need)):
        assert held / need < MAX_EXCESS or counted == need
        found = assessed("Q4_K_M", after(run_of(before, 5.0, held_bytes=held)))
        assert found.plan.ram_bytes == counted


def test_a_later_run_keeps_the_latest_speeds() -> None:
    run = run_of(assessed("Q4_K_M"), 1.0, 2.0, 3.0, 4.0, held_bytes=10)
    later = run.followed_by(replace(run, speeds=(ObservedSpeed(5, 9.0), ObservedSpeed(5, 8.0)), held_bytes=7))
    assert [speed.tokens_per_s for speed in later.speeds] == [2.0, 3.0, 4.0, 9.0, 8.0]
    assert later.held_bytes == 10


def test_a_run_with_a_draft_model_is_no_measure_of_the_model_alone() -> None:
    before = assessed("Q4_K_M")
    drafted = replace(run_of(before, 50.0, held_bytes=1 << 34), draft_parameters=600, draft_speedup=1.5)
    found = assessed("Q4_K_M", after(drafted))
    assert found.plan.tokens_per_s == before.plan.tokens_per_s
    assert not found.plan.is_observed


def test_the_speedup_by_a_draft_model_is_of_one_model_in_one_placement() -> None:
    before = assessed("Q4_K_M")
    run = replace(run_of(before), draft_parameters=600, draft_speedup=1.5)
    network = (run.architecture, run.parameters, run.size_bytes)
    assert find_draft_speedup([run], network, 0, 0, 600) == 1.5
    assert find_draft_speedup([run], network, 3, 0, 600) is None
    assert find_draft_speedup([run], network, 0, 0, 1700) is None
    assert find_draft_speedup([replace(run, draft_speedup=0.0)], network, 0, 0, 600) is None
    assert not run.has_same_plan(run_of(before))


def test_later_replies_change_a_speedup_little_by_little() -> None:
    run = replace(run_of(assessed("Q4_K_M")), draft_parameters=600, draft_speedup=1.5)
    assert run.followed_by(replace(run, draft_speedup=0.5)).draft_speedup == pytest.approx(1.1)
    assert run.followed_by(replace(run, draft_speedup=0.0)).draft_speedup == 1.5
