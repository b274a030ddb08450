from __future__ import annotations

import asyncio
import platform
from functools import partial
from pathlib import Path

import msgspec
import pytest

from qwen3_chat.engine.wire import Device, DeviceKind, MeasuredDevice
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware import Hardware, SystemRam, measured_kernels, probe_hardware
from qwen3_chat.models.hardware.measured_kernels import read_kernels, read_or_measure
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.formatting import GIB
from tests.models.fit.machines import KERNELS

CPU = Device("CPU", "A processor", "CPU", DeviceKind.CPU, 32 * GIB, 32 * GIB)
GPU = Device("CUDA0", "A card", "CUDA", DeviceKind.GPU, 8 * GIB, 8 * GIB)
MEASURED = (
    MeasuredDevice("A processor", KERNELS),
    MeasuredDevice("A card", replace(KERNELS, operation_s=1e-5)),
)


async def measure() -> tuple[MeasuredDevice, ...]:
    return MEASURED


async def test_a_measurement_is_stored_for_this_machine_alone(tmp_path: Path) -> None:
    file = tmp_path / "data" / "kernels.json"
    assert await read_or_measure(file, "mine", None) == ()
    assert await read_or_measure(file, "mine", measure) == MEASURED
    assert await read_or_measure(file, "mine", None) == MEASURED
    assert read_kernels(file, "another") == ()


async def test_what_other_programs_disturbed_is_measured_at_a_later_start(tmp_path: Path) -> None:
    async def measure_beside_others() -> tuple[MeasuredDevice, ...]:
        return ()

    file = tmp_path / "kernels.json"
    assert await read_or_measure(file, "mine", measure_beside_others) == ()
    assert not file.exists()
    assert await read_or_measure(file, "mine", measure) == MEASURED


async def test_what_contradicts_itself_is_not_kept_either(tmp_path: Path) -> None:
    spoilt = replace(KERNELS, narrow_weights=((4.5, 5e-10), *KERNELS.narrow_weights[1:]))

    async def measure_disturbed() -> tuple[MeasuredDevice, ...]:
        return (replace(MEASURED[0], kernels=spoilt),)

    file = tmp_path / "kernels.json"
    assert await read_or_measure(file, "mine", measure_disturbed) == ()
    assert await read_or_measure(file, "mine", measure) == MEASURED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 60_000,
        b"\xff" * 90_000,
        b'{"version":1,"machine":"mine","devices":[{"description":"A processor","kernels":{}}]}',
        msgspec.json.encode({"version": 0, "machine": "mine", "devices": MEASURED}),
    ],
)
def test_a_damaged_store_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kernels.json"
    file.write_bytes(content)
    assert read_kernels(file, "mine") == ()


@pytest.mark.parametrize(
    "kernels",
    [
        replace(KERNELS, operation_s=-1.0),
        replace(KERNELS, attention_s=0.0),
        replace(KERNELS, expert_factor=1e9),
        replace(KERNELS, weights=()),
        replace(KERNELS, weights=((8.5, 1e-10), (4.5, 1e-10))),
        replace(KERNELS, prompt_weights=((4.5, 1e9),)),
    ],
)
async def test_figures_that_no_device_can_have_are_left_out(tmp_path: Path, kernels: object) -> None:
    file = tmp_path / "kernels.json"
    stored = {
        "version": 1,
        "machine": "mine",
        "devices": [{"description": "A processor", "kernels": kernels}],
    }
    file.write_bytes(msgspec.json.encode(stored))
    assert read_kernels(file, "mine") == ()


async def test_a_measurement_that_fails_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> tuple[MeasuredDevice, ...]:
        raise EngineError(ErrorCode.ENGINE_EXITED, status=1)

    async def hang() -> tuple[MeasuredDevice, ...]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(measured_kernels, "TIMEOUT_S", 0.01)
    for meter in (fail, hang):
        assert await read_or_measure(tmp_path / "kernels.json", "mine", meter) == ()
    assert not (tmp_path / "kernels.json").exists()


def test_each_device_gets_the_speeds_that_were_measured_on_it() -> None:
    machine = Hardware("A processor", 8, SystemRam(32 * GIB, 30 * GIB), (CPU, GPU), measured=MEASURED).machine
    assert machine.kernels == MEASURED[0].kernels
    assert machine.gpus[0].kernels == MEASURED[1].kernels


async def test_a_probe_measures_once(tmp_path: Path) -> None:
    calls = 0

    async def count() -> tuple[MeasuredDevice, ...]:
        nonlocal calls
        calls += 1
        return MEASURED

    async def devices() -> tuple[Device, ...]:
        return CPU, GPU

    for _ in range(2):
        found = await probe_hardware(devices, data_folder=tmp_path, measure=count)
        assert found.machine.kernels == KERNELS
    assert calls == 1


@pytest.mark.parametrize(("has_gpu", "n_measured"), [(True, 2), (False, 1)])
async def test_a_gpu_is_measured_again_with_another_driver(
    has_gpu: bool, n_measured: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def count() -> tuple[MeasuredDevice, ...]:
        nonlocal calls
        calls += 1
        return MEASURED

    async def devices() -> tuple[Device, ...]:
        return (CPU, GPU) if has_gpu else (CPU,)

    for release in ("6.12.0", "6.12.0", "7.0.1"):
        monkeypatch.setattr(platform, "release", partial(str, release))
        await probe_hardware(devices, data_folder=tmp_path, measure=count)
    assert calls == n_measured
