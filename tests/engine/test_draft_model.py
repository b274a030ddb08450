"""A small model that drafts: the reply is the one without it, whatever it proposes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.in_process import clear_context, open_model, reply_to
from benchmarks.random_model import Shape, write_model
from qwen3_chat.engine.worker import prompt_lookup
from qwen3_chat.engine.worker.llama_model import LlamaModel, LoadEventSink
from qwen3_chat.engine.worker.prompt_ids import tokenise
from qwen3_chat.events import EngineEvent, Notice
from qwen3_chat.record_copies import replace
from qwen3_chat.request import Adapter
from qwen3_chat.sampling import SamplingParams
from tests.engine.requests import GREEDY, THINKING
from tests.engine.test_adapters import AHOY
from tests.engine.test_prompt_lookup import AlwaysWorthwhile, check_is_the_same, request_of

HALF_AHOY = (Adapter(str(AHOY), 0.5),)
"""With it, the demo model writes something else now and then than the one that drafts for it."""


@contextmanager
def opened(
    path: Path,
    folder: Path,
    adapters: tuple[Adapter, ...] = (),
    draft: Path | None = None,
    on_event: LoadEventSink = lambda event: None,
) -> Iterator[LlamaModel]:
    log_path = folder / "engine.log"
    models = open_model(path, log_path, adapters=adapters, draft=str(draft or path), on_event=on_event)
    yield next(models)
    next(models, None)


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    with opened(demo_gguf, tmp_path_factory.mktemp("own")) as model:
        yield model


@pytest.fixture(scope="module")
def other_model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    with opened(demo_gguf, tmp_path_factory.mktemp("other"), HALF_AHOY) as model:
        yield model


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Have only the draft model draft, and always; return the list of drafted and accepted tokens."""
    counts = list[tuple[int, int]]()

    class Recorded(AlwaysWorthwhile):
        def record(self, elapsed_s: float, n_drafted: int, n_accepted: int) -> None:
            if n_drafted:
                counts.append((n_drafted, n_accepted))
            super().record(elapsed_s, n_drafted, n_accepted)

    monkeypatch.setattr(prompt_lookup, "SpeedupEstimate", Recorded)
    monkeypatch.setattr(prompt_lookup.NgramIndex, "continuation", lambda self, length: [])
    return counts


@pytest.mark.parametrize("sampling", [GREEDY, THINKING], ids=["greedy", "drawn"])
@pytest.mark.parametrize("which", ["model", "other_model"])
def test_a_reply_with_a_draft_model_is_the_one_without(
    which: str, sampling: SamplingParams, accepted: list[tuple[int, int]], request: pytest.FixtureRequest
) -> None:
    model: LlamaModel = request.getfixturevalue(which)
    same = [check_is_the_same(model, request_of(number, sampling)) for number in range(0, 40, 5)]
    assert sum(same) >= 7  # a tie may be decided otherwise in a batch
    n_drafted, n_accepted = (sum(column) for column in zip(*accepted, strict=True))
    assert n_drafted > 200
    assert n_accepted > (0.8 if which == "model" else 0.4) * n_drafted


@pytest.mark.full
@pytest.mark.parametrize("which", ["model", "other_model"])
def test_many_replies_with_a_draft_model_are_those_without(
    which: str, accepted: list[tuple[int, int]], request: pytest.FixtureRequest
) -> None:
    model: LlamaModel = request.getfixturevalue(which)
    same = [
        check_is_the_same(model, request_of(number, sampling))
        for number in range(0, 100, 2)
        for sampling in (GREEDY, THINKING)
    ]
    n_drafted, n_accepted = (sum(column) for column in zip(*accepted, strict=True))
    print(f"{len(same) - sum(same)} of {len(same)} differ after a tie; {n_accepted} of {n_drafted} accepted")
    assert sum(same) >= 0.95 * len(same)


@pytest.mark.parametrize("stop_at", [None, 2, 3, 5])
def test_what_was_drafted_in_vain_leaves_no_trace(
    other_model: LlamaModel, accepted: list[tuple[int, int]], stop_at: int | None
) -> None:
    for number in range(1, 30, 8):
        clear_context(other_model)
        request = replace(request_of(number, THINKING), thinking_budget=20)
        turn = reply_to(other_model, request, stop_at)
        prompt = tokenise(other_model.template.render_request(request), other_model.vocab, request)
        known = [*prompt, *turn.message.token_ids]
        context = other_model.context
        assert context.tokens == known[: len(context.tokens)]
        assert context.native.last_position(0) + 1 == len(context.tokens)


def test_noise_is_drafted_by_nobody_and_the_reply_is_the_same(
    tmp_path: Path, accepted: list[tuple[int, int]]
) -> None:
    large, small = tmp_path / "large.gguf", tmp_path / "small.gguf"
    write_model(large, Shape(2, 128, 128, 2, 1, 64), seed=1)
    write_model(small, Shape(1, 64, 64, 2, 1, 32), seed=2)
    with opened(large, tmp_path, draft=small) as model:
        assert model.draft is not None
        request = replace(request_of(1, GREEDY), max_tokens=40)
        assert check_is_the_same(model, request)
    assert accepted == []


def test_a_draft_model_that_makes_no_sense_is_a_notice(demo_gguf: Path, tmp_path: Path) -> None:
    other, experts, broken = (tmp_path / f"{name}.gguf" for name in ("other", "experts", "broken"))
    write_model(other, Shape(1, 64, 64, 2, 1, 32))
    write_model(experts, Shape(1, 64, 64, 2, 1, 32, experts=4, experts_used=2))
    broken.write_bytes(demo_gguf.read_bytes()[:1000])
    for target, draft, key in (
        (demo_gguf, other, "engine.draft_other_tokens"),
        (experts, demo_gguf, "engine.draft_for_experts"),
        (demo_gguf, broken, "gguf.header_cut"),
        (demo_gguf, tmp_path / "missing.gguf", "gguf.missing"),
    ):
        events = list[EngineEvent]()
        with opened(target, tmp_path, draft=draft, on_event=events.append) as model:
            assert model.draft is None
            assert model.description.draft == ""
        assert key in [event.key for event in events if isinstance(event, Notice)]
