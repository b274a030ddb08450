from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen3_chat.models.hardware import (
    Build,
    System,
    SystemGpu,
    Vendor,
    advise_build,
    build_advice,
    find_pip,
)
from qwen3_chat.texts.formatting import GIB
from tests.models.hardware.test_report import AMD, APPLE, CPU, GRAPHICS, INTEL, NVIDIA, hardware

LINUX, WINDOWS = System("Linux"), System("Windows", "AMD64", None)


def nvidia(cuda: tuple[int, int] | None = None, capability: tuple[int, int] | None = None) -> SystemGpu:
    return SystemGpu(Vendor.NVIDIA, "GPU", GIB, GIB, cuda_version=cuda, compute_capability=capability)


def advised(gpu: SystemGpu, system: System) -> tuple[str, ...]:
    advice = advise_build(hardware(CPU, gpus=(GRAPHICS, gpu)), system)
    if advice is None:
        return ()
    assert advice.gpu is gpu
    return tuple(build.name for build in advice.builds)


@pytest.mark.parametrize(
    ("gpu", "system", "builds"),
    [
        (NVIDIA, LINUX, ("cu125", "vulkan")),
        (NVIDIA, WINDOWS, ("cu125", "vulkan")),
        (nvidia((12, 3)), WINDOWS, ("cu118", "vulkan")),
        (nvidia((13, 1)), LINUX, ("cu130", "vulkan")),
        (nvidia((13, 2), (6, 1)), LINUX, ("cu125", "vulkan")),
        (nvidia((13, 2), (7, 0)), LINUX, ("cu125", "vulkan")),
        (nvidia((13, 2), (7, 5)), LINUX, ("cu132", "vulkan")),
        (nvidia((11, 4)), LINUX, ("vulkan",)),
        (nvidia(), LINUX, ("vulkan",)),
        (AMD, LINUX, ("vulkan", "rocm72")),
        (AMD, WINDOWS, ("vulkan", "hip-radeon")),
        (INTEL, LINUX, ("vulkan",)),
        (INTEL, WINDOWS, ("vulkan",)),
        (APPLE, System("Darwin", "arm64", None), ("metal",)),
    ],
)
def test_the_builds_for_a_gpu_that_driver_card_and_system_can_run(
    gpu: SystemGpu, system: System, builds: tuple[str, ...]
) -> None:
    assert advised(gpu, system) == builds


@pytest.mark.parametrize(
    "system",
    [
        System("Linux", "aarch64", (2, 39)),
        System("Linux", "x86_64", (2, 34)),
        System("Linux", "x86_64", None),
        System("Windows", "ARM64", None),
    ],
    ids=["aarch64", "an old C library", "another C library", "Windows on ARM"],
)
def test_where_no_ready_made_build_runs_one_is_compiled(system: System) -> None:
    assert advised(NVIDIA, system) == ("compiled",)


def test_on_other_systems_nothing_is_advised() -> None:
    assert advised(AMD, System("FreeBSD", "amd64", None)) == ()


def test_a_build_goes_into_a_folder_of_its_own_and_brings_its_runtime_libraries() -> None:
    advice = advise_build(hardware(CPU, gpus=(NVIDIA,)), LINUX)
    assert advice
    folder = Path("/data/llama-cpp/cu125")
    own, *runtime = advice.builds[0].install_commands(folder, ("pip", "install"))
    assert own[:5] == ("pip", "install", "--target", str(folder), "--no-deps")
    assert own[-2:] == ("https://abetlen.github.io/llama-cpp-python/whl/cu125", "llama-cpp-python==0.3.36")
    assert [command[-1] for command in runtime] == ["nvidia-cuda-runtime-cu12", "nvidia-cublas-cu12"]
    assert all(str(folder) in command for command in runtime)


def test_an_environment_without_pip_is_filled_by_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # C3
    monkeypatch.setattr(build_advice, "find_spec", lambda name: None)
    assert find_pip("python", {"PATH": str(tmp_path)}) is None
    uv = tmp_path / ("uv.exe" if os.name == "nt" else "uv")
    uv.touch(mode=0o755)
    assert find_pip("python", {"PATH": str(tmp_path)}) == (
        str(uv), "pip", "install", "--python", "python", "--no-cache",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "is_large"), [("cu125", True), ("rocm72", True), ("vulkan", False)])
def test_a_download_in_the_order_of_a_gigabyte_is_announced(name: str, is_large: bool) -> None:  # C3
    assert Build(name).is_large == is_large


def test_a_compiled_build_is_never_a_ready_made_one() -> None:
    (command,) = Build("compiled", cmake_args="-DGGML_CUDA=on").install_commands(Path("/f"), ("pip",))
    assert "--no-binary" in command
    assert "--index-url" not in command
