from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import llama_cpp
import pytest

from qwen3_chat.cli import doctor_fix
from qwen3_chat.cli.doctor_command import find_problems
from qwen3_chat.cli.doctor_fix import fix_build, undo_fix
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.llama_build import BuildFolder
from qwen3_chat.engine.llama_compilation import Compilation, CompilationState
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.models.hardware import Build, BuildAdvice, System, advise_build
from qwen3_chat.models.hardware.build_trial import BuildTrial, try_build
from qwen3_chat.models.hardware.trial_model import write_trial_model
from tests.conftest import REPOSITORY
from tests.models.hardware.test_report import CPU, NVIDIA, hardware
from tests.models.hub.pull_program import PullProgram

INSTALLED = Path(llama_cpp.__file__).parent
ALIAS = f"""
import pathlib
__path__ = [{str(INSTALLED)!r}]
__file__ = {str(INSTALLED / "__init__.py")!r}
exec(pathlib.Path(__file__).read_text())
"""
STAND_INS = {
    "library": "import ctypes; ctypes.CDLL('libcudart.so.12')",
    "crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "nodevice": ALIAS,
    "slower": f"""{ALIAS}
from llama_cpp import _ggml
class WithGpu:
    def __getattr__(self, name, library=_ggml.libggml):
        function = getattr(library, name)
        if name != "ggml_backend_dev_type":
            return function
        return type("Kind", (), {{"__call__": lambda self, device: 1}})()
_ggml.libggml = WithGpu()
""",
}
STAND_INS["good"] = STAND_INS["slower"]


def advice(*names: str) -> BuildAdvice:
    return BuildAdvice(NVIDIA, tuple(map(Build, names)))


def install(build: Build, folder: Path) -> int:
    """Put a stand-in for a build where pip would put the build."""
    if build.name not in STAND_INS:
        return 7
    package = folder / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_INS[build.name])
    return 0


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "engine.log"


