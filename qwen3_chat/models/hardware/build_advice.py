"""Advice on the build of llama.cpp that uses a GPU which the installed one doesn't."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu, Vendor

WHEEL_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/"
LLAMA_CPP_PYTHON = "llama-cpp-python==0.3.36"
_CUDA_BUILDS = ((11, 8), (12, 1), (12, 2), (12, 3), (12, 4), (12, 5), (13, 0), (13, 2))


@dataclass(frozen=True, slots=True)
class BuildAdvice:
    """An idle GPU, with the command that installs a prebuilt llama.cpp for it."""

    gpu: SystemGpu
    command: tuple[str, ...]


def advise_build(
    hardware: Hardware, system: str | None = None, python: str = sys.executable
) -> BuildAdvice | None:
    """Return advice on the largest GPU that this build cannot use; `system` is a `platform.system()`."""
    if not hardware.unusable_gpus:
        return None
    gpu = max(hardware.unusable_gpus, key=lambda gpu: gpu.total_bytes)
    build = build_for(gpu, system or platform.system())
    if build is None:
        return None
    # Without --only-binary pip would take a newer source package and compile it, without the GPU again.
    command = (python, "-m", "pip", "install", "--only-binary", "llama-cpp-python", "--force-reinstall")
    return BuildAdvice(
        gpu, (*command, "--no-deps", "--no-cache-dir", "--index-url", WHEEL_INDEX + build, LLAMA_CPP_PYTHON)
    )


def build_for(gpu: SystemGpu, system: str) -> str | None:
    """Return the name of the prebuilt llama.cpp for a GPU; None where none suits."""
    match gpu.vendor, system:
        case Vendor.NVIDIA, "Linux" | "Windows":
            runs = [build for build in _CUDA_BUILDS if gpu.cuda_version and build <= gpu.cuda_version]
            return "cu{}{}".format(*runs[-1]) if runs else "vulkan"
        case Vendor.AMD, "Linux":
            return "rocm72"
        case Vendor.AMD, "Windows":
            return "hip-radeon"
        case Vendor.INTEL, "Linux" | "Windows":
            return "vulkan"
        case Vendor.APPLE, "Darwin":
            return "metal"
        case _:
            return None
