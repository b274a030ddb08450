"""The faster library for processors: its ready-made wheel, and its source compiled for this processor.

Neither is needed. Where one can't be had, everything stays as it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from environment import Environment

# Imports inside functions are needed only to install or compile, which is once.

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
READY_MADE, SOURCE = FOLDER / "fast-cpu.txt", FOLDER / "fast-cpu-source.txt"
DISTRIBUTION = "ik-llama-cpp-python"
TARGETS = ("ggml", "llama")  # `common` lacks a file in the source distribution
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DGGML_NATIVE=ON",
    "-DGGML_IQK_FA_ALL_QUANTS=OFF",  # a context in 16 or 8 bits is all that is used
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
)
REPAIRS = (
    ("ggml/src/iqk/fa/iqk_fa_templates.h", "#pragma once", "#pragma once\n#include <algorithm>", 1),
    (
        "ggml/src/iqk/fa/iqk_fa_templates.h",
        "for (; ik >=0 && Mc[ik] != 0; ik -= k_step);",
        "for (; ik >=0 && std::all_of(Mc + ik, Mc + ik + k_step, [](uint16_t m) { return m != 0; });"
        " ik -= k_step);",
        4,
    ),
    ("src/llama.cpp", "llama_kv_cache_cell_max(kv_self, pad);", "llama_kv_cache_cell_max(kv_self);", 1),
    (
        "src/llama.cpp",
        "void llama_synchronize(struct llama_context * ctx) {",
        'extern "C" LLAMA_API int qwen3_chat_scattered_cells(void) { return 1; }\n\n'
        "void llama_synchronize(struct llama_context * ctx) {",
        1,
    ),
)
"""Repairs of the source: file, text, what takes its place, how often it stands there.

Flash attention left out a block of cells whose first one is masked, even where others are not, and blocks
that lie after an empty one were not seen at all. So tokens were not attended to where the cells of a
sequence do not lie in a row. The function that is added tells the worker that they need not.
"""

_FILE_VARIABLE = "IK_LLAMA_CPP_LIB_PATH"
_TRY_S = 300
_TRY = """
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.ik_library import IkLibrary

library = IkLibrary()
library.start(lambda level, text: None, print)
plan = LoadPlan(n_layers=0, n_ctx=64, n_ubatch=32, flash_attention=True, repacks_weights=True)
model = library.load_model(DEMO_FILE, plan, "qwen3", lambda fraction: True)
context = model.make_context(plan, 1, 1)
batch = context.new_batch(32)
batch.fill(range(100, 132), 0, 0, 1)
assert context.decode(batch) == 0
assert max(context.logits(-1)[: model.vocab.n_tokens]) > 0
"""


def install_ready_made(python: Path, log: TextIO, environ: Mapping[str, str]) -> bool:
    """Install the wheel, by its hash and without its dependencies; return False where there is none."""
    from pip_run import PipFailed, run_pip

    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(READY_MADE)]
    try:
        run_pip(python, ["install", *options], log, environ)
    except PipFailed:
        return False
    return True


def is_wanted(platform: str = sys.platform) -> bool:
    """Return whether the library can be of use: on a Mac, the GPU runs models."""
    return platform != "darwin"


def requirements(pyproject: Mapping[str, Any]) -> list[str]:
    """Return what the wheel needs, which its extra names."""
    extra = pyproject["project"]["optional-dependencies"]["fast-cpu"]
    return [str(item) for item in extra if not str(item).startswith(DISTRIBUTION)]


def runs_ready_made(python: Path, log: TextIO) -> bool:
    """Return whether the wheel runs the demo model on this processor, tried in a process apart."""
    from pip_run import PipFailed

    try:
        try_library(python, None, log)
    except PipFailed:
        return False
    return True


def is_to_compile(environment: Environment) -> bool:
    """Return whether the source is to be compiled here.

    Not a second time after a failure, not for a llama.cpp that the user has compiled for a GPU, and only on
    Linux, where the compiled library fits the wheel.
    """
    return not (
        sys.platform != "linux"
        or target_folder(environment).exists()
        or failure_file(environment).exists()
        or environment.cmake_args
        or not is_installed(environment)
        or _has_no_compiler()
    )


def _has_no_compiler() -> bool:
    from toolchain import missing_compiler

    return missing_compiler() is not None


def target_folder(environment: Environment) -> Path:
    """Return the folder of the compiled library, from which the app takes it."""
    return environment.folder / "fast-cpu" / version()


def failure_file(environment: Environment) -> Path:
    """Return the file that tells that the source could not be compiled, so that it is not tried again."""
    return _beside(target_folder(environment), ".failed")


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(folder.name + ending)  # a suffix would take the place of the end of the version


def log_file(environment: Environment) -> Path:
    """Return the file with the output of the compiler."""
    return target_folder(environment).parent / "compile.log"


def version() -> str:
    """Return the version whose files are pinned."""
    return READY_MADE.read_text("utf-8").partition(f"{DISTRIBUTION}==")[2].split()[0]


def is_installed(environment: Environment) -> bool:
    """Return whether the wheel is installed."""
    name = f"{DISTRIBUTION.replace('-', '_')}-{version()}.dist-info"
    return any(environment.folder.glob(f"**/site-packages/{name}/RECORD"))


def compile_for_processor(environment: Environment, log: TextIO) -> None:
    """Compile the source, try the result in a process apart, and only then put it where the app looks.

    Raises:
        PipFailed: it could not be downloaded or compiled, or does not run.
    """
    from llama_programs import unpack
    from pip_run import run_pip, run_with_progress

    python, target = environment.python, target_folder(environment)
    with tempfile.TemporaryDirectory(prefix="ik_llama.cpp-") as name:
        folder = Path(name)
        options = ["--no-deps", "--no-binary", DISTRIBUTION, "--require-hashes", "--requirement", str(SOURCE)]
        run_pip(python, ["download", *options, "--dest", name], log, os.environ)
        (archive,) = folder.glob("*.tar.gz")
        unpack(archive, folder)
        (source,) = folder.glob("*/vendor/ik_llama.cpp")
        repair(source)
        build, draft = folder / "build", _beside(target, ".new")
        cmake = _cmake(python, folder / "cmake", log)
        generator = ("-G", "Ninja") if shutil.which("ninja") else ()
        configure = [cmake, "-S", str(source), "-B", str(build), *generator, *OPTIONS]
        run_with_progress(configure, log, without_warnings(os.environ))
        jobs = str(max(1, (os.cpu_count() or 1) // 2))  # the other half is for the chat
        command = [cmake, "--build", str(build), "--target", *TARGETS, "--parallel", jobs]
        run_with_progress(command, log, os.environ)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for library in TARGETS:
            (file,) = build.rglob(f"lib{library}.so")
            shutil.copy(file, draft / file.name)
        try_library(python, draft / "libllama.so", log)
        draft.replace(target)


def without_warnings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which the compiler keeps its warnings back: of this source, over 50 MB."""
    flags = {name: f"{environ.get(name, '')} -w".strip() for name in ("CFLAGS", "CXXFLAGS")}
    return {**environ, **flags}


