from __future__ import annotations

import random
from pathlib import Path

import pytest

from qwen3_chat.engine.wire import DeviceKind
from qwen3_chat.engine.worker import kernel_meter
from qwen3_chat.engine.worker.kernel_meter import MeasurementError, measure_device
from qwen3_chat.engine.worker_process import measure_kernels
from qwen3_chat.texts.formatting import GIB
from tests.models.fit.machines import KERNELS


def test_the_processor_is_measured_through_ggml(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, smaller in {
        "MIN_ROUNDS": 2,
        "MAX_ROUNDS": 2,
        "_CPU_MATRIX_BYTES": 1 << 20,
        "_MIN_MATRIX_BYTES": 1 << 10,
    }.items():
        monkeypatch.setattr(kernel_meter, name, smaller)
    monkeypatch.setattr(kernel_meter, "_CELLS", 64)
    monkeypatch.setattr(kernel_meter, "_EXPERTS", 16)
    measured = measure_device(0, DeviceKind.CPU, GIB)
    # so little work says nothing about the speed, only that each part of it was done
    assert all(seconds > 0 for curve in (measured.weights, measured.prompt_weights) for _, seconds in curve)
    assert min(measured.attention_s, measured.cache_read_s, measured.operation_s, measured.expert_factor) > 0
    assert [bits for bits, _ in measured.weights] == [4.5, 6.5625, 8.5, 16.0]


@pytest.mark.parametrize(("others_s", "is_undisturbed"), [(0.0, True), (1e6, False)])
def test_the_work_of_other_programs_is_noted(
    monkeypatch: pytest.MonkeyPatch, others_s: float, is_undisturbed: bool
) -> None:
    used = iter((0.0, others_s))
    monkeypatch.setattr(kernel_meter, "_others_s", lambda: next(used))
    monkeypatch.setattr(kernel_meter, "measure_device", lambda *_: KERNELS)
    monkeypatch.setattr("os.nice", lambda _: 0)
    (measured,) = kernel_meter.measure_devices()
    assert measured.is_undisturbed is is_undisturbed


@pytest.mark.parametrize("seed", range(20))
def test_work_of_others_in_most_rounds_does_not_count(seed: int) -> None:
    chance = random.Random(seed)
    true_s = {f"work {number}": chance.uniform(1e-12, 1e-9) for number in range(20)}

    def disturbed(name: str) -> float:
        factor = chance.choice([1, 1.05, 1.1, chance.uniform(1, 10), chance.uniform(1, 10)])
        return true_s[name] * factor

    measured = kernel_meter.shortest_times({name: name for name in true_s}, disturbed)
    assert {name: pytest.approx(seconds, rel=0.2) for name, seconds in true_s.items()} == measured


def test_a_machine_at_rest_is_measured_a_few_times_only() -> None:
    asked: list[str] = []

    def steady(name: str) -> float:
        asked.append(name)
        return 1e-9

    assert kernel_meter.shortest_times({"work": "work"}, steady) == {"work": 1e-9}
    assert len(asked) == 1 + kernel_meter.MIN_ROUNDS


def test_a_device_without_memory_is_not_measured() -> None:
    with pytest.raises(MeasurementError):
        measure_device(0, DeviceKind.CPU, 1 << 20)


@pytest.mark.full
async def test_a_process_of_its_own_measures_all_devices(tmp_path: Path) -> None:
    measured = await measure_kernels(tmp_path / "engine.log")
    assert measured
    assert all(device.kernels.is_plausible for device in measured)
    assert 1e9 < measured[0].kernels.bytes_per_s < 1e13
