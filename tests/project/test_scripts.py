from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import background_compile
import checks
import environment
import fast_library
import llama_programs
import old_python
import pip_progress
import pip_run
import toolchain
from pip_progress import ProgressLine, Step, parse_step
from qwen3_chat.engine.native_libraries import IK_VERSION, compiled_folder
from tests.conftest import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"


def on_path(*names: str) -> toolchain.FindProgram:
    return lambda name: f"/usr/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("platform", "programs", "is_root", "command"),
    [
        ("linux", ["apt-get"], False, "sudo apt-get update && sudo apt-get install -y build-essential"),
        ("linux", ["apt-get"], True, "apt-get update && apt-get install -y build-essential"),
        ("linux", ["dnf", "yum"], False, "sudo dnf install -y gcc gcc-c++ make"),
        ("linux", ["pacman"], False, "sudo pacman -S --needed base-devel"),
        ("linux", [], False, ""),
        ("darwin", ["xcode-select"], False, "xcode-select --install"),
    ],
)
def test_the_command_that_installs_a_compiler_suits_the_system(
    platform: str, programs: list[str], is_root: bool, command: str
) -> None:
    assert toolchain.compiler_command(on_path(*programs), platform, is_root=is_root) == command


def test_on_windows_the_command_is_wingets() -> None:
    assert toolchain.compiler_command(on_path(), "win32").startswith("winget install ")


@pytest.mark.parametrize(
    ("environ", "programs", "missing"),
    [
        ({}, ["cc", "c++"], None),
        ({}, ["gcc", "g++"], None),
        ({}, ["clang", "clang++"], None),
        ({}, ["gcc"], "C++"),
        ({}, [], "C"),
        ({"CC": "zig cc", "CXX": "zig c++"}, ["zig"], None),
        ({"CXX": "g++-14"}, ["cc", "c++"], "C++"),
    ],
)
def test_the_missing_compiler_is_named(
    environ: dict[str, str], programs: list[str], missing: str | None
) -> None:
    assert toolchain.missing_compiler(environ, on_path(*programs), "linux") == missing


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting textual==8.2.8", Step("scripts.step.collecting", "textual")),
        ("Requirement already satisfied: rich>=14 in ./lib", Step("scripts.step.collecting", "rich")),
        (
            "  Downloading textual-8.2.8-py3-none-any.whl (700 kB)",
            Step("scripts.step.downloading", "textual-8.2.8-py3-none-any.whl"),
        ),
        (
            "  Downloading https://files.example/packages/ab/cd/rich-15.0.0.tar.gz (1 MB)",
            Step("scripts.step.downloading", "rich-15.0.0.tar.gz"),
        ),
        ("  Installing build dependencies: started", Step("scripts.step.build_tools")),
        (
            "  Building wheel for llama-cpp-python (pyproject.toml): started",
            Step("scripts.step.building", "llama-cpp-python"),
        ),
        (
            "  [60/240] Building CXX object vendor/llama.cpp/src/CMakeFiles/llama.dir/llama-graph.cpp.o",
            Step("scripts.step.compiling", "llama-graph.cpp", 0.25),
        ),
        (
            "[240/240] Linking CXX shared library bin/libllama.so",
            Step("scripts.step.compiling", "libllama.so", 1.0),
        ),
        (
            "  [ 37%] Building C object vendor/llama.cpp/ggml/src/CMakeFiles/ggml-base.dir/ggml.c.o",
            Step("scripts.step.compiling", "ggml.c", 0.37),
        ),
        (
            "  [57/193] /usr/bin/g++ -O3 -o src/llama.dir/a.cpp.o -c /build/llama.cpp/src/a.cpp",
            Step("scripts.step.compiling", "a.cpp", 57 / 193),
        ),
        (
            "  [60/193] : && /usr/bin/g++ -fPIC -shared -o bin/libllama.so a.cpp.o b.cpp.o -lm && :",
            Step("scripts.step.compiling", "libllama.so", 60 / 193),
        ),
        ("Installing collected packages: a, b", Step("scripts.step.installing")),
        ("  WARNING: Retrying (Retry(total=4, connect=None)) after …", Step("scripts.step.retrying")),
        ("  -- Detecting CXX compile features - done", None),
        ("[notice] A new release of pip is available", None),
        ("", None),
    ],
)
def test_a_line_of_pip_or_cmake_tells_the_step(line: str, step: Step | None) -> None:
    assert parse_step(line) == step


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_appears_every_twenty_seconds() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = ProgressLine(stream, clock)
    for second in range(60):
        clock.now_s = float(second)
        progress.show(Step("scripts.step.compiling", "a.cpp", second / 60))
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["0:00", "0:20", "0:40"]
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_one_line_is_rewritten_and_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    clock, stream = Clock(), Terminal()
    with ProgressLine(stream, clock) as progress:
        progress.show(Step("scripts.step.compiling", "very-long-name" * 9, 0.5))
        clock.now_s = 65.0
        progress.show()
    assert "\n" not in stream.getvalue()
    assert "1:05" in stream.getvalue()
    assert max(len(part) for part in stream.getvalue().split("\r")) == 39
    assert stream.getvalue().endswith("\r" + " " * 39 + "\r\r")


