"""What a draft model costs a large one and brings it, and where one is used that nobody named."""

from __future__ import annotations

import pytest

from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit import Machine, assess
from qwen3_chat.models.fit.drafts import (
    DraftAssessment,
    DraftCandidate,
    assess_draft,
    drafts_by_itself,
    without_memory,
)
from qwen3_chat.models.observed_runs import ObservedRun
from qwen3_chat.record_copies import replace
from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import GIB
from tests.models.fit.machines import apple, cpu, with_gpus


def assessed(
    name: str, machine: Machine, *installed: str, quant: str = "Q4_K_M", n_ctx: int | None = None
) -> DraftAssessment | None:
    model = find_family_model(name)
    assert model is not None
    candidates = []
    for draft_name in installed:
        draft = find_family_model(draft_name)
        assert draft is not None
        candidates.append(DraftCandidate(draft, "Q8_0", draft.size_bytes("Q8_0"), is_installed=True))
    return assess_draft(assess(model, quant, machine, n_ctx), machine, candidates)


@pytest.mark.parametrize(
    ("name", "installed", "expected"),
    [
        ("8B", ("1.7B", "0.6B"), "0.6B"),
        ("14B", ("1.7B", "0.6B"), "1.7B"),
        ("32B", ("0.6B",), "0.6B"),
        ("32B", (), "1.7B"),
        ("4B", ("0.6B",), None),
        ("30B-A3B", ("0.6B",), None),
        ("Qwen3.6-27B", ("0.6B",), None),
    ],
)
def test_the_draft_model_is_an_eighth_of_a_dense_one_and_rather_one_that_is_there(
    name: str, installed: tuple[str, ...], expected: str | None
) -> None:
    assessment = assessed(name, with_gpus(64, 48), *installed)
    assert (assessment.candidate.model.name if assessment else None) == expected


def test_both_memories_are_told_and_that_nothing_was_measured() -> None:
    machine = with_gpus(32, 24)
    assessment = assessed("8B", machine, "0.6B")
    assert assessment is not None
    assert assessment.plan is not None
    assert assessment.candidate.size_bytes < assessment.need_bytes < assessment.total_bytes
    assert assessment.speedup is None
    assert assessment.is_automatic
    assert "not measured on this machine" in assessment.verdict
    assert "--draft 0.6B takes " in assessment.verdict
    set_language(Language.ZH)
    try:
        assert "本机尚未测量" in assessment.verdict
    finally:
        set_language(Language.EN)


def test_a_long_context_is_not_paid_for_twice() -> None:
    long, short = (assessed("8B", with_gpus(64, 48), "0.6B", n_ctx=n) for n in (40_960, 16_384))
    assert long is not None
    assert short is not None
    assert long.need_bytes == short.need_bytes


def test_a_large_model_keeps_its_place() -> None:
    machine = with_gpus(32, 8)
    alone = assess(find_family_model("8B"), "Q4_K_M", machine)  # type: ignore[arg-type]
    assert not alone.plan.n_cpu_moe
    assessment = assessed("8B", without_memory(machine, round(0.4 * GIB)), "0.6B")
    assert assessment is not None
    assert assessment.plan is None
    assert not assessment.is_automatic
    assert assessment.verdict.endswith("for which there is no room")


def observed(machine: Machine, speedup: float) -> Machine:
    model = find_family_model("8B")
    draft = find_family_model("0.6B")
    assert model is not None
    assert draft is not None
    plan = assess(model, "Q4_K_M", machine).plan
    run = ObservedRun(
        model.shape.architecture,
        model.shape.parameters,
        model.weights("Q4_K_M").total_bytes,
        plan.n_gpu_layers,
        plan.n_cpu_moe,
        "f16",
        plan.context.n_ctx,
        0,
        (),
        draft.shape.parameters,
        speedup,
    )
    return replace(machine, observed=(run,))


@pytest.mark.parametrize(("speedup", "is_automatic"), [(1.3, True), (1.01, False), (0.7, False)])
@pytest.mark.parametrize("machine", [cpu(64), with_gpus(32, 24)], ids=["processor", "GPU"])
def test_a_measurement_decides(machine: Machine, speedup: float, is_automatic: bool) -> None:
    assessment = assessed("8B", observed(machine, speedup), "0.6B")
    assert assessment is not None
    assert assessment.speedup == speedup
    assert assessment.is_automatic is is_automatic
    assert f"{speedup:.2f} × as fast, measured here" in assessment.verdict


@pytest.mark.parametrize(
    ("machine", "is_all_on_gpu", "expected"),
    [
        (with_gpus(32, 24), True, True),
        (with_gpus(32, 24), False, False),
        (with_gpus(32, 24, 24), True, False),
        (apple(64), True, False),
        (cpu(64), False, False),
    ],
    ids=["one GPU", "partly", "two GPUs", "shared memory", "processor"],
)
def test_without_a_measurement_only_one_gpu_with_its_own_memory_counts(
    machine: Machine, is_all_on_gpu: bool, expected: bool
) -> None:
    assert drafts_by_itself(machine, is_all_on_gpu, None) is expected
