"""An installation that leaves llama-cpp-python to be compiled behind the chat."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import pytest

import background_compile
import environment
import fast_library
import pip_run
import toolchain
from pip_progress import Step
from qwen3_chat.engine import llama_compilation
from qwen3_chat.engine.llama_compilation import (
    Compilation,
    CompilationState,
    compilation_file,
    read_compilation,
)
from tests.conftest import WAIT_LIMIT_S

PYPROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "x"
dependencies = ["rich", "llama-cpp-python==0.3.36"]
[project.optional-dependencies]
fast-cpu = ["ik-llama-cpp-python==0.1.5", "numpy"]
[dependency-groups]
dev = ["ruff"]
"""
REQUIREMENT = "llama-cpp-python==0.3.36"
StepSink = Callable[[Step | None], None]


class Pip:
    """A pip that installs nothing: it notes its commands, fails with some, and reports steps."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.failing: dict[str, str] = {}
        """The words of commands that fail, with the output of each."""
        self.while_it_runs: Callable[[StepSink], None] = lambda on_step: None

    def run(
        self,
        python: Path,
        arguments: Sequence[str],
        log: TextIO,
        environ: Mapping[str, str],
        on_step: StepSink = lambda step: None,
    ) -> None:
        self.commands.append(list(arguments))
        self.while_it_runs(on_step)
        for word, line in self.failing.items():
            if any(word in argument for argument in arguments):
                raise pip_run.PipFailed([line])


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(pip_run, "run_pip", pip.run)
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: None)
    monkeypatch.setattr(fast_library, "is_wanted", lambda: True)
    monkeypatch.setattr(fast_library, "runs_ready_made", lambda python, log: True)
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    return pip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> environment.Environment:
    """A checkout with an environment that has Python, and nothing else yet."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    here = environment.Environment(tmp_path)
    here.programs.mkdir(parents=True)
    here.python.symlink_to(sys.executable)
    monkeypatch.setattr(environment.Environment, "_create", lambda here: {})
    monkeypatch.setattr(background_compile, "compile_byte_code", lambda here: None)
    return here


@pytest.fixture
def pending(here: environment.Environment, pip: Pip) -> environment.Environment:
    """A checkout whose chat opens, with llama-cpp-python still to be compiled."""
    here.prepare(complete=False)
    pip.commands.clear()
    return here


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    return commands


def install(here: environment.Environment) -> None:
    """Make llama-cpp-python look installed."""
    info = here.folder / "lib/python3.11/site-packages/llama_cpp_python-0.3.36.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").touch()


def read_in_app(here: environment.Environment, monkeypatch: pytest.MonkeyPatch) -> Compilation | None:
    """Return the compilation as the app sees it."""
    file = compilation_file(here.folder)
    assert file == background_compile.state_file(here)
    monkeypatch.setattr(llama_compilation, "compilation_file", lambda: file)
    return read_compilation()


def test_the_chat_opens_before_anything_is_compiled(here: environment.Environment, pip: Pip) -> None:
    here.prepare(complete=False)
    assert pip.commands[0] == ["install", "--no-compile", "rich", "numpy"]
    assert str(fast_library.READY_MADE) in pip.commands[1]
    assert pip.commands[2] == ["install", "--no-deps", "--editable", str(here.root)]
    assert len(pip.commands) == 3
    assert here.is_ready(complete=False)
    assert here.pending == REQUIREMENT
    assert not here.is_ready()
    here.prepare(complete=False)
    assert len(pip.commands) == 3


def test_what_needs_everything_compiles_it_before(pending: environment.Environment, pip: Pip) -> None:
    pending.prepare(dev=True)
    assert pip.commands[0] == ["install", "--editable", str(pending.root), "ruff"]
    assert pending.pending == ""
    assert pending.is_ready(dev=True)