def test_chinese_characters_count_as_two_cells() -> None:
    assert pip_progress.clip_to_cells("正在编译 llama.cpp", 9) == "正在编译 "
    assert pip_progress.clip_to_cells("正在编译", 5) == "正在"


@pytest.mark.parametrize(("seconds", "clock"), [(7.9, "0:07"), (252, "4:12"), (3603, "1:00:03")])
def test_durations_read_like_a_clock(seconds: float, clock: str) -> None:
    assert pip_progress.format_clock_time(seconds) == clock


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("Failed to establish a new connection: NewConnectionError('…')", "scripts.failed.network"),
        ("OSError: [Errno 28] No space left on device", "scripts.failed.disk"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "scripts.failed.memory"),
        ("CMake Error at CMakeLists.txt:12 (message): no CUDA toolkit", "scripts.failed.other"),
    ],
)
def test_a_failure_is_told_by_its_cause(line: str, key: str) -> None:
    assert pip_run.PipFailed(["Collecting a\n", line + "\n", "ERROR: failed\n"]).key == key


def test_the_lines_that_speak_of_the_error_are_shown_once_each() -> None:
    lines = ["-- ok\n", "CMake Error: no toolkit\n", "\n", "CMake Error: no toolkit\n", "ninja: stopped\n"]
    assert pip_run.error_lines(lines) == ["CMake Error: no toolkit"]
    assert pip_run.error_lines(["one\n", "two\n", "three\n"], count=2) == ["two", "three"]


def test_pip_keeps_the_users_settings_but_those_that_break_a_virtual_environment() -> None:
    environ = pip_run.pip_environment(
        {"CMAKE_ARGS": "-DGGML_CUDA=on", "PIP_INDEX_URL": "u", "PIP_TARGET": "/x"}
    )
    assert environ["CMAKE_ARGS"] == "-DGGML_CUDA=on"
    assert environ["PIP_INDEX_URL"] == "u"
    assert "PIP_TARGET" not in environ


def test_the_fingerprint_changes_with_a_dependency_only() -> None:
    pyproject = {
        "project": {"dependencies": ["a==1"]},
        "tool": {"hatch": {"x": 1}, "ruff": {"line-length": 110}},
    }
    tables = ("project", "tool.hatch", "build-system")
    before = environment.fingerprint(pyproject, tables)
    assert environment.fingerprint(pyproject | {"tool": {"hatch": {"x": 1}}}, tables) == before
    assert environment.fingerprint(pyproject | {"project": {"dependencies": ["a==2"]}}, tables) != before


