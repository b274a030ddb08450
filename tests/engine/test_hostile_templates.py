"""Model files whose chat template is hostile, in the real engine: a sentence, and the engine goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import LoadSettings
from tests.engine import model_files
from tests.engine.hostile_templates import EMPTY, ENDLESS
from tests.engine.requests import chat_request, user_message

BUSY_S = 0.2
QUESTION = chat_request(user_message("Hi"))


async def open_engine(template: str, demo_gguf: Path, folder: Path) -> LocalEngine:
    path = model_files.make(
        folder / "model.gguf",
        demo_gguf,
        lambda data: model_files.with_text(data, "tokenizer.chat_template", template),
    )
    engine = LocalEngine(LoadSettings(str(path)), folder / "engine.log")
    await engine.load(lambda event: None)
    return engine


@pytest.fixture
async def endless(demo_gguf: Path, tmp_path: Path) -> AsyncIterator[LocalEngine]:
    engine = await open_engine(ENDLESS["loops"], demo_gguf, tmp_path)
    yield engine
    await engine.close()


def used_s(pid: int | None) -> float:
    return sum(psutil.Process(child.pid).cpu_times().user for child in psutil.Process(pid).children())


async def wait_until_the_template_runs(engine: LocalEngine) -> None:
    start_s = used_s(engine.pid)
    while used_s(engine.pid) < start_s + BUSY_S:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0)


@pytest.mark.parametrize("template", EMPTY.values(), ids=EMPTY)
async def test_a_template_that_renders_nothing_is_told_and_the_engine_lives_on(
    demo_gguf: Path, tmp_path: Path, template: str
) -> None:
    engine = await open_engine(template, demo_gguf, tmp_path)
    before = engine.pid
    with pytest.raises(EngineError) as failure:
        await engine.generate(QUESTION, lambda event: None)
    assert failure.value.code == ErrorCode.PROMPT_EMPTY
    assert engine.pid == before
    await engine.close()


async def test_a_template_that_never_ends_is_told_and_the_engine_lives_on(endless: LocalEngine) -> None:
    before = endless.pid
    for attempt in (endless.count_tokens(QUESTION), endless.generate(QUESTION, lambda event: None)):
        with pytest.raises(EngineError) as failure:
            await attempt
        assert failure.value.code == ErrorCode.CHAT_TEMPLATE_TOO_SLOW
    assert endless.pid == before


@pytest.mark.parametrize("command", ["count", "reply"])
async def test_a_template_that_never_ends_can_be_stopped(endless: LocalEngine, command: str) -> None:
    before = endless.pid
    work = (
        endless.count_tokens(QUESTION)
        if command == "count"
        else endless.generate(QUESTION, lambda event: None)
    )
    turn = asyncio.ensure_future(work)
    await wait_until_the_template_runs(endless)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert endless.pid == before
    assert psutil.Process(before).children() == []


async def test_the_engine_can_be_closed_while_a_template_never_ends(endless: LocalEngine) -> None:
    turn = asyncio.ensure_future(endless.generate(QUESTION, lambda event: None))
    await wait_until_the_template_runs(endless)
    assert endless.pid is not None
    processes = [psutil.Process(endless.pid), *psutil.Process(endless.pid).children()]
    await endless.close()
    with pytest.raises(EngineError):
        await turn
    assert psutil.wait_procs(processes, timeout=30)[1] == []
