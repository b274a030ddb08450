"""Models without llama-cpp-python: it is being compiled, or can't be, and the faster library is there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.engine import library_choice, llama_compilation, local_engine, native_libraries
from qwen3_chat.engine.library_choice import LibraryChoices, ModelKind
from qwen3_chat.engine.llama_build import BUILD_VARIABLE, CHOSEN_BUILD_VARIABLE, LLAMA_CPP_VERSION
from qwen3_chat.engine.llama_compilation import CompilationState, read_compilation
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.native_libraries import (
    IK_NAME,
    default_library,
    has_fast_library,
    has_llama_cpp,
)
from qwen3_chat.engine.worker_process import list_devices, measure_kernels
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LLAMA_CPP_NAME, Adapter, LoadSettings, PersistenceOptions
from tests.engine.requests import chat_request, collect_events, text_of, user_message
from tests.engine.stand_in_library import Fault, count_workers, use_stand_in

ADAPTER = Path(__file__).with_name("ahoy-adapter.gguf")
BLOCK = """
import sys

class Block:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "llama_cpp":
            raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")

sys.meta_path.insert(0, Block())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: name != "llama_cpp" and find_spec(name, package) or None
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file about the compilation, which is not there."""
    file = tmp_path / "compile.json"
    monkeypatch.setattr(llama_compilation, "compilation_file", lambda: file)
    return file


@pytest.fixture
def compiling(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file about the compilation that goes on; the faster library counts as installed."""
    file.write_text(json.dumps({"state": "compiling", "percent": 37, "log": "compile.log"}))
    monkeypatch.setattr(native_libraries, "has_fast_library", lambda: True)
    return file


@pytest.fixture
async def engine(demo_gguf: Path, tmp_path: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path, persistence=persistence)
    yield engine
    await engine.close()


def finish(compiling: Path) -> None:
    compiling.unlink()


def notices_in(events: list[EngineEvent]) -> list[str]:
    return [event.key for event in events if isinstance(event, Notice)]


async def failure_of(engine: LocalEngine) -> tuple[EngineError, list[EngineEvent]]:
    events: list[EngineEvent] = []
    with pytest.raises(EngineError) as caught:
        await engine.load(events.append)
    return caught.value, events


async def test_the_faster_library_runs_a_model_at_once_and_is_compared_with_nothing(
    engine: LocalEngine, compiling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    monkeypatch.setattr(local_engine, "COMPARISON_DELAY_S", 0.0)
    started = count_workers(monkeypatch)
    events = await collect_events(events_of(engine.generate, chat_request(user_message("Hello"))))
    assert text_of(events)
    assert notices_in(events) == []
    assert engine.model is not None
    assert engine.model.library == IK_NAME
    assert engine.comparison is None
    assert [device.backend for device in await engine.devices()] == ["CPU"]
    assert started == [IK_NAME]


async def test_what_the_faster_library_can_t_run_says_how_far_llama_cpp_is_and_runs_once_it_is_there(
    engine: LocalEngine, compiling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    monkeypatch.setattr(library_choice, "ROUTED_QUANTS", frozenset())
    error, _ = await failure_of(engine)
    assert error.code is ErrorCode.LLAMA_CPP_MISSING
    assert "still being compiled (37%)" in str(error)
    finish(compiling)
    await collect_events(events_of(engine.load))
    assert engine.model is not None
    assert engine.model.library == LLAMA_CPP_NAME


async def test_adapters_wait_for_llama_cpp(
    compiling: Path, demo_gguf: Path, tmp_path: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    settings = replace(LoadSettings(str(demo_gguf)), adapters=(Adapter(str(ADAPTER)),))
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    engine = LocalEngine(settings, log_path, persistence=persistence)
    error, _ = await failure_of(engine)
    assert error.code is ErrorCode.LLAMA_CPP_MISSING
    await engine.close()


async def test_a_library_that_dies_is_left_and_the_reason_for_the_lack_of_the_other_is_told(
    engine: LocalEngine, compiling: Path, tmp_path: Path, demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.ILLEGAL_INSTRUCTION)
    error, events = await failure_of(engine)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert notice.key == "engine.fast_cpu_left"
    assert notice.values["reason"] == "it uses instructions that this processor lacks"
    assert error.code is ErrorCode.LLAMA_CPP_MISSING
    kind = ModelKind.from_header(read_file(demo_gguf), demo_gguf)
    assert LibraryChoices(tmp_path).failure(kind) == "cpu_unsupported"


@pytest.mark.skipif(not has_fast_library(), reason="needs ik-llama-cpp-python")
async def test_a_worker_that_is_asked_for_no_library_takes_the_one_that_is_there(
    tmp_path: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    monkeypatch.syspath_prepend(tmp_path)
    assert [device.backend for device in await list_devices(log_path)] == ["CPU"]
    assert await measure_kernels(log_path) == ()


def test_half_of_llama_cpp_counts_as_none_and_a_build_of_the_user_s_as_one(compiling: Path) -> None:
    assert not has_llama_cpp()
    assert default_library() == IK_NAME
    for variables in ({CHOSEN_BUILD_VARIABLE: "/builds/cuda"}, {BUILD_VARIABLE: ""}):
        assert default_library(variables) == LLAMA_CPP_NAME


@pytest.mark.parametrize(("needed", "library"), [(LLAMA_CPP_VERSION, LLAMA_CPP_NAME), ("9.9", IK_NAME)])
def test_after_a_failure_llama_cpp_counts_if_it_was_installed_all_the_same_in_the_right_version(
    compiling: Path, monkeypatch: pytest.MonkeyPatch, needed: str, library: str
) -> None:
    compiling.write_text('{"state": "failed"}')
    monkeypatch.setattr(native_libraries, "LLAMA_CPP_VERSION", needed)
    assert default_library() == library


def test_without_any_library_the_one_that_is_to_be_installed_is_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_libraries, "find_spec", lambda name: None)
    monkeypatch.setattr(native_libraries, "has_fast_library", lambda: False)
    assert default_library() == LLAMA_CPP_NAME
    assert llama_compilation.missing_llama_cpp_sentence().startswith("llama-cpp-python is not installed")


def test_a_compilation_that_is_not_told_of_any_more_was_cut_off(compiling: Path) -> None:
    compilation = read_compilation()
    assert compilation is not None
    assert compilation.is_running
    old_s = time.time() - llama_compilation.STALE_S - 1
    os.utime(compiling, (old_s, old_s))
    compilation = read_compilation()
    assert compilation is not None
    assert compilation.state is CompilationState.INTERRUPTED
    assert "cut off at 37%" in compilation.sentence


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"state": "odd"}', b'{"state": "failed", "percent": 101}', b"\xff"]
)
def test_a_damaged_file_tells_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read_compilation() is None
