"""llama.cpp for Vulkan, compiled once into `build`; with Mesa's software device, any machine has a GPU.

Debian's packages for it: libvulkan-dev glslc spirv-headers mesa-vulkan-drivers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TextIO

from environment import ROOT, compiled_requirement, prepare_environment
from llama_programs import compile_targets
from pip_run import PipFailed, error_lines
from speech import t

FOLDER = ROOT / "build" / "llama-vulkan"
"""A copy of the package `llama_cpp` with other libraries, to be the first entry of Python's path."""
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DGGML_VULKAN=ON",
    f"-DCMAKE_CXX_FLAGS=-include {ROOT / 'scripts' / 'vulkan_shim.hpp'}",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # it would be downloaded
)


def main() -> int:
    """Compile the libraries where they are missing; return the exit status."""
    if not (FOLDER / "llama_cpp").is_dir():
        if shutil.which("glslc") is None:
            print(t("scripts.vulkan_llama_needs"), file=sys.stderr)
            return 1
        requirement = compiled_requirement(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))
        python = prepare_environment().python
        print(t("scripts.vulkan_llama_building"), flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        log_file = FOLDER / "build.log"
        try:
            with open(log_file, "w", encoding="utf-8") as log:
                _compile(python, requirement, log)
        except PipFailed as failure:
            print(*(f"  {line}" for line in error_lines(failure.lines)), sep="\n", file=sys.stderr)
            print(t("scripts.vulkan_llama_failed", log=log_file.relative_to(ROOT)), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(t("scripts.interrupted"), file=sys.stderr)
            return 130
    print(t("scripts.vulkan_llama_ready", path=FOLDER.relative_to(ROOT)), flush=True)
    return 0


def _compile(python: Path, requirement: str, log: TextIO) -> None:
    with tempfile.TemporaryDirectory(prefix="llama.cpp-vulkan-") as name:
        binaries = compile_targets(python, requirement, ("llama",), OPTIONS, Path(name), log)
        (package,) = python.parent.parent.glob("lib/python*/site-packages/llama_cpp")
        draft = FOLDER / "llama_cpp.new"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(package, draft, ignore=shutil.ignore_patterns("*.so*", "__pycache__"))
        for library in binaries.glob("*.so*"):
            shutil.copy(library, draft / "lib" / library.name, follow_symlinks=False)
        draft.replace(FOLDER / "llama_cpp")