@pytest.mark.parametrize("why", ["no wheel", "illegal instruction", "CUDA", "a Mac"])
def test_where_no_ready_made_library_can_run_models_llama_cpp_is_compiled_before_the_chat_opens(
    here: environment.Environment, pip: Pip, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    match why:
        case "no wheel":
            pip.failing = {"fast-cpu.txt": "ERROR: No matching distribution found"}
        case "illegal instruction":
            monkeypatch.setattr(fast_library, "runs_ready_made", lambda python, log: False)
        case "CUDA":
            monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
        case "a Mac":
            monkeypatch.setattr(fast_library, "is_wanted", lambda: False)
    here.prepare(complete=False)
    assert ["install", "--editable", str(here.root)] in pip.commands
    assert here.pending == ""
    assert here.is_ready()


def test_what_is_installed_already_is_not_pending(here: environment.Environment, pip: Pip) -> None:
    install(here)
    here.prepare(complete=False)
    assert pip.commands[0] == ["install", "--editable", str(here.root)]
    assert here.is_ready()


def test_a_compilation_is_started_once_told_once_and_taken_up_after_it_was_cut_off(
    pending: environment.Environment, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (sentence,) = background_compile.start(pending)
    assert "llama.cpp is compiled behind the chat" in sentence
    assert started == [[str(pending.python), background_compile.__file__]]
    compilation = read_in_app(pending, monkeypatch)
    assert compilation is not None
    assert compilation.is_running
    with pending.hold_compiler():  # the process that was started
        assert background_compile.start(pending) == []
        assert len(started) == 1
    assert background_compile.start(pending)
    assert len(started) == 2


def test_the_app_sees_how_far_a_compilation_is_and_then_that_it_is_done(
    pending: environment.Environment, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int | None] = []

    def run(on_step: StepSink) -> None:
        for step in (Step("scripts.step.collecting"), Step("", "", 0.25), None, Step("", "", 0.5)):
            on_step(step)
            compilation = read_in_app(pending, monkeypatch)
            seen.append(compilation.percent if compilation else None)

    pip.while_it_runs = run
    assert background_compile.compile_llama_cpp(pending)
    assert seen == [0, 25, 25, 50]
    assert pip.commands == [["install", REQUIREMENT]]
    assert read_in_app(pending, monkeypatch) is None
    assert pending.is_ready()
    assert background_compile.compile_llama_cpp(pending)
    assert len(pip.commands) == 1


def test_a_compilation_that_failed_is_told_once_and_not_repeated(
    pending: environment.Environment,
    pip: Pip,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pip.failing = {"llama": "error: no member named x"}
    assert not background_compile.compile_llama_cpp(pending)
    compilation = read_in_app(pending, monkeypatch)
    assert compilation is not None
    assert compilation.state is CompilationState.FAILED
    (sentence,) = background_compile.start(pending)
    assert sentence == compilation.sentence
    assert str(background_compile.log_file(pending)) in sentence
    assert background_compile.start(pending) == []
    assert started == []
    background_compile.state_file(pending).unlink()
    assert background_compile.start(pending)
    assert len(started) == 1


def test_a_compilation_that_failed_for_want_of_a_network_is_tried_again(
    pending: environment.Environment, pip: Pip, started: list[list[str]]
) -> None:
    pip.failing = {"llama": "NewConnectionError"}
    assert not background_compile.compile_llama_cpp(pending)
    assert background_compile.start(pending)
    assert len(started) == 1


def test_without_a_compiler_the_chat_opens_and_its_lack_is_told_once(
    pending: environment.Environment,
    pip: Pip,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: "C++")
    monkeypatch.setattr(toolchain, "compiler_command", lambda: "apt-get install -y build-essential")
    (sentence,) = background_compile.start(pending)
    assert "apt-get install -y build-essential" in sentence
    pip.failing = {REQUIREMENT: "ERROR: No matching distribution found"}
    assert not background_compile.compile_llama_cpp(pending)
    assert pip.commands == [["install", "--only-binary", ":all:", REQUIREMENT]]
    compilation = read_in_app(pending, monkeypatch)
    assert compilation is not None
    assert compilation.sentence == sentence
    assert background_compile.start(pending) == []
    assert len(started) == 1
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: None)
    assert background_compile.start(pending)
    assert len(started) == 2


def test_another_version_is_not_taken_for_the_one_that_failed(
    pending: environment.Environment, pip: Pip, started: list[list[str]]
) -> None:
    pip.failing = {"llama": "error: no member named x"}
    assert not background_compile.compile_llama_cpp(pending)
    file = background_compile.state_file(pending)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"requirement": "llama-cpp-python==0.3.35"}))
    assert background_compile.start(pending)
    assert len(started) == 1


def test_what_needs_everything_waits_for_the_compilation_behind_a_chat(
    pending: environment.Environment, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()
    told: list[str] = []

    def tell(key: str, **values: object) -> None:
        told.append(key)
        waits.set()

    monkeypatch.setattr(environment, "_print_text", tell)
    tests = threading.Thread(target=lambda: pending.prepare(dev=True), daemon=True)
    with pending.hold_compiler() as is_free:
        assert is_free
        tests.start()
        assert waits.wait(WAIT_LIMIT_S)
        assert told == ["scripts.waiting_for_compiler"]
        install(pending)
        pending.finish_pending()
    tests.join(WAIT_LIMIT_S)
    assert pending.is_ready(dev=True)
    assert "scripts.installing" in told
    assert "scripts.compiling_first" not in told


def test_what_a_user_has_installed_after_a_failure_is_taken(
    pending: environment.Environment, pip: Pip, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pip.failing = {"llama": "error: no member named x"}
    assert not background_compile.compile_llama_cpp(pending)
    install(pending)
    assert background_compile.start(pending) == []
    assert pending.is_ready()
    assert read_in_app(pending, monkeypatch) is None
