"""The programs of llama.cpp that tests and benchmarks compare with, compiled once into `build`."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from environment import ROOT, compiled_requirement, prepare_environment
from pip_run import PipFailed, error_lines, run_pip, run_with_progress
from speech import t

FOLDER = ROOT / "build"
PROGRAMS = ("llama-server", "ggml-rpc-server", "llama-bench")
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_RPC=ON",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # it would be downloaded
)


def main() -> int:
    """Compile missing programs, with progress; return the exit status."""
    requirement = compiled_requirement(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))
    stamp = FOLDER / "llama.cpp.txt"
    expected = "\n".join([requirement, *PROGRAMS, *OPTIONS])
    if not (_is_stamped(stamp, expected) and all((FOLDER / name).is_file() for name in PROGRAMS)):
        python = prepare_environment().python
        print(t("scripts.llama_server_building"), flush=True)
        FOLDER.mkdir(exist_ok=True)
        log_file = FOLDER / "llama.cpp.log"
        try:
            with open(log_file, "w", encoding="utf-8") as log:
                _compile(python, requirement, log)
        except PipFailed as failure:
            print(*(f"  {line}" for line in error_lines(failure.lines)), sep="\n", file=sys.stderr)
            print(t("scripts.llama_server_failed", log=log_file.relative_to(ROOT)), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(t("scripts.interrupted"), file=sys.stderr)
            return 130
        stamp.write_text(expected, "utf-8")
    print(t("scripts.llama_server_ready", path=(FOLDER / PROGRAMS[0]).relative_to(ROOT)), flush=True)
    return 0


def _compile(python: Path, requirement: str, log: TextIO) -> None:
    with tempfile.TemporaryDirectory(prefix="llama.cpp-") as name:
        binaries = compile_targets(python, requirement, PROGRAMS, OPTIONS, Path(name), log)
        for program in PROGRAMS:
            draft = FOLDER / f"{program}.new"
            shutil.copy(binaries / program, draft)
            draft.replace(FOLDER / program)  # a running program keeps its file


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of an archive; none may lie outside of the folder.

    `TarFile.extractall` has a filter for that since Python 3.11.4 only, and Debian 12 has 3.11.2.
    """
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extractall(folder, filter="data")
            return
        root = folder.resolve()
        for member in packed:
            target = (root / member.name).resolve()
            content = packed.extractfile(member) if member.isfile() and target.is_relative_to(root) else None
            if content is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                target.chmod(member.mode & 0o777)


def compile_targets(
    python: Path, requirement: str, targets: Sequence[str], options: Sequence[str], folder: Path, log: TextIO
) -> Path:
    """Compile targets of the llama.cpp that pip downloads, in a folder; return the folder of the results.

    Raises:
        PipFailed: the source could not be downloaded or compiled.
    """
    source_only = ("--no-binary", "llama-cpp-python", "--no-deps")
    run_pip(python, ["download", *source_only, "--dest", str(folder), requirement], log, os.environ)
    (archive,) = folder.glob("llama_cpp_python-*.tar.gz")
    unpack(archive, folder)
    (source,) = folder.glob("llama_cpp_python-*/vendor/llama.cpp")
    cmake, build = _cmake(python, log), folder / "build"
    run_with_progress([cmake, "-S", str(source), "-B", str(build), *options], log, os.environ)
    jobs = str(os.cpu_count() or 1)
    run_with_progress(
        [cmake, "--build", str(build), "--target", *targets, "--parallel", jobs], log, os.environ
    )
    return build / "bin"


def _cmake(python: Path, log: TextIO) -> str:
    """Return the path of CMake, installed from the package index where the system has none."""
    if program := shutil.which("cmake"):
        return program
    run_pip(python, ["install", "cmake"], log, os.environ)
    return str(python.with_name("cmake"))


def _is_stamped(stamp: Path, expected: str) -> bool:
    return stamp.is_file() and stamp.read_text("utf-8") == expected
