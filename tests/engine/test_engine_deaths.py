from __future__ import annotations

import os
import signal
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.events import AnswerDelta, EngineFailed
from qwen3_chat.request import LoadSettings
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

# Python runs it in every process that finds it.
ABORT_WHEN_A_MODEL_IS_OPENED = """
import sys

def abort(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".gguf"):
        from llama_cpp._ggml import libggml
        libggml.ggml_abort(b"/src/ggml/ggml.c", 7, b"MESSAGE")

sys.addaudithook(abort)
"""

DEATHS = {
    signal.SIGKILL: "The engine was killed",
    signal.SIGSEGV: r"The engine was ended by signal 11 \(SIGSEGV\)",
    signal.SIGILL: "llama-cpp-python was built for another processor",
}


def pid_of(engine: LocalEngine) -> int:
    assert engine.pid is not None
    return engine.pid


@pytest.mark.parametrize("cause", DEATHS)
async def test_a_death_in_mid_answer_keeps_what_arrived_and_the_next_turn_works(
    endless_engine: LocalEngine, cause: signal.Signals
) -> None:
    events = []
    async with aclosing(events_of(endless_engine.generate, chat_request(user_message("Hi")))) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta) and endless_engine.pid:
                os.kill(endless_engine.pid, cause)
    failure = events[-1]
    assert text_of(events)
    assert isinstance(failure, EngineFailed)
    with pytest.raises(EngineError, match=DEATHS[cause]):
        raise failure.to_error()
    assert endless_engine.model is None
    assert end_of(
        await collect_events(
            events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=3))
        )
    ).token_ids


async def test_a_death_between_turns_goes_unnoticed(endless_engine: LocalEngine) -> None:
    await collect_events(events_of(endless_engine.load))
    first = pid_of(endless_engine)
    os.kill(first, signal.SIGKILL)
    with suppress(EngineDied):  # as long as the system has not told it
        await endless_engine.count_tokens(chat_request(user_message("Hi")))
    assert end_of(
        await collect_events(
            events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=3))
        )
    ).token_ids
    assert pid_of(endless_engine) != first


async def test_an_interpreter_that_is_not_there_is_named(demo_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path, python="/nowhere/python")
    events = await collect_events(events_of(engine.load))
    assert events[-1] == EngineFailed("engine.not_started", {"reason": "No such file or directory"})
    await engine.close()


async def test_a_worker_that_ends_by_itself_is_told(demo_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path, python="/bin/false")
    events = await collect_events(events_of(engine.load))
    assert events[-1] == EngineFailed("engine.ended", {"status": 1})
    await engine.close()


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("never mind", ErrorCode.ENGINE_ABORTED, "ggml.c:7: never mind"),
        ("CUDA error: out of memory", ErrorCode.OUT_OF_MEMORY, "ggml.c:7: CUDA error: out of memory"),
    ],
)
async def test_the_last_words_of_llama_cpp_are_told(
    demo_gguf: Path,
    log_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    code: ErrorCode,
    reason: str,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ABORT_WHEN_A_MODEL_IS_OPENED.replace("MESSAGE", message))
    monkeypatch.syspath_prepend(tmp_path)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path)
    events = await collect_events(events_of(engine.load))
    assert events[-1] == EngineFailed(code.text_key, {"reason": reason})
    await engine.close()
