from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qwen3_chat.servers import ServerKind
from qwen3_chat.ui.turn_view import TurnPhase
from tests.e2e.conftest import Program
from tests.harness import open_app
from tests.remote.imitations import Imitation
from tests.remote.remote_engines import remote_engine_at
from tests.remote.wire_server import Reply, Request, running


async def test_a_reply_names_its_server_and_estimated_counts_are_marked(tmp_path: Path) -> None:
    async with (
        running(Imitation(ServerKind.OLLAMA)) as wire,
        remote_engine_at(wire.url) as engine,
        open_app(tmp_path, engine, size=(120, 30)) as app,
    ):
        await app.turn("How many r's in strawberries?")
        await app.sees("There are 3 r's.")
        await app.sees(f"qwen3:8b · Ollama · {wire.url.removeprefix('http://')}")
        await app.sees("≈19/8192")


async def test_exact_counts_are_not_marked(tmp_path: Path) -> None:
    async with (
        running(Imitation(ServerKind.VLLM)) as wire,
        remote_engine_at(wire.url) as engine,
        open_app(tmp_path, engine, size=(120, 30)) as app,
    ):
        await app.turn("How many r's in strawberries?")
        await app.sees("context 19/40960")


async def test_ctrl_g_says_where_a_server_cannot_end_the_thinking_and_esc_stops_it(tmp_path: Path) -> None:
    async with (
        running(Imitation(ServerKind.SGLANG)) as wire,
        remote_engine_at(wire.url) as engine,
        open_app(tmp_path, engine, size=(120, 30)) as app,
    ):
        await app.say("go on and on")
        await app.sees("Let me count")
        await app.sees("Esc stops")
        assert not any(label in "\n".join(app.rows()) for label in ("answers now", "Answer now"))
        await app.pilot.press("ctrl+g")
        await app.sees("can't end the thinking early")
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        await app.sees("Stopped before the end.")


async def test_how_long_a_busy_server_is_waited_for_is_told(tmp_path: Path) -> None:
    """Some servers send nothing at all before the first text, for minutes while others are served."""
    gate, imitation = asyncio.Event(), Imitation(ServerKind.SGLANG)

    def answer(request: Request) -> Reply:
        return Reply([gate]) if request.path.endswith("/chat/completions") else imitation(request)

    async with (
        running(answer) as wire,
        remote_engine_at(wire.url) as engine,
        open_app(tmp_path, engine, size=(120, 30)) as app,
    ):
        await app.say("Hello")
        await app.until(lambda: app.screen.turn.phase is TurnPhase.STARTING and len(app.session.messages) > 1)
        app.screen.turn._began_s -= 75
        await app.sees("Waiting for the first word · ")
        await app.pilot.press("escape")
        await wire.left.wait()
        await app.until(lambda: not app.screen.is_answering)


async def test_a_server_that_is_down_leaves_the_question_to_be_asked_again(tmp_path: Path) -> None:
    async with running(Imitation(ServerKind.VLLM)) as wire:
        url = wire.url
    async with remote_engine_at(url) as engine, open_app(tmp_path, engine, size=(120, 30)) as app:
        await app.sees("Nothing answers at")


WRONG = [
    (("--endpoint", "http://localhost:1", "--demo"), 2, "Choose a server or a model on this machine"),
    (("--endpoint", "ftp://localhost"), 2, "not the address of a server"),
    (("--endpoint", "workstaton"), 2, "The settings name no server “workstaton” (they name: none)"),
    (("--endpoint", "http://me:sk-secret@host"), 2, "Keys and passwords don't belong in the address"),
    (("--server", "vllm"), 2, "give --endpoint too"),
    (("--endpoint", "http://localhost:1", "--server", "vLLLM"), 2, "choose one of vllm, sglang"),
    (("--endpoint", "http://127.0.0.1:1"), 1, "Nothing answers at 127.0.0.1:1"),
]


@pytest.mark.parametrize(("options", "status", "sentence"), WRONG)
def test_what_cannot_be_is_told_in_one_sentence(
    program: Program, options: tuple[str, ...], status: int, sentence: str
) -> None:
    done = program.run("ask", *options, "Hello")
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert "sk-secret" not in done.stderr
