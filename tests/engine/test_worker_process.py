from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from event_stream import events_of
from qwen3_chat.chat import StopReason
from qwen3_chat.engine import wire, worker_process
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker import llama_bindings
from qwen3_chat.engine.worker_process import list_devices, measure_kernels
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta, EngineFailed
from qwen3_chat.request import LoadSettings
from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message

# Python runs it in every process that finds it: it prints in three ways when llama.cpp is imported.
NOISE = """
import ctypes, os, sys

def make_noise(event, arguments):
    if event == "import" and arguments[0] == "llama_cpp":
        print("noise of Python", flush=True)
        os.write(1, b"noise of the system\\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"noise of C")
        libc.fflush(None)

sys.addaudithook(make_noise)
"""

NO_LLAMA_CPP = """
import sys

def refuse(event, arguments):
    if event == "import" and arguments[0] == "llama_cpp":
        raise ImportError("libllama.so is missing")

sys.addaudithook(refuse)
"""

WRITE_A_LOT = """
import sys
from pathlib import Path
from qwen3_chat.engine.worker.worker_log import WorkerLog

log = WorkerLog(Path(sys.argv[1]), max_bytes=1000)
log.redirect_output()
for number in range(100):
    log.write(f"line {number}")
print("the end", flush=True)
"""


def worker_command(log_path: Path) -> list[str]:
    return [sys.executable, "-m", "qwen3_chat.engine.worker", str(log_path)]


def content(path: Path) -> str:
    return path.read_text()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def write_for_all(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def test_the_worker_ends_when_its_input_ends(log_path: Path) -> None:
    worker = subprocess.run(
        worker_command(log_path), input=b"", capture_output=True, cwd=REPOSITORY, check=False
    )
    assert (worker.returncode, worker.stderr) == (0, b"")
    (ready,) = (wire.decode_message(line) for line in worker.stdout.splitlines())
    assert isinstance(ready, wire.Ready)
    assert set(ready.versions) == {"python", "llama_cpp"}


def test_the_worker_answers_before_it_sees_the_end(log_path: Path) -> None:
    question = wire.encode(wire.ListDevices(5))
    worker = subprocess.run(
        worker_command(log_path), input=question, capture_output=True, cwd=REPOSITORY, check=False
    )
    _, answer = (wire.decode_message(line) for line in worker.stdout.splitlines())
    assert isinstance(answer, wire.DevicesListed)
    assert answer.call_id == 5


async def test_what_is_printed_goes_to_the_log(
    demo_gguf: Path, log_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    monkeypatch.syspath_prepend(tmp_path)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path)
    assert end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=3)))
    ).token_ids
    await engine.close()
    log = content(log_path)
    for noise in ("of Python", "of the system", "of C", "llama_model_loader"):
        assert noise in log


async def test_an_installation_without_llama_cpp_is_told(
    demo_gguf: Path, log_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_LLAMA_CPP)
    monkeypatch.syspath_prepend(tmp_path)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path)
    events = await collect_events(events_of(engine.load))
    assert events[-1] == EngineFailed("engine.llama_cpp_broken", {"reason": "libllama.so is missing"})
    await engine.close()


def test_another_version_of_the_bindings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    llama_bindings.check_bindings()
    monkeypatch.setattr(llama_bindings, "_CONTEXT_PARAMS_BYTES", 168)
    with pytest.raises(EngineError, match=r"this program needs 0\.3\.36"):
        llama_bindings.check_bindings()


async def test_the_log_is_private_and_tells_nothing_of_the_chat(
    demo_engine: LocalEngine, log_path: Path
) -> None:
    secret = "Zwetschgenröster"
    events = await collect_events(
        events_of(demo_engine.generate, chat_request(user_message(secret * 3), max_tokens=30))
    )
    await collect_events(events_of(demo_engine.generate, chat_request(user_message("\ud800" + secret))))
    await demo_engine.close()
    log = content(log_path)
    assert mode(log_path) == 0o600
    assert log
    assert secret not in log
    assert text_of(events) not in log


async def test_a_full_log_is_put_aside_at_the_start(demo_engine: LocalEngine, log_path: Path) -> None:
    old = "old\n" * 300_000
    write_for_all(log_path, old)
    await collect_events(events_of(demo_engine.load))
    await demo_engine.close()
    assert content(log_path.with_name("engine.log.1")) == old
    assert "old" not in content(log_path)
    assert mode(log_path) == 0o600


def test_a_log_that_fills_up_is_put_aside(log_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_A_LOT, str(log_path)], cwd=REPOSITORY, check=True)
    old, new = log_path.with_name("engine.log.1").read_text(), log_path.read_text()
    assert "line 99" in old + new
    assert new.endswith("the end\n")
    assert max(len(old), len(new)) < 1200


async def test_a_log_that_cannot_be_written_stops_no_chat(demo_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "file" / "engine.log")
    assert end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=3)))
    ).token_ids
    await engine.close()


async def test_ctrl_c_does_not_reach_the_worker(endless_engine: LocalEngine) -> None:
    events = []
    async with aclosing(
        events_of(endless_engine.generate, chat_request(user_message("Hi"), max_tokens=60))
    ) as reply:
        async for event in reply:
            events.append(event)
            if isinstance(event, AnswerDelta) and endless_engine.pid:
                assert os.getpgid(endless_engine.pid) != os.getpgid(0)
                os.kill(endless_engine.pid, signal.SIGINT)
    assert end_of(events).stop_reason is StopReason.MAX_TOKENS


@pytest.mark.parametrize(
    "message",
    [
        wire.Load(1, LoadSettings("模型.gguf", n_ctx=5), LoadPlan(n_layers=2, n_ctx=5)),
        wire.Generate(2, chat_request(user_message("a\nb\u2028c\0d</think>😀"), thinking_budget=3)),
        wire.CountTokens(3, chat_request(user_message("天气"))),
        wire.Cancel(4),
    ],
)
def test_a_command_travels_as_one_line(message: wire.AnyWorkerCommand) -> None:
    line = wire.encode(message)
    assert line.count(b"\n") == 1
    assert wire.decode_command(line) == message


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"type":"Generate"}', b'{"type":"Dance","call_id":1}', b"\xff"]
)
def test_a_line_that_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        wire.decode_command(line)


@pytest.mark.parametrize("ask", [measure_kernels, list_devices])
async def test_who_stops_asking_a_process_of_its_own_does_not_wait_for_it(
    ask: Callable[[Path, str], Coroutine[None, None, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_process, "CANCEL_TIMEOUT_S", 10 * WAIT_LIMIT_S)
    started, deaf = tmp_path / "started", tmp_path / "python"
    deaf.write_text(f"#!/bin/sh\necho $$ > {shlex.quote(str(started))}\nexec sleep 10000\n")
    deaf.chmod(0o755)
    os.mkfifo(started)
    asking = asyncio.create_task(ask(tmp_path / "engine.log", str(deaf)))
    process_id = int(await asyncio.to_thread(started.read_text))
    asking.cancel()
    done, _ = await asyncio.wait({asking}, timeout=WAIT_LIMIT_S)
    assert done
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