def found_before(monkeypatch: pytest.MonkeyPatch, tokens_per_s: float, cpu_tokens_per_s: float = 0) -> None:
    """Let the installed build have had a trial with those speeds."""

    async def tried(build: Path | None, model: Path, log_path: Path) -> BuildTrial:
        return (
            await try_build(build, model, log_path)
            if build
            else BuildTrial((), tokens_per_s, cpu_tokens_per_s)
        )

    monkeypatch.setattr(doctor_fix, "try_build", tried)


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildFolder:
    monkeypatch.setattr(doctor_fix, "write_trial_model", lambda path: shutil.copy(DEMO_FILE, path))
    return BuildFolder(tmp_path / "llama-cpp")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("unreachable", "could not be fetched (exit status 7)"),
        ("library", "it lacks libcudart.so.12. Install the runtime libraries"),
        ("crash", "SIGSEGV"),
        ("nodevice", "lists no GPU"),
        ("slower", "it is not faster"),
    ],
)
def test_a_build_that_is_no_better_leaves_everything_as_it_was(
    name: str,
    sentence: str,
    builds: BuildFolder,
    log_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found_before(monkeypatch, 1e9)
    with pytest.raises(EngineError, match="nothing was changed"):
        fix_build(advice(name), builds, log_path, install)
    assert f"{name} is not used: " in (said := capsys.readouterr().err)
    assert sentence in said
    assert builds.chosen() is None
    assert list(builds.folder.iterdir()) == []


def test_the_first_build_that_is_better_is_used_and_undo_leads_back(
    builds: BuildFolder, log_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found_before(monkeypatch, 0.001)
    fix_build(advice("crash", "good", "never tried"), builds, log_path, install)
    assert "The way back: qwen3-chat doctor --fix --undo" in capsys.readouterr().err
    assert builds.chosen() == builds.path("good")
    undo_fix(builds)
    assert "the installed one again" in capsys.readouterr().err
    assert builds.chosen() is None
    assert not builds.path("good").exists()
    undo_fix(builds)
    assert "nothing to undo" in capsys.readouterr().err


QUESTION = "How many r's in strawberries?"


def answered(program: PullProgram) -> bool:
    """Return whether the app answers, with whatever build it takes."""
    outcome = program.run("ask", "--demo", "--no-think", "--seed", "1", "--temperature", "0", QUESTION)
    return (outcome.status, "3" in outcome.stdout) == (0, True)


def install_chosen(name: str, home: Path) -> PullProgram:
    """Return the program as it is after a build was chosen that has become what its stand-in is."""
    program = PullProgram(home)
    builds = BuildFolder(home / "app" / "data" / "llama-cpp")
    install(Build(name), builds.path(name))
    builds.choose(name)
    return program


@pytest.mark.full
@pytest.mark.parametrize("name", ["library", "crash", "nodevice", "slower"])
def test_after_a_bad_build_the_app_answers_as_before_and_nothing_is_left_to_undo(
    name: str, tmp_path: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_fix, "write_trial_model", lambda path: shutil.copy(DEMO_FILE, path))
    found_before(monkeypatch, 1e9)
    program = PullProgram(tmp_path)
    with pytest.raises(EngineError):
        fix_build(advice(name), BuildFolder(tmp_path / "app" / "data" / "llama-cpp"), log_path, install)
    assert answered(program)
    undone = program.run("doctor", "--fix", "--undo")
    assert (undone.status, "nothing to undo" in undone.stderr) == (0, True)
    assert answered(program)


@pytest.mark.full
def test_a_build_in_use_that_lacks_a_library_now_gives_way_to_the_installed_one(tmp_path: Path) -> None:
    program = install_chosen("library", tmp_path)
    assert answered(program)


@pytest.mark.full
def test_from_a_build_in_use_that_crashes_now_undo_leads_back(tmp_path: Path) -> None:
    program = install_chosen("crash", tmp_path)
    outcome = program.run("ask", "--demo", QUESTION)
    assert outcome.status == 1
    assert len(outcome.stderr.splitlines()) == 1
    report = program.run("doctor")
    assert "qwen3-chat doctor --fix --undo" in report.stdout
    assert program.run("doctor", "--fix", "--undo").status == 0
    assert answered(program)


@pytest.mark.full
def test_a_build_that_is_slow_on_the_processor_is_used_only_if_no_other_works(
    builds: BuildFolder, log_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found_before(monkeypatch, 0.001, cpu_tokens_per_s=1e9)
    fix_build(advice("good", "nodevice"), builds, log_path, install)
    said = capsys.readouterr().err
    assert "good works, but is slow on the processor" in said
    assert "nodevice is not used" in said
    assert builds.chosen() == builds.path("good")
    assert not builds.path("nodevice").exists()


@pytest.mark.full
def test_the_model_for_trials_is_generated_from_by_the_installed_build(tmp_path: Path) -> None:
    write_trial_model(tmp_path / "trial.gguf")
    trial = asyncio.run(try_build(None, tmp_path / "trial.gguf", tmp_path / "engine.log"))
    assert trial.tokens_per_s > 0
    assert trial.gpus == ()


def test_without_advice_nothing_is_fetched(builds: BuildFolder, log_path: Path) -> None:
    fix_build(None, builds, log_path, lambda build, folder: pytest.fail("nothing was to be done"))
    assert not builds.folder.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": "0.0.1", "names": ["good"]}',
        '{"version": "0.3.36", "names": ["../../elsewhere"]}',
        '{"version": "0.3.36", "names": ["gone"]}',
    ],
)
def test_a_list_of_builds_that_is_damaged_or_out_of_date_means_the_installed_one(
    text: str, builds: BuildFolder
) -> None:
    builds.path("good").mkdir(parents=True)
    (builds.folder / "chosen.json").write_text(text)
    assert builds.chosen() is None
    assert builds.environment() is None


def test_the_doctor_names_the_idle_gpu_with_the_command() -> None:
    found = hardware(CPU, gpus=(NVIDIA,))
    (problem,) = find_problems(found, advise_build(found, System("Linux")), REPOSITORY, None, [])
    assert "NVIDIA GeForce RTX 4090 lies idle" in problem.text
    assert problem.command == "qwen3-chat doctor --fix"


def test_the_doctor_says_why_llama_cpp_does_not_work() -> None:
    failure = EngineError(ErrorCode.LLAMA_CPP_BROKEN, reason="no such library")
    (problem,) = find_problems(hardware(failure=failure), None, REPOSITORY, None, [])
    assert problem.text == "llama.cpp does not work: llama.cpp could not be loaded: no such library"
    assert problem.error_code is ErrorCode.LLAMA_CPP_BROKEN


def test_the_doctor_says_what_hinders_the_compilation_of_llama_cpp() -> None:
    lack = Compilation(CompilationState.NO_COMPILER, language="C++", command="apt-get install g++").sentence
    (problem,) = find_problems(hardware(CPU), None, REPOSITORY, None, [], lack)
    assert "no C++ compiler was found" in problem.text
    assert "apt-get install g++" in problem.text
    assert problem.error_code is ErrorCode.LLAMA_CPP_MISSING


def test_the_doctor_warns_of_a_full_disk() -> None:
    (problem,) = find_problems(hardware(CPU), None, REPOSITORY, 10**9, [])
    assert "Less than 2.0 GiB is free" in problem.text
