from __future__ import annotations

import asyncio

import pytest

from qwen3_chat.engine.wire import Device, DeviceKind
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, UsageError
from qwen3_chat.models.fit import recommend
from qwen3_chat.models.hardware import (
    Hardware,
    System,
    SystemGpu,
    SystemRam,
    Vendor,
    advise_build,
    override_machine,
    probe_hardware,
)
from qwen3_chat.texts.formatting import GIB

RAM = SystemRam(32 * GIB, 28 * GIB)
CPU = Device("CPU", "A processor", "CPU", DeviceKind.CPU, 32 * GIB, 32 * GIB)
CUDA = Device("CUDA0", "NVIDIA GeForce RTX 4090", "CUDA", DeviceKind.GPU, 22 * GIB, 24 * GIB)
INTEGRATED = Device("Vulkan1", "Radeon 780M", "Vulkan", DeviceKind.INTEGRATED_GPU, 14 * GIB, 16 * GIB)
METAL = Device("Metal", "Apple M4", "Metal", DeviceKind.GPU, 20 * GIB, 21 * GIB)
NVIDIA = SystemGpu(Vendor.NVIDIA, "NVIDIA GeForce RTX 4090", 24 * GIB, 22 * GIB, cuda_version=(12, 6))
AMD = SystemGpu(Vendor.AMD, "Radeon RX 7900 XTX", 24 * GIB, 23 * GIB)
INTEL = SystemGpu(Vendor.INTEL, "Intel Arc B580", 12 * GIB, 12 * GIB)
APPLE = SystemGpu(Vendor.APPLE, "Apple M4", 16 * GIB, 12 * GIB)
GRAPHICS = SystemGpu(Vendor.INTEL, "Intel 0x9a49", 0, 0, is_integrated=True)


def hardware(
    *devices: Device, gpus: tuple[SystemGpu, ...] = (), failure: EngineError | None = None
) -> Hardware:
    return Hardware("A processor", 8, RAM, devices, gpus, failure)


def test_a_model_uses_the_gpus_that_llama_cpp_sees() -> None:
    machine = hardware(CPU, CUDA, INTEGRATED, gpus=(NVIDIA,)).machine
    (gpu,) = machine.gpus
    assert (gpu.name, gpu.free_bytes, gpu.shares_ram) == (CUDA.description, 22 * GIB, False)
    assert gpu.bandwidth_bytes_per_s == 1008e9
    assert machine.ram_free_bytes == 28 * GIB


def test_an_integrated_gpu_is_used_where_there_is_no_other_and_its_memory_counts_once() -> None:
    machine = hardware(CPU, INTEGRATED).machine
    assert machine.is_unified
    assert machine.usable_bytes == machine.usable_ram_bytes


def test_an_apple_chip_has_one_memory() -> None:
    machine = hardware(CPU, METAL).machine
    assert machine.is_unified
    assert machine.gpus[0].bandwidth_bytes_per_s == machine.ram_bandwidth_bytes_per_s == 120e9


def test_a_card_without_a_screen_has_more_room() -> None:
    headless = SystemGpu(Vendor.NVIDIA, CUDA.description, 24 * GIB, 22 * GIB, drives_display=False)
    (shown,) = hardware(CUDA, gpus=(NVIDIA,)).machine.gpus
    (hidden,) = hardware(CUDA, gpus=(headless,)).machine.gpus
    assert hidden.usable_bytes > shown.usable_bytes


def test_the_pick_is_for_what_the_build_can_use_not_for_what_lies_idle() -> None:
    pick = recommend(hardware(CPU, gpus=(NVIDIA,)).machine).pick
    assert pick
    assert pick.plan.gpu_bytes == 0


@pytest.mark.parametrize(
    "found",
    [
        hardware(CPU),
        hardware(CPU, gpus=(GRAPHICS,)),
        hardware(CPU, CUDA, gpus=(NVIDIA,)),
        hardware(gpus=(NVIDIA,), failure=EngineError(ErrorCode.ENGINE_EXITED, status=1)),
    ],
    ids=["no GPU", "graphics in the processor", "in use", "llama.cpp does not work"],
)
def test_without_an_idle_gpu_there_is_no_advice(found: Hardware) -> None:
    assert advise_build(found, System("Linux")) is None


async def test_a_probe_survives_an_engine_that_does_not_start() -> None:
    async def fail() -> tuple[Device, ...]:
        raise EngineError(ErrorCode.ENGINE_NOT_STARTED, reason="no such file")

    found = await probe_hardware(fail)
    assert "no such file" in str(found.engine_failure)
    assert found.ram.available_bytes > 0
    assert recommend(found.machine).reason.key


async def test_a_probe_does_not_wait_for_a_driver_that_hangs() -> None:
    async def hang() -> tuple[Device, ...]:
        await asyncio.Event().wait()
        return ()

    found = await probe_hardware(hang, timeout_s=0.01)
    assert "did not answer" in str(found.engine_failure)
    assert found.engine_failure is not None
    assert found.engine_failure.code is ErrorCode.LLAMA_CPP_SILENT
    assert found.n_cores >= 1


def test_another_machine_can_be_described() -> None:
    machine = override_machine("12GiB+12GiB", "32GiB", None)
    assert [gpu.free_bytes for gpu in machine.gpus] == [12 * GIB, 12 * GIB]
    assert machine.ram_free_bytes == 32 * GIB


def test_what_is_not_described_is_taken_from_this_machine() -> None:
    this = hardware(CPU, CUDA).machine
    assert override_machine(None, "64GiB", this).gpus == this.gpus
    assert override_machine("0", None, this).gpus == ()
    assert override_machine("8GiB", None, this).ram_free_bytes == this.ram_free_bytes


@pytest.mark.parametrize(
    ("vram", "ram"), [("many", "32GiB"), ("8GiB", "-1"), ("8GiB+", "32GiB"), ("8", "32GiB"), ("8GiB", "32")]
)
def test_a_size_that_makes_no_sense_is_refused(vram: str, ram: str) -> None:
    with pytest.raises(UsageError):
        override_machine(vram, ram, None)
