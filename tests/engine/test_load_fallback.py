from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.engine.load_fallback import LoadFailure, classify_failure, next_plan
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineDied, EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts import t
from tests.engine.memory import limit_memory
from tests.engine.requests import chat_request, collect_events, end_of, user_message

ANY = LoadSettings("")
WIDE = Shape(8, 64, 64, 16, 16, 128)  # a small file whose KV cache takes 64 KiB a token


@pytest.fixture(scope="module")
def wide_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "wide.gguf"
    write_model(path, WIDE)
    return path


async def loaded(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, spare_mib: int, n_ctx: int | None = None
) -> tuple[LocalEngine, list[EngineEvent]]:
    limit_memory(folder, monkeypatch, spare_mib)
    engine = LocalEngine(LoadSettings(str(path), n_ctx=n_ctx), folder / "engine.log")
    return engine, await collect_events(events_of(engine.load))


def notices_of(events: list[EngineEvent]) -> list[Notice]:
    return [event for event in events if isinstance(event, Notice)]


def all_plans(
    plan: LoadPlan, settings: LoadSettings = ANY, failure: LoadFailure = LoadFailure.MEMORY
) -> list[LoadPlan]:
    """Return all plans that are tried after a first one, if none of them works."""
    plans = []
    while step := next_plan(plan, failure, settings):
        plan, notice = step
        assert t(notice.key, **notice.values)
        plans.append(plan)
    return plans


def test_on_a_processor_the_context_is_halved_then_quantised_then_chunked_then_cut() -> None:
    first = LoadPlan(n_layers=28, n_ctx=16_384)
    quantised = replace(first, n_ctx=8_192, kv_type=KvType.Q8_0, flash_attention=True)
    assert all_plans(first) == [
        replace(first, n_ctx=8_192),
        quantised,
        replace(quantised, n_ubatch=32),
        replace(quantised, n_ubatch=32, n_ctx=4_096),
        replace(quantised, n_ubatch=32, n_ctx=2_048),
    ]


def test_layers_leave_the_gpu_in_quarters_and_end_on_the_processor() -> None:
    first = LoadPlan(28, 8_192, n_ubatch=512, flash_attention=None, n_gpu_layers=28)
    plans = all_plans(first, failure=LoadFailure.WEIGHTS)
    assert [plan.n_gpu_layers for plan in plans] == [21, 14, 7, 0]
    assert [plan.flash_attention for plan in plans] == [None, None, None, False]
    assert plans[-1].n_ubatch == 128


def test_experts_go_to_ram_before_layers_do() -> None:
    first = LoadPlan(48, 8_192, n_ubatch=512, flash_attention=None, n_gpu_layers=48, n_cpu_moe=20)
    places = [(plan.n_gpu_layers, plan.n_cpu_moe) for plan in all_plans(first, failure=LoadFailure.WEIGHTS)]
    assert places == [(48, 32), (48, 44), (48, 48), (36, 48), (24, 48), (12, 48), (0, 0)]


def test_a_gpu_that_fails_is_given_up_at_once() -> None:
    first = LoadPlan(28, 16_384, n_ubatch=512, flash_attention=None, n_gpu_layers=28)
    assert all_plans(first, failure=LoadFailure.GPU) == [LoadPlan(28, 16_384)]
    assert all_plans(LoadPlan(28, 16_384), failure=LoadFailure.GPU) == []


def test_what_the_user_wants_is_never_given_up() -> None:
    settings = LoadSettings("", n_ctx=16_384, n_gpu_layers=28, kv_type=KvType.F16)
    first = LoadPlan(28, 16_384, n_ubatch=512, flash_attention=None, n_gpu_layers=28)
    assert all_plans(first, settings) == [replace(first, n_ubatch=128), replace(first, n_ubatch=32)]
    assert (
        all_plans(first, settings, LoadFailure.WEIGHTS) == all_plans(first, settings, LoadFailure.GPU) == []
    )


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            EngineError(ErrorCode.MODEL_NOT_LOADABLE, reason="unable to allocate CUDA0 buffer"),
            LoadFailure.WEIGHTS,
        ),
        (EngineError(ErrorCode.MODEL_NOT_LOADABLE, reason="invalid magic characters"), None),
        (EngineError(ErrorCode.CONTEXT_NOT_CREATED, reason="failed to allocate buffer"), LoadFailure.MEMORY),
        (EngineError(ErrorCode.EVALUATION_FAILED, status=-2), LoadFailure.MEMORY),
        (EngineError(ErrorCode.EVALUATION_FAILED, status=-3), LoadFailure.GPU),
        (EngineError(ErrorCode.UNEXPECTED_FAILURE, error="MemoryError"), LoadFailure.MEMORY),
        (EngineError(ErrorCode.UNEXPECTED_FAILURE, error="KeyError"), None),
        (EngineDied(ErrorCode.OUT_OF_MEMORY, reason="CUDA error: out of memory"), LoadFailure.MEMORY),
        (EngineDied(ErrorCode.ENGINE_KILLED, name="SIGKILL"), LoadFailure.MEMORY),
        (EngineDied(ErrorCode.ENGINE_ENDED_BY_SIGNAL, name="SIGABRT"), LoadFailure.MEMORY),
        (EngineDied(ErrorCode.ENGINE_ENDED_BY_SIGNAL, name="SIGSEGV"), LoadFailure.GPU),
        (EngineDied(ErrorCode.ENGINE_ABORTED, reason="device lost"), LoadFailure.GPU),
        (EngineDied(ErrorCode.CPU_UNSUPPORTED, name="SIGILL"), None),
        (Cancelled(ErrorCode.LOAD_CANCELLED), None),
    ],
)
def test_an_error_tells_whether_less_would_help(error: EngineError, failure: LoadFailure | None) -> None:
    assert classify_failure(error) is failure


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_a_context_that_memory_does_not_hold_is_reduced_and_the_user_is_told(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=800)
    assert engine.model is not None
    assert engine.model.n_ctx < 16_384
    assert notices_of(events) == [Notice("engine.context_reduced", {"n_ctx": engine.model.n_ctx})]
    assert end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=3)))
    ).token_ids
    await engine.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_a_context_that_was_wanted_gets_a_smaller_cache(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=800, n_ctx=16_384)
    assert engine.model is not None
    assert engine.model.n_ctx == 16_384
    assert [notice.key for notice in notices_of(events)][:1] == ["engine.kv_quantised"]
    assert end_of(
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=3)))
    ).token_ids
    await engine.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_no_memory_at_all_is_said_in_a_sentence(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=100, n_ctx=40_000)
    failure = events[-1]
    assert isinstance(failure, EngineFailed)
    assert failure.code == ErrorCode.CONTEXT_NOT_CREATED
    await engine.close()


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("spare_mib", [1_100, 350, 150, 60])
async def test_whatever_memory_there_is_a_reply_comes_or_a_sentence(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare_mib: int
) -> None:
    limit_memory(tmp_path, monkeypatch, spare_mib)
    engine = LocalEngine(LoadSettings(str(wide_gguf)), tmp_path / "engine.log")
    events = await collect_events(
        events_of(engine.generate, chat_request(user_message("Hi " * 200), max_tokens=3))
    )
    assert notices_of(events)[0] == Notice("engine.context_reduced", {"n_ctx": 8_192})
    failure = events[-1]
    if isinstance(failure, EngineFailed):
        assert spare_mib < 1_000
        assert "emory" in failure.text
    else:
        assert end_of(events).token_ids
    await engine.close()
