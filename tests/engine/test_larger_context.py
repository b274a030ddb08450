from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.engine.load_planner import larger_n_ctx
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import LoadProgressed, Notice
from qwen3_chat.request import LoadSettings
from tests.engine.requests import chat_request, collect_events, end_of, user_message


@dataclass(frozen=True)
class Case:
    """A number of tokens at 1,000 bytes each, in a context of 4,096 that may become 40,960."""

    tokens: int
    free_bytes: int
    expected: int | None


CASES = {
    "doubled": Case(5000, 100_000_000, 8192),
    "doubled twice": Case(9000, 100_000_000, 16_384),
    "as far as memory reaches": Case(5000, 2_000_000, 5888),
    "beyond memory": Case(5000, 100_000, None),
    "no memory at all": Case(5000, -1, None),
    "as far as the model reaches": Case(40_000, 100_000_000, 40_960),
    "beyond the model": Case(50_000, 100_000_000, None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_context_grows_as_far_as_model_and_memory_allow(case: Case) -> None:
    assert larger_n_ctx(case.tokens, 4096, 40_960, 1000, case.free_bytes) == case.expected


async def test_a_model_is_loaded_again_with_a_larger_context(demo_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf), n_ctx=512), log_path)
    assert await engine.larger_n_ctx(700) is None
    await collect_events(events_of(engine.load))
    before = engine.pid
    larger = await engine.larger_n_ctx(700)
    assert larger == 1024
    events = await collect_events(events_of(engine.enlarge, larger))
    assert all(isinstance(event, LoadProgressed) for event in events)
    assert engine.model is not None
    assert (engine.model.n_ctx, engine.pid != before) == (1024, True)
    assert end_of(
        await collect_events(
            events_of(engine.generate, chat_request(user_message("Hi " * 100), max_tokens=3))
        )
    ).token_ids
    await engine.close()


async def test_a_context_that_cannot_be_had_leaves_the_one_there_was(demo_gguf: Path, log_path: Path) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf), n_ctx=512), log_path)
    await collect_events(events_of(engine.load))
    events = await collect_events(events_of(engine.enlarge, 1 << 40))
    assert engine.model is not None
    assert engine.model.n_ctx >= 512
    assert any(isinstance(event, Notice) for event in events)
    await engine.close()
