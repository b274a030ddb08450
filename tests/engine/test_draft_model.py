"""A small model that drafts: the reply is the one without it, whatever it proposes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attacks.drafts import PAIRS, Pair, compare_pair, drafts_everywhere
from benchmarks.in_process import clear_context, open_model, reply_to
from benchmarks.random_model import Shape, write_model
from qwen3_chat.chat import StopReason, Timings
from qwen3_chat.engine import wire
from qwen3_chat.engine.worker import draft_model
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.llama_model import LlamaModel, LoadEventSink
from qwen3_chat.engine.worker.reply_generator import ReplyGenerator
from qwen3_chat.events import EngineEvent, Notice, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from tests.engine.requests import GREEDY, chat_request, user_message
from tests.engine.test_prompt_lookup import check_is_the_same, request_of

SAMPLES = dict(zip(PAIRS, (8, 8, 8, 4), strict=True))
"""The replies of each pair that are compared by default, of most kinds."""


@contextmanager
def opened(
    path: Path,
    folder: Path,
    draft: Path | None = None,
    on_event: LoadEventSink = lambda event: None,
    n_ctx: int | None = None,
) -> Iterator[LlamaModel]:
    models = open_model(
        path, folder / "engine.log", n_ctx, n_threads=1, draft=str(draft or path), on_event=on_event
    )
    yield next(models)
    next(models, None)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_replies_of_each_kind_are_those_without_a_draft_model(pair: Pair, tmp_path: Path) -> None:
    outcome = compare_pair(pair, tmp_path, seed=3, count=SAMPLES[pair])
    assert outcome.failures == []
    assert len(outcome.ties) <= 1
    assert outcome.accepted > 10
    assert outcome.steps > 20
    if not pair.is_noise_only:
        assert outcome.accepted > 0.5 * outcome.drafted


@pytest.mark.full
@pytest.mark.parametrize("pair", PAIRS[2:], ids=lambda pair: pair.name)
def test_more_replies_are_those_without_a_draft_model(pair: Pair, tmp_path: Path) -> None:
    outcome = compare_pair(pair, tmp_path, seed=29, count=16)
    assert outcome.failures == []
    assert len(outcome.ties) <= (4 if pair.is_noise_only else 1)  # noise has many ties


def test_noise_is_drafted_by_nobody_and_the_reply_is_the_same(tmp_path: Path) -> None:
    large, small = tmp_path / "large.gguf", tmp_path / "small.gguf"
    write_model(large, Shape(2, 128, 128, 2, 1, 64), seed=1)
    write_model(small, Shape(1, 64, 64, 2, 1, 32), seed=2)
    with opened(large, tmp_path, draft=small) as model:
        assert model.draft is not None
        request = replace(request_of(1, GREEDY), max_tokens=40)
        assert check_is_the_same(model, request)
        timings = timings_of(model, request)
        assert timings.drafted_tokens == timings.draft_steps == 0


def timings_of(model: LlamaModel, request: ChatRequest) -> Timings:
    clear_context(model)
    *_, end = ReplyGenerator(model, request, Job(wire.Generate(1, request))).events()
    assert isinstance(end, TurnFinished)
    return end.timings


def test_a_reply_tells_what_was_drafted_and_what_that_brought(demo_gguf: Path, tmp_path: Path) -> None:
    with drafts_everywhere(), opened(demo_gguf, tmp_path) as model:
        timings = timings_of(model, request_of(1, GREEDY))
        assert model.description.draft == model.description.name
        assert model.description.draft_parameters == model.description.parameters
    assert timings.drafted_tokens >= timings.accepted_tokens > timings.draft_steps > 0


def test_drafts_stop_before_the_context_is_full(endless_gguf: Path, tmp_path: Path) -> None:
    with drafts_everywhere() as estimates, opened(endless_gguf, tmp_path, n_ctx=256) as model:
        turn = reply_to(model, chat_request(user_message("Hi")))
        assert turn.stop_reason is StopReason.CONTEXT_FULL
        assert len(model.context.tokens) == model.context.n_ctx
    assert sum(estimate.n_accepted for estimate in estimates) > 0


def test_a_text_longer_than_its_own_context_has_no_more_drafts(
    demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_model, "MAX_DRAFT_N_CTX", 256)
    question = user_message("Spell mississippi backwards. " * 20)
    with drafts_everywhere(0.0) as estimates, opened(demo_gguf, tmp_path, n_ctx=2048) as model:
        reply_to(model, chat_request(question, max_tokens=20))
        assert sum(estimate.n_drafted for estimate in estimates) == 0
        clear_context(model)
        reply_to(model, chat_request(user_message("Hi"), max_tokens=20))
        assert sum(estimate.n_drafted for estimate in estimates) > 0


def test_a_draft_model_that_makes_no_sense_is_a_notice(demo_gguf: Path, tmp_path: Path) -> None:
    other, experts, broken = (tmp_path / f"{name}.gguf" for name in ("other", "experts", "broken"))
    write_model(other, Shape(1, 64, 64, 2, 1, 32))
    write_model(experts, Shape(1, 64, 64, 2, 1, 32, experts=4, experts_used=2))
    broken.write_bytes(demo_gguf.read_bytes()[:1000])
    for target, draft, key in (
        (demo_gguf, other, "engine.draft_other_tokens"),
        (experts, demo_gguf, "engine.draft_for_experts"),
        (demo_gguf, broken, "gguf.header_cut"),
        (demo_gguf, broken, "engine.draft_not_loaded"),
        (demo_gguf, tmp_path / "missing.gguf", "engine.draft_gone"),
    ):
        events = list[EngineEvent]()
        with opened(target, tmp_path, draft=draft, on_event=events.append) as model:
            assert model.draft is None
            assert model.description.draft == ""
        assert key in [event.key for event in events if isinstance(event, Notice)]
