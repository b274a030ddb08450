"""Where a draft model that nobody named is used, and the room that is left for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.load_planner import LoadPlanner
from qwen3_chat.engine.wire import Device
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.gguf import read_file
from qwen3_chat.models.observed_runs import ObservedRun
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings
from tests.models.fit.machines import apple, cpu, with_gpus

LARGE, SMALL = Shape(2, 512, 1024, 4, 2, 64), Shape(1, 32, 32, 1, 1, 32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    large, small = folder / "large.gguf", folder / "small.gguf"
    write_model(large, LARGE, is_hollow=True)
    write_model(small, SMALL, is_hollow=True)
    return large, small


async def plan_of(files: tuple[Path, Path], machine: Machine, *, is_named: bool = False) -> LoadPlan:
    async def probe(list_devices: object) -> Machine:
        return machine

    async def list_devices() -> tuple[Device, ...]:
        return ()

    large, small = files
    settings = LoadSettings(str(large), draft=str(small), drafts_on_gpu_only=not is_named)
    plan, _ = await LoadPlanner(settings, probe).plan(list_devices)
    return plan


def measured(files: tuple[Path, Path], machine: Machine, speedup: float, n_gpu_layers: int = 0) -> Machine:
    large, small = (read_file(file) for file in files)
    assert large.shape is not None
    assert large.weights is not None
    assert small.shape is not None
    run = ObservedRun(
        large.architecture,
        large.shape.parameters,
        large.weights.total_bytes,
        n_gpu_layers,
        0,
        "f16",
        40_960,
        0,
        (),
        small.shape.parameters,
        speedup,
    )
    return replace(machine, observed=(run,))


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(with_gpus(32, 24), 2), (with_gpus(32, 12, 12), None), (apple(32), None), (cpu(32), None)],
    ids=["one GPU", "two GPUs", "shared memory", "processor"],
)
async def test_what_nobody_named_drafts_on_one_gpu_only(
    files: tuple[Path, Path], machine: Machine, expected: int | None
) -> None:
    plan = await plan_of(files, machine)
    assert plan.auto_draft_gpu_layers == expected
    assert plan.drafts_by_itself is (expected is not None)


async def test_a_measurement_decides_on_a_processor_and_on_a_gpu(files: tuple[Path, Path]) -> None:
    assert (await plan_of(files, measured(files, cpu(32), 1.3))).drafts_by_itself
    assert not (await plan_of(files, measured(files, cpu(32), 0.9))).drafts_by_itself
    assert not (
        await plan_of(files, measured(files, with_gpus(32, 24), 0.9, n_gpu_layers=2))
    ).drafts_by_itself


async def test_a_load_that_falls_back_to_other_memory_has_no_draft_model(files: tuple[Path, Path]) -> None:
    plan = await plan_of(files, with_gpus(32, 24))
    assert not plan.with_placement(0, 0).drafts_by_itself


async def test_a_named_draft_model_takes_its_memory_from_the_plan(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    huge = tmp_path / "huge.gguf"
    write_model(huge, Shape(8, 4096, 8192, 32, 8, 128), is_hollow=True)
    machine = cpu(3)
    alone = await plan_of((files[0], files[1]), machine, is_named=True)
    beside = await plan_of((files[0], huge), machine, is_named=True)
    assert beside.n_ctx < alone.n_ctx
    assert alone.auto_draft_gpu_layers is None
