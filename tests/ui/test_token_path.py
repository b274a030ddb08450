"""The way of one token from the worker's line to the transcript."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import FrameType

import pytest

import qwen3_chat
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings
from qwen3_chat.ui.widgets.transcript import Transcript
from tests.harness import open_app

MAX_FRAMES = 4
PACKAGE = Path(qwen3_chat.__file__).parent


def frames_of_ours(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of the package from a frame outwards, without those of the standard library."""
    frames = []
    while frame is not None:
        if PACKAGE in Path(frame.f_code.co_filename).parents:
            frames.append(frame)
        frame = frame.f_back
    return frames


async def test_at_most_four_calls_lead_from_the_workers_line_to_the_transcript(
    tmp_path: Path, demo_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[list[str]] = []
    write_answer = Transcript.write_answer

    def remember(self: Transcript, text: str) -> None:
        frames = frames_of_ours(sys._getframe(1))
        assert not [f for f in frames[:-1] if f.f_code.co_flags & inspect.CO_COROUTINE], (
            "nothing waits between"
        )
        paths.append([frame.f_code.co_qualname for frame in frames])
        write_answer(self, text)

    monkeypatch.setattr(Transcript, "write_answer", remember)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "engine.log")
    async with open_app(tmp_path, engine, (100, 30)) as app:
        await app.turn("How are you? /no_think")
    await engine.close()
    assert paths
    for path in paths:
        *between, reader = path
        assert reader == "WorkerProcess._read"
        assert len(between) <= MAX_FRAMES, path
