from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.engine.worker.context_ladder import ContextPlan, ladder
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.request import LoadSettings
from tests.engine.requests import ask, end_of, everything, said

WIDE = Shape(8, 64, 64, 16, 16, 128)  # a small file whose KV cache takes 64 KiB a token

# Python runs it in every process that finds it: once a model is opened, memory is short.
SHORT_OF_MEMORY = """
import resource, sys

def shorten(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".gguf"):
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        limit = used + SPARE_MIB * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))

sys.addaudithook(shorten)
"""


@pytest.fixture(scope="module")
def wide_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "wide.gguf"
    write_model(path, WIDE)
    return path


async def loaded(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, spare_mib: int, n_ctx: int | None = None
) -> tuple[LocalEngine, list[EngineEvent]]:
    (folder / "sitecustomize.py").write_text(SHORT_OF_MEMORY.replace("SPARE_MIB", str(spare_mib)))
    monkeypatch.syspath_prepend(folder)
    engine = LocalEngine(LoadSettings(str(path), n_ctx=n_ctx), folder / "engine.log")
    return engine, await everything(engine.load())


def notices_of(events: list[EngineEvent]) -> list[Notice]:
    return [event for event in events if isinstance(event, Notice)]


def test_the_context_is_halved_first_then_the_cache_then_the_buffers() -> None:
    steps = list(ladder(ContextPlan(10_000, 128), n_ctx_is_wanted=False))
    assert [plan for plan, _ in steps] == [
        ContextPlan(10_000, 128),
        ContextPlan(5_000, 128),
        ContextPlan(2_500, 128),
        ContextPlan(2_500, 128, has_quantised_kv=True),
        ContextPlan(2_500, 32, has_quantised_kv=True),
    ]
    assert [[notice.key for notice in notices] for _, notices in steps] == [
        [],
        ["engine.context_reduced"],
        ["engine.context_reduced"],
        ["engine.context_reduced", "engine.kv_quantised"],
        ["engine.context_reduced", "engine.kv_quantised", "engine.smaller_chunks"],
    ]


def test_a_context_that_was_wanted_keeps_its_size() -> None:
    assert {plan.n_ctx for plan, _ in ladder(ContextPlan(10_000, 32), n_ctx_is_wanted=True)} == {10_000}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_a_context_that_memory_does_not_hold_is_reduced_and_the_user_is_told(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=700)
    assert engine.model is not None
    assert engine.model.n_ctx < 16_384
    assert notices_of(events) == [Notice("engine.context_reduced", {"n_ctx": engine.model.n_ctx})]
    assert end_of(await everything(engine.generate(ask(said("Hi"), max_tokens=3)))).token_ids
    await engine.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_a_context_that_was_wanted_gets_a_smaller_cache(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=800, n_ctx=16_384)
    assert engine.model is not None
    assert engine.model.n_ctx == 16_384
    assert [notice.key for notice in notices_of(events)][:1] == ["engine.kv_quantised"]
    assert end_of(await everything(engine.generate(ask(said("Hi"), max_tokens=3)))).token_ids
    await engine.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
async def test_no_memory_at_all_is_said_in_a_sentence(
    wide_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, events = await loaded(wide_gguf, tmp_path, monkeypatch, spare_mib=100, n_ctx=40_000)
    failure = events[-1]
    assert isinstance(failure, EngineFailed)
    assert failure.key == "engine.context_refused"
    await engine.close()
