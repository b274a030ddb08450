from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import EngineFailed
from qwen3_chat.models.gguf import read_file
from qwen3_chat.request import LoadSettings
from qwen3_chat.texts import t
from tests.engine import model_files
from tests.engine.requests import collect_events

BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "text": (lambda data: b"# README\n" * 99, "bad.gguf is not a GGUF file."),
    "unknown architecture": (
        model_files.of_unknown_architecture,
        "llama.cpp cannot load bad.gguf: unknown model architecture: 'qwenX'",
    ),
    "missing tensor": (
        lambda data: data.replace(b"output_norm.weight", b"output_nose.weight"),
        "llama.cpp cannot load bad.gguf: tensor 'output_norm.weight' not found",
    ),
    "no chat template": (
        lambda data: data.replace(b"tokenizer.chat_template", b"tokenizer.chat_nothing_"),
        t("prompt.no_template"),
    ),
}


async def failure_of(path: Path, log_path: Path) -> str:
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    events = await collect_events(events_of(engine.load))
    await engine.close()
    failure = events[-1]
    assert isinstance(failure, EngineFailed)
    return failure.text


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_file_that_cannot_be_loaded_is_told_apart(
    kind: str, demo_gguf: Path, log_path: Path, tmp_path: Path
) -> None:
    change, sentence = BROKEN[kind]
    path = model_files.make(tmp_path / "bad.gguf", demo_gguf, change)
    assert await failure_of(path, log_path) == sentence


async def test_a_truncated_file_tells_how_much_is_there(
    demo_gguf: Path, log_path: Path, tmp_path: Path
) -> None:
    path = model_files.make(tmp_path / "bad.gguf", demo_gguf, lambda data: data[:1_500_000])
    whole = f"{(read_file(demo_gguf).expected_bytes or 0) / 1e6:.1f} MB"
    assert await failure_of(path, log_path) == f"bad.gguf is truncated: only 1.5 MB of {whole} are there."


async def test_a_missing_file_is_named(log_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.gguf"
    assert await failure_of(path, log_path) == f"There is no file {path}."


async def test_a_folder_is_no_model(log_path: Path, tmp_path: Path) -> None:
    assert await failure_of(tmp_path, log_path) == f"{tmp_path} is a folder, not a GGUF file."


async def test_another_file_can_take_the_place_of_a_broken_one(
    demo_gguf: Path, log_path: Path, tmp_path: Path
) -> None:
    path = model_files.make(tmp_path / "model.gguf", demo_gguf, lambda data: data[:99])
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    assert isinstance((await collect_events(events_of(engine.load)))[-1], EngineFailed)
    model_files.make(path, demo_gguf)
    await collect_events(events_of(engine.load))
    assert engine.model is not None
    await engine.close()
