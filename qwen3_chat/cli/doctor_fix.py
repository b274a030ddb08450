"""`qwen3-chat doctor --fix` and `--undo`: another build of llama.cpp, tried apart, used only if better."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from qwen3_chat.engine.llama_build import BuildFolder
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware import Build, BuildAdvice, find_pip
from qwen3_chat.models.hardware.build_trial import MIN_CPU_SHARE, MIN_GAIN, BuildTrial, try_build
from qwen3_chat.models.hardware.trial_model import write_trial_model
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import speed_figure
from qwen3_chat.texts.terminal_safe import terminal_safe

FIX_COMMAND = "qwen3-chat doctor --fix"
UNDO_COMMAND = "qwen3-chat doctor --fix --undo"

Installer = Callable[[Build, Path], int]
"""A function that puts a build into a folder and returns the exit status."""

_MISSING_LIBRARY = re.compile(r"\b(lib[\w.+-]+\.so[\w.]*|[\w.+-]+\.dll|[\w.+-]+\.dylib)")


def fix_build(
    advice: BuildAdvice | None,
    builds: BuildFolder,
    log_path: Path,
    install: Installer | None = None,
) -> None:
    """Fetch the advised builds one after the other into folders of their own; use the first that is better.

    Better means: in processes of its own it lists a GPU, answers, and is faster than the build in use. Until
    then, and if none is, everything stays as it was. One that is slow on the processor is used only if no
    other passes.

    Raises:
        EngineError: none is better.
    """
    if advice is None:
        _say(t("doctor.nothing_to_fix"))
        return
    try:
        builds.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=builds.folder, ignore_cleanup_errors=True) as folder:
            model = Path(folder) / "trial.gguf"
            write_trial_model(model)
            before = asyncio.run(try_build(builds.chosen(), model, log_path))
            second_best = None
            for build in advice.builds:
                _say(t("doctor.fetching", build=build.name, name=terminal_safe(advice.gpu.name)))
                if build.is_large:
                    _say(t("doctor.fetching.large"))
                builds.discard(build.name)
                trial = _try(build, builds.path(build.name), before, model, log_path, install or run_pip)
                if isinstance(trial, str):
                    builds.discard(build.name)
                    _say(terminal_safe(t("doctor.build_refused", build=build.name, reason=trial)))
                elif trial.cpu_tokens_per_s >= MIN_CPU_SHARE * before.cpu_tokens_per_s:
                    if second_best:
                        builds.discard(second_best.name)
                    _use(build, builds, advice)
                    return
                elif second_best:
                    builds.discard(build.name)
                else:
                    second_best = build
                    _say(t("doctor.slow_on_cpu", build=build.name))
            if second_best:
                _use(second_best, builds, advice)
                return
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineError(ErrorCode.FIX_FAILED, folder=str(builds.folder), reason=reason) from error
    raise EngineError(ErrorCode.FIX_WITHOUT_EFFECT, name=advice.gpu.name)


def undo_fix(builds: BuildFolder) -> None:
    """Go back to the build that was in use before the last fix.

    Raises:
        EngineError: that could not be noted.
    """
    try:
        name = builds.undo()
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineError(ErrorCode.FIX_FAILED, folder=str(builds.folder), reason=reason) from error
    if name is None:
        _say(t("doctor.nothing_to_undo"))
        return
    chosen = builds.chosen()
    _say(t("doctor.undone", build=name) if chosen is None else t("doctor.undone_to", folder=str(chosen)))


def run_pip(build: Build, folder: Path) -> int:
    """Put a build into a folder; return the exit status of its own installation.

    Raises:
        EngineError: there is neither pip nor uv.
    """
    pip = find_pip()
    if pip is None:
        raise EngineError(ErrorCode.INSTALLER_MISSING)
    own, *runtime = build.install_commands(folder, pip)
    status = _run(own, build.cmake_args)
    if not status:
        for command in runtime:
            _run(command)  # where it fails, the system may have the library; the trial shows it
    return status


def _run(command: Sequence[str], cmake_args: str = "") -> int:
    environment = {**os.environ, "CMAKE_ARGS": cmake_args} if cmake_args else None
    return subprocess.run(command, stdout=sys.stderr, env=environment, check=False).returncode


def _use(build: Build, builds: BuildFolder, advice: BuildAdvice) -> None:
    builds.choose(build.name)
    name = terminal_safe(advice.gpu.name)
    _say(t("doctor.fixed", build=build.name, name=name, undo=UNDO_COMMAND))


def _try(
    build: Build, folder: Path, before: BuildTrial, model: Path, log_path: Path, install: Installer
) -> BuildTrial | str:
    """Fetch a build and try it; return what is in its way, with the way on, where it is not better."""
    if status := install(build, folder):
        return t("doctor.obstacle.not_installed", status=status)
    try:
        trial = asyncio.run(try_build(folder, model, log_path))
    except EngineError as error:
        if error.code is ErrorCode.LLAMA_CPP_BROKEN and (missing := _MISSING_LIBRARY.search(str(error))):
            return t("doctor.obstacle.library", library=missing[1])
        return str(error)
    if not trial.gpus:
        return t("doctor.obstacle.no_device")
    if trial.tokens_per_s < MIN_GAIN * before.tokens_per_s:
        return t(
            "doctor.obstacle.slower",
            speed=speed_figure(trial.tokens_per_s),
            speed_before=speed_figure(before.tokens_per_s),
        )
    return trial


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
