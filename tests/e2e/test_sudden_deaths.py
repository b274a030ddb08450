from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from qwen3_chat.chat import StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings
from qwen3_chat.ui.turn_view import TurnPhase
from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program
from tests.e2e.terminal import opened
from tests.harness import Harness, open_app


@pytest.fixture
async def engine(tireless_gguf: Path, tmp_path: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LoadSettings(str(tireless_gguf)), tmp_path / "engine.log")
    yield engine
    await engine.close()


def is_writing(app: Harness) -> bool:
    return app.screen.turn.phase in (TurnPhase.THINKING, TurnPhase.ANSWERING)


async def test_a_killed_engine_leaves_the_app_the_partial_answer_and_a_sentence(
    engine: LocalEngine, tmp_path: Path
) -> None:
    async with open_app(tmp_path, engine) as app:
        await app.say("How many r's in strawberries?")
        await app.until(lambda: is_writing(app))
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await app.until(lambda: not app.screen.is_answering)
        reply = app.session.messages[-1]
        assert reply.meta.stop_reason is StopReason.ERROR
        assert reply.message.reasoning or reply.message.content
        assert (await app.store.branch(reply.chat_id))[-1].message == reply.message
        await app.until(lambda: app.shows("The engine was killed"))
        await app.say("Hello")
        await app.until(lambda: is_writing(app))
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert app.session.messages[-1].meta.stop_reason is StopReason.CANCELLED
        assert len(app.session.messages) == 4


def stored_length(program: Program) -> int:
    """Count the characters of the newest message in the store, as another program sees it."""
    with closing(sqlite3.connect(f"file:{program.home}/data/chats.db?mode=ro", uri=True)) as store:
        newest = "SELECT length(content) + length(reasoning) FROM messages ORDER BY id DESC LIMIT 1"
        (length,) = store.execute(newest).fetchone()
    return int(length)


def test_a_killed_app_keeps_what_it_saved_meanwhile_and_leaves_no_engine(
    program: Program, tireless_gguf: Path
) -> None:
    app = subprocess.Popen(
        [*program.command, "ask", "--gguf", str(tireless_gguf), "--jsonl", "Hello"],
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert app.stdout is not None
    received = stored = seen = 0
    engines: list[psutil.Process] = []
    for line in app.stdout:
        event = json.loads(line)
        if event["type"] not in ("reasoning_delta", "answer_delta"):
            continue
        engines = engines or psutil.Process(app.pid).children()
        received += len(event["text"])
        stored = stored_length(program)
        if seen and stored >= seen:  # what had come by the first saving was in the second
            break
        seen = seen or (stored and received)
    app.kill()
    app.wait()
    app.stdout.close()
    assert engines
    assert not psutil.wait_procs(engines, timeout=WAIT_LIMIT_S)[1]
    reply = json.loads(program.run("export", "last", "--format", "json").stdout)["messages"][-1]
    kept = len(reply.get("reasoning", "")) + len(reply.get("content", ""))
    assert kept >= stored >= seen > 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize("is_answering", [False, True], ids=["idle", "in mid-answer"])
def test_a_terminal_that_is_closed_leaves_no_process_behind(
    program: Program, tmp_path: Path, tireless_gguf: Path, is_answering: bool
) -> None:
    with opened(program, tmp_path, "--gguf", str(tireless_gguf)) as terminal:
        terminal.wait_for("context 0/")
        if is_answering:
            terminal.type("Go on for ever.")
            terminal.press("Enter")
            terminal.wait_for("Esc")
        processes = psutil.Process(terminal.process_id()).children(recursive=True)
        assert len(processes) >= 2
    _, alive = psutil.wait_procs(processes, timeout=WAIT_LIMIT_S)
    assert alive == []