@pytest.fixture
def checkout(tmp_path: Path) -> environment.Environment:
    """A checkout whose environment looks installed, down to the stamp."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[dependency-groups]\ndev = ["ruff"]\n')
    here = environment.Environment(tmp_path)
    here.programs.mkdir(parents=True)
    here.python.symlink_to(sys.executable)
    write_stamp(here, dev=False)
    return here


def write_stamp(here: environment.Environment, *, dev: bool) -> None:
    (here.folder / "qwen3-chat.json").write_text(json.dumps(here.expected_stamp({}, dev=dev)))


def test_an_installed_environment_is_ready(checkout: environment.Environment) -> None:
    assert checkout.is_ready()
    assert not checkout.is_ready(dev=True)
    write_stamp(checkout, dev=True)
    assert checkout.is_ready(dev=True)


def test_another_dependency_asks_for_an_installation(checkout: environment.Environment) -> None:
    pyproject = checkout.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('name = "x"', 'name = "x"\ndependencies = ["rich"]'))
    assert not checkout.is_ready()


def test_a_moved_checkout_asks_for_an_installation(checkout: environment.Environment) -> None:
    moved = checkout.root.with_name("moved")
    checkout.root.rename(moved)
    assert not environment.Environment(moved).is_ready()


def test_a_python_that_is_gone_asks_for_an_installation(checkout: environment.Environment) -> None:
    checkout.python.unlink()
    assert not checkout.is_ready()


def test_an_unfinished_installation_is_not_ready(checkout: environment.Environment) -> None:
    (checkout.folder / "qwen3-chat.json").write_text('{"unfinished": true}')
    assert not checkout.is_ready()


def test_options_for_the_compiler_ask_for_another_build_and_stay(
    checkout: environment.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    assert not checkout.is_ready()
    write_stamp(checkout, dev=False)
    monkeypatch.delenv("CMAKE_ARGS")
    assert checkout.is_ready()


def test_full_runs_select_every_test_and_pytest_comes_last() -> None:
    assert checks.list_checks(["-x"], full=True)[-1].command == ("pytest", "-m", "", "--durations=30", "-x")
    assert checks.list_checks(["-x"], full=False)[-1].command == ("pytest", "-x")


def test_all_tests_are_shared_among_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for usable, processes in ((1, "1"), (2, "2"), (64, "4")):
        if sys.platform == "linux":
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=usable: set(range(n)))
        else:
            monkeypatch.setattr(os, "cpu_count", lambda n=usable: n)
        command = checks.list_checks([], full=False)[-1].command
        assert command == ("pytest", "-n", processes, "--dist=loadfile")


def test_static_checks_run_no_test_and_fetch_nothing() -> None:
    names = [check.name for check in checks.list_checks([], full=False, static=True)]
    assert names == ["ruff format", "ruff check", "mypy", "lint-imports"]
    assert not any(check.downloads for check in checks.list_checks([], full=True, static=True))


def test_tests_see_no_real_home_and_no_setting_of_the_app(tmp_path: Path) -> None:
    environ = checks.tests_environment(
        {"HOME": "/real", "HF_TOKEN": "x", "QWEN3_CHAT_HOME": "y", "PATH": "p"}, tmp_path
    )
    assert environ["HOME"] == str(tmp_path)
    assert environ["PATH"] == "p"
    assert not {"HF_TOKEN", "QWEN3_CHAT_HOME"} & environ.keys()


def test_a_checkout_that_may_not_be_written_gets_no_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home = tmp_path / "root", tmp_path / "home"
    assert checks.caches(root.parent, home) == {}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    moved = checks.caches(root, home)
    for name in ("MYPY_CACHE_DIR", "HYPOTHESIS_STORAGE_DIRECTORY"):
        assert moved[name].startswith(str(home))
    assert "no:cacheprovider" in moved["PYTEST_ADDOPTS"]


def test_nothing_of_an_archive_lands_outside_of_its_folder_whichever_python_unpacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "package.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("package/build.sh", "../outside.txt"):
            member = tarfile.TarInfo(name)
            member.size, member.mode = 2, 0o755
            packed.addfile(member, io.BytesIO(b"hi"))
    monkeypatch.delattr(tarfile, "data_filter", raising=False)  # as before Python 3.11.4
    llama_programs.unpack(archive, tmp_path / "folder")
    assert (tmp_path / "folder" / "package" / "build.sh").read_bytes() == b"hi"
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("name", ["chat", "test", "bench", "old_python.py"])
def test_what_an_old_python_reads_parses_on_it(name: str) -> None:
    ast.parse((SCRIPTS / name).read_text("utf-8"), feature_version=(3, 8))


def test_an_old_python_is_told_which_one_to_use() -> None:
    assert old_python.sentence((3, 8), "python3.12", "de_DE.UTF-8") == (
        "qwen3-chat needs Python 3.11 or newer, and this is Python 3.8; run the same command with python3.12."
    )
    assert "3.8" in old_python.sentence((3, 8), "", "zh_CN.UTF-8")


def test_an_unknown_benchmark_is_a_wrong_usage() -> None:
    command = [sys.executable, str(SCRIPTS / "bench"), "nonsense"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"}, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("Usage: python3 scripts/bench engine|")
    assert line.endswith("|fit [options]")


@pytest.fixture
def with_wheel(checkout: environment.Environment) -> environment.Environment:
    """A checkout whose environment has the wheel of the faster library."""
    info = (
        checkout.folder
        / f"lib/python3.11/site-packages/ik_llama_cpp_python-{fast_library.version()}.dist-info"
    )
    info.mkdir(parents=True)
    (info / "RECORD").touch()
    return checkout


def test_the_faster_library_is_pinned_everywhere_in_the_version_that_the_worker_needs(
    checkout: environment.Environment,
) -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    assert f"{fast_library.DISTRIBUTION}=={IK_VERSION}" in pyproject
    assert fast_library.version() == IK_VERSION
    for file in (fast_library.READY_MADE, fast_library.SOURCE):
        assert f"{fast_library.DISTRIBUTION}=={IK_VERSION} " in file.read_text("utf-8")
        assert "--hash=sha256:" in file.read_text("utf-8")
    assert fast_library.target_folder(checkout) == compiled_folder(checkout.folder)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of processes that were started behind the chat; a compiler is there."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: None)
    return commands


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux compiles it")
def test_the_faster_library_is_compiled_once_behind_the_chat_and_only_where_it_is_of_use(
    with_wheel: environment.Environment, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert background_compile.start(with_wheel)
    assert started == [[str(with_wheel.python), background_compile.__file__]]
    fast_library.target_folder(with_wheel).parent.mkdir()
    fast_library.failure_file(with_wheel).touch()
    assert not background_compile.start(with_wheel)
    fast_library.failure_file(with_wheel).unlink()
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: "C++")
    assert not background_compile.start(with_wheel)
    monkeypatch.setattr(toolchain, "missing_compiler", lambda: None)
    fast_library.target_folder(with_wheel).mkdir()
    assert not background_compile.start(with_wheel)
    fast_library.target_folder(with_wheel).rmdir()
    monkeypatch.setattr(environment.Environment, "cmake_args", "-DGGML_CUDA=on")
    assert not background_compile.start(with_wheel)
    assert len(started) == 1


def test_without_its_wheel_the_faster_library_is_not_compiled(
    checkout: environment.Environment, started: list[list[str]]
) -> None:
    assert not background_compile.start(checkout)
    assert not started


def test_another_file_of_the_faster_library_asks_for_an_installation(
    checkout: environment.Environment,
) -> None:
    file = checkout.root / "scripts" / "fast-cpu.txt"
    file.parent.mkdir()
    file.write_text("ik-llama-cpp-python==0.1.6")
    assert not checkout.is_ready()


@pytest.mark.parametrize(("reason", "is_tried_again"), [("NewConnectionError", True), ("error: no", False)])
def test_a_failed_compilation_leaves_everything_as_it_was(
    with_wheel: environment.Environment, monkeypatch: pytest.MonkeyPatch, reason: str, is_tried_again: bool
) -> None:
    def fail(here: environment.Environment, log: object) -> None:
        folder = fast_library.target_folder(here)
        folder.with_name(f"{folder.name}.new").mkdir()
        raise pip_run.PipFailed([reason])

    monkeypatch.setattr(fast_library, "compile_for_processor", fail)
    assert not fast_library.compile_source(with_wheel)
    assert not fast_library.target_folder(with_wheel).exists()
    left = {path.name for path in fast_library.target_folder(with_wheel).parent.iterdir()}
    failed = set() if is_tried_again else {f"{IK_VERSION}.failed"}  # as docs/install.md names it
    assert left == {"compile.lock", "compile.log"} | failed


def test_a_library_that_does_not_run_the_demo_model_is_not_taken(tmp_path: Path) -> None:
    broken = tmp_path / "libllama.so"
    broken.write_bytes(b"nothing")
    with open(tmp_path / "log", "w") as log, pytest.raises(pip_run.PipFailed):
        fast_library.try_library(Path(sys.executable), broken, log)
