from __future__ import annotations

import random
from pathlib import Path

import pytest

from qwen3_chat.engine.wire import DeviceKind
from qwen3_chat.engine.worker import kernel_meter
from qwen3_chat.engine.worker.kernel_meter import MeasurementError, measure_device
from qwen3_chat.engine.worker_process import measure_kernels
from qwen3_chat.texts.formatting import GIB


def test_the_processor_is_measured_through_ggml(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, smaller in {
        "MAX_ROUNDS": 2,
        "_CPU_MATRIX_BYTES": 1 << 20,
        "_MIN_MATRIX_BYTES": 1 << 10,
    }.items():
        monkeypatch.setattr(kernel_meter, name, smaller)
    monkeypatch.setattr(kernel_meter, "_CELLS", 64)
    monkeypatch.setattr(kernel_meter, "SHORT_CELLS", 16)
    monkeypatch.setattr(kernel_meter, "_EXPERTS", 16)
    measured = measure_device(0, DeviceKind.CPU, GIB)
    # so little work says nothing about the speed, only that each part of it was done
    assert all(seconds > 0 for curve in (measured.weights, measured.prompt_weights) for _, seconds in curve)
    assert min(measured.attention_s, measured.cache_read_s, measured.operation_s, measured.expert_factor) > 0
    assert [bits for bits, _ in measured.weights] == [4.5, 6.5625, 8.5, 16.0]


class Clock:
    """A machine on which a second passes with each reading, and on which others use a share of that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, others_share: float) -> None:
        self.now_s = 0.0
        monkeypatch.setattr("qwen3_chat.engine.worker.kernel_meter.time.perf_counter", self.read)
        monkeypatch.setattr(kernel_meter, "_others_s", lambda: self.now_s * others_share)
        monkeypatch.setattr("psutil.cpu_count", lambda: 4)

    def read(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.mark.parametrize(("others_share", "is_busy"), [(0.0, False), (0.3, False), (0.5, True), (4.0, True)])
def test_a_tenth_of_the_processors_is_much_work_of_others(
    monkeypatch: pytest.MonkeyPatch, others_share: float, is_busy: bool
) -> None:
    Clock(monkeypatch, others_share)
    assert kernel_meter.BusyMachine()() is is_busy


def test_a_busy_machine_is_left_alone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr(kernel_meter, "BusyMachine", lambda: lambda: True)
    monkeypatch.setattr(kernel_meter, "_all_works", lambda *_: {"work": kernel_meter._Work(None, 1, 1)})
    monkeypatch.setattr(kernel_meter._Workbench, "time_s", lambda *_: pytest.fail("this was measured"))
    assert kernel_meter.measure_devices() == ()


@pytest.mark.parametrize("seed", range(20))
def test_work_of_others_in_most_rounds_does_not_count(seed: int) -> None:
    chance = random.Random(seed)
    true_s = {f"work {number}": chance.uniform(1e-12, 1e-9) for number in range(20)}

    def disturbed(name: str) -> float:
        factor = chance.choice([1, 1.05, 1.1, chance.uniform(1, 10), chance.uniform(1, 10)])
        return true_s[name] * factor

    measured = kernel_meter.middle_times({name: name for name in true_s}, disturbed)
    assert {name: pytest.approx(seconds, rel=0.2) for name, seconds in true_s.items()} == measured


def test_of_undisturbed_rounds_the_middle_one_counts_and_not_a_lucky_one() -> None:
    """A model's speed is a median, too: beside the shortest times it seemed a third too slow."""
    seconds = iter([5.0, 1.2, 1.0, 9.0, 1.21, 1.22])
    assert kernel_meter.middle_times({"work": "work"}, lambda _: next(seconds)) == {"work": 1.205}


def test_a_machine_at_rest_is_measured_a_few_times_only() -> None:
    asked: list[str] = []

    def steady(name: str) -> float:
        asked.append(name)
        return 1e-9

    assert kernel_meter.middle_times({"work": "work"}, steady) == {"work": 1e-9}
    assert len(asked) == 1 + kernel_meter.STEADY_ROUNDS


def test_a_slow_machine_is_measured_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, 0.0)  # each round takes a second
    asked: list[str] = []

    def unsteady(name: str) -> float:
        asked.append(name)
        return 2.0 ** len(asked)

    kernel_meter.middle_times({"work": "work"}, unsteady)
    assert len(asked) == 1 + kernel_meter.MIN_ROUNDS


def test_the_starts_of_operations_count_by_themselves() -> None:
    """On two threads they counted twice: the waits for the other thread were in the weights as well."""
    works = {
        "operations": kernel_meter._Work(None, 200, 2),
        "weights": kernel_meter._Work(None, 1000, 2, n_starts=4),
        "nearly all starts": kernel_meter._Work(None, 10, 2, n_starts=4),
    }
    measured = kernel_meter.unit_times(works, {"operations": 2.0, "weights": 1.04, "nearly all starts": 0.05})
    assert measured == pytest.approx({"operations": 0.01, "weights": 0.001, "nearly all starts": 0.0025})


def test_a_device_without_memory_is_not_measured() -> None:
    with pytest.raises(MeasurementError):
        measure_device(0, DeviceKind.CPU, 1 << 20)


@pytest.mark.full
async def test_a_process_of_its_own_measures_all_devices(tmp_path: Path) -> None:
    for device in await measure_kernels(tmp_path / "engine.log"):  # none where other programs are busy
        assert device.kernels.is_plausible
        assert 1e9 < device.kernels.bytes_per_s < 1e13
