"""Advice on the builds of llama.cpp that use a GPU which the installed one doesn't, the best first."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from qwen3_chat.engine.llama_build import LLAMA_CPP_VERSION
from qwen3_chat.models.hardware.inventory import Hardware, SystemGpu, Vendor

WHEEL_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/"
LLAMA_CPP_PYTHON = f"llama-cpp-python=={LLAMA_CPP_VERSION}"
WHEEL_GLIBC = (2, 35)
"""The C library that the ready-made builds for Linux need at least."""

_CUDA_BUILDS = ((11, 8), (12, 1), (12, 2), (12, 3), (12, 4), (12, 5), (13, 0), (13, 2))
_NOT_FOR_WINDOWS = ((12, 1), (12, 2), (12, 3))
_MIN_CAPABILITY = {11: (3, 5), 12: (5, 0), 13: (7, 5)}
"""The compute capability below which a version of CUDA compiles nothing."""
_RUNTIME_SUFFIX = {11: "-cu11", 12: "-cu12", 13: ""}
_PACKAGE = "llama-cpp-python"
_CMAKE_ARGS = {
    Vendor.NVIDIA: "-DGGML_CUDA=on",
    Vendor.AMD: "-DGGML_VULKAN=on",
    Vendor.INTEL: "-DGGML_VULKAN=on",
    Vendor.APPLE: "-DGGML_METAL=on",
}


@dataclass(frozen=True, slots=True)
class System:
    """The system that a build has to run on; `glibc` is None where there is another C library."""

    name: str
    processor: str = "x86_64"
    glibc: tuple[int, int] | None = WHEEL_GLIBC

    @property
    def runs_wheels(self) -> bool:
        """True if the ready-made builds for GPUs run here."""
        match self.name:
            case "Linux":
                return self.processor == "x86_64" and self.glibc is not None and self.glibc >= WHEEL_GLIBC
            case "Windows":
                return self.processor in ("AMD64", "x86_64")
            case _:
                return self.name == "Darwin" and self.processor == "arm64"


@dataclass(frozen=True, slots=True)
class Build:
    """A build of llama.cpp to fetch, or to compile with `cmake_args`; runtime libraries are packages."""

    name: str
    runtime_packages: tuple[str, ...] = ()
    cmake_args: str = ""

    @property
    def is_large(self) -> bool:
        """True if the download is in the order of a gigabyte."""
        return self.name.startswith(("cu", "rocm", "hip"))

    def install_commands(self, folder: Path, pip: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Return the commands that put it into a folder of its own; all but the first may fail."""
        into = (*pip, "--target", str(folder), "--no-deps")
        if self.cmake_args:
            return ((*into, "--no-binary", _PACKAGE, LLAMA_CPP_PYTHON),)
        # Without --only-binary pip would take a source package and compile it, without the GPU again.
        index = WHEEL_INDEX + self.name
        fetch = (*into, "--only-binary", _PACKAGE, "--index-url", index, LLAMA_CPP_PYTHON)
        return fetch, *((*into, "--only-binary", ":all:", package) for package in self.runtime_packages)


@dataclass(frozen=True, slots=True)
class BuildAdvice:
    """An idle GPU with the builds that may use it, in the order in which they are worth a trial."""

    gpu: SystemGpu
    builds: tuple[Build, ...]


def this_system() -> System:
    """Return the system that this program runs on."""
    library, version = platform.libc_ver()
    numbers = version.split(".")
    glibc = None
    if library == "glibc" and len(numbers) >= 2 and all(number.isdecimal() for number in numbers[:2]):
        glibc = (int(numbers[0]), int(numbers[1]))
    return System(platform.system(), platform.machine(), glibc)


def advise_build(hardware: Hardware, system: System | None = None) -> BuildAdvice | None:
    """Return advice on the largest GPU that this build cannot use; None where nothing can be done."""
    if not hardware.unusable_gpus:
        return None
    gpu = max(hardware.unusable_gpus, key=lambda gpu: gpu.total_bytes)
    builds = builds_for(gpu, system or this_system())
    return BuildAdvice(gpu, builds) if builds else None


def builds_for(gpu: SystemGpu, system: System) -> tuple[Build, ...]:
    """Return the builds for a GPU: ready-made ones, else one to be compiled; none on other systems.

    Vulkan needs nothing but the driver, so it is the way for AMD and Intel, and the second one for NVIDIA.
    """
    if system.name not in ("Linux", "Windows", "Darwin"):
        return ()
    ready = _ready_made(gpu, system) if system.runs_wheels else ()
    return ready or (Build("compiled", cmake_args=_CMAKE_ARGS[gpu.vendor]),)


def _ready_made(gpu: SystemGpu, system: System) -> tuple[Build, ...]:
    vulkan = Build("vulkan")
    match gpu.vendor, system.name:
        case Vendor.NVIDIA, "Linux" | "Windows":
            cuda = _cuda_build(gpu, system)
            return (cuda, vulkan) if cuda else (vulkan,)
        case Vendor.AMD, "Linux":
            return vulkan, Build("rocm72")
        case Vendor.AMD, "Windows":
            return vulkan, Build("hip-radeon")
        case Vendor.INTEL, "Linux" | "Windows":
            return (vulkan,)
        case Vendor.APPLE, "Darwin":
            return (Build("metal"),)
        case _:
            return ()


def _cuda_build(gpu: SystemGpu, system: System) -> Build | None:
    """Return the newest build that driver and GPU run; None where either is too old, or unknown."""
    runs = [
        version
        for version in _CUDA_BUILDS
        if gpu.cuda_version
        and version <= gpu.cuda_version
        and (gpu.compute_capability is None or gpu.compute_capability >= _MIN_CAPABILITY[version[0]])
        and not (system.name == "Windows" and version in _NOT_FOR_WINDOWS)
    ]
    if not runs:
        return None
    major, minor = runs[-1]
    suffix, next_major = _RUNTIME_SUFFIX[major], major + 1
    limit = "" if suffix else f">={major},<{next_major}"
    runtime = tuple(f"nvidia-{part}{suffix}{limit}" for part in ("cuda-runtime", "cublas"))
    return Build(f"cu{major}{minor}", runtime)


def find_pip(
    python: str = sys.executable, environ: Mapping[str, str] | None = None
) -> tuple[str, ...] | None:
    """Return the command that installs packages: pip's, or uv's in an environment that has no pip."""
    if find_spec("pip") is not None:
        return (python, "-m", "pip", "install", "--no-cache-dir")
    if uv := shutil.which("uv", path=None if environ is None else environ.get("PATH")):
        return (uv, "pip", "install", "--python", python, "--no-cache")
    return None