def repair(source: Path) -> None:
    """Repair the source.

    Raises:
        PipFailed: it is not the source that the repairs are for.
    """
    from pip_run import PipFailed

    for name, text, repaired, count in REPAIRS:
        content = (source / name).read_text("utf-8")
        if content.count(text) != count:
            raise PipFailed([f"error: {name} is not as expected"])
        (source / name).write_text(content.replace(text, repaired), "utf-8")


def try_library(python: Path, file: Path | None, log: TextIO) -> None:
    """Run the demo model with a library, in a process apart; without `file`, with that of the wheel.

    Raises:
        PipFailed: that failed.
    """
    from pip_run import PipFailed

    environ = {name: value for name, value in os.environ.items() if name != _FILE_VARIABLE}
    if file is not None:
        environ[_FILE_VARIABLE] = str(file)
    try:
        subprocess.run(
            [str(python), "-c", _TRY],
            env=environ,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            timeout=_TRY_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PipFailed([str(error)]) from error


def _cmake(python: Path, folder: Path, log: TextIO) -> str:
    """Return the path of CMake; where the system has none, it is installed into a folder for a while."""
    from pip_run import run_pip

    if program := shutil.which("cmake"):
        return program
    run_pip(python, ["install", "--target", str(folder), "cmake"], log, os.environ)
    return str(folder / "cmake" / "data" / "bin" / "cmake")


def compile_source(environment: Environment) -> bool:
    """Compile where nobody does so already; return False where that failed."""
    from environment import try_lock
    from pip_run import PipFailed

    folder = target_folder(environment).parent
    folder.mkdir(exist_ok=True)
    with open(folder / "compile.lock", "a") as lock:
        if not try_lock(lock.fileno(), wait=False) or target_folder(environment).exists():
            return True
        try:
            with log_file(environment).open("a", encoding="utf-8") as log:
                compile_for_processor(environment, log)
        except PipFailed as failure:
            print(*failure.lines[-3:], sep="\n", flush=True)
            shutil.rmtree(_beside(target_folder(environment), ".new"), ignore_errors=True)
            if failure.key == "scripts.failed.other":  # otherwise it may succeed with the next start
                failure_file(environment).touch()
            return False
    return True
