from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import N_VOCAB, SHAPES, Shape, write_model
from event_stream import events_of
from qwen3_chat.chat import StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.models.gguf import read_file
from qwen3_chat.request import LoadSettings
from tests.engine.requests import THINKING, chat_request, collect_events, end_of, user_message

TINY = Shape(1, 64, 64, 2, 1, 32)


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path, TINY)
    return path


def test_a_made_up_model_is_a_whole_file_of_its_shape(tiny_gguf: Path) -> None:
    header = read_file(tiny_gguf)
    matrices = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 64
    norms = 64 + 2 * 64 + 2 * 32
    assert (header.architecture, header.quant, header.n_layers) == ("qwen3", "Q8_0", 1)
    assert header.parameters == N_VOCAB * 64 + matrices + norms
    assert header.expected_bytes == tiny_gguf.stat().st_size


def test_the_same_seed_makes_the_same_model(tiny_gguf: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "again.gguf", TINY)
    assert (tmp_path / "again.gguf").read_bytes() == tiny_gguf.read_bytes()


async def test_a_made_up_model_talks_until_it_is_told_to_stop(tiny_gguf: Path, tmp_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(tiny_gguf), n_ctx=512), tmp_path / "engine.log")
    request = chat_request(user_message("Hi"), sampling=THINKING, max_tokens=100)
    end = end_of(await collect_events(events_of(engine.generate, request)))
    await engine.close()
    assert (end.stop_reason, end.usage.answer_tokens) == (StopReason.MAX_TOKENS, 100)
    assert len(set(end.token_ids)) > 20


def test_the_shapes_are_those_of_the_family() -> None:
    assert {"0.6B", "1.7B", "4B"} < set(SHAPES)


async def test_a_made_up_mixture_of_experts_talks(tmp_path: Path) -> None:
    path = tmp_path / "moe.gguf"
    write_model(path, Shape(2, 64, 64, 2, 1, 32, experts=4, experts_used=2))
    header = read_file(path)
    assert (header.architecture, header.number("qwen3moe.expert_count")) == ("qwen3moe", 4)
    assert header.expected_bytes == path.stat().st_size
    engine = LocalEngine(LoadSettings(str(path), n_ctx=512), tmp_path / "engine.log")
    end = end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=5)))
    )
    await engine.close()
    assert end.usage.answer_tokens == 5
