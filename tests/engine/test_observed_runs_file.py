from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.observed_runs_file import MAX_RUNS, ObservedRunsFile, observing_machine
from qwen3_chat.models.observed_runs import MAX_SPEEDS, ObservedRun, ObservedSpeed
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings, PersistenceOptions
from qwen3_chat.sampling import SamplingParams

RUN = ObservedRun("qwen3", 600, 500, 0, 0, "f16", 4096, 1000, (ObservedSpeed(20, 12.5),))


def test_runs_are_kept_for_each_machine_and_plan(tmp_path: Path) -> None:
    file = ObservedRunsFile(tmp_path / "new" / "runs.json")
    file.record("mine", RUN)
    file.record("another", RUN)
    file.record("mine", replace(RUN, n_ctx=8192))
    file.record("mine", replace(RUN, speeds=(ObservedSpeed(30, 11.0),)))
    assert file.read("mine") == (
        replace(RUN, speeds=(ObservedSpeed(20, 12.5), ObservedSpeed(30, 11.0))),
        replace(RUN, n_ctx=8192),
    )
    assert file.read("a third one") == ()


def test_the_file_is_limited(tmp_path: Path) -> None:
    file = ObservedRunsFile(tmp_path / "runs.json")
    for number in range(MAX_RUNS + 5):
        file.record("mine", replace(RUN, n_ctx=number))
    for _ in range(MAX_SPEEDS + 5):
        file.record("mine", replace(RUN, n_ctx=1))
    runs = file.read("mine")
    assert len(runs) == MAX_RUNS
    assert len(runs[0].speeds) == MAX_SPEEDS


def stored(**changes: object) -> bytes:
    run = msgspec.to_builtins(RUN) | changes
    return msgspec.json.encode({"version": 1, "runs": [{"machine": "mine", "run": run}]})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff" * 300_000,
        stored().replace(b'"version":1', b'"version":99'),
        stored(parameters=-1),
        stored(parameters=10**30),
        stored(kv_type="x" * 1000),
        stored(speeds=[{"depth": 1, "tokens_per_s": -1}]),
        stored(speeds=[{"depth": 1, "tokens_per_s": 1e300}]),
        stored(speeds=[{"depth": 1, "tokens_per_s": 1}] * 6),
    ],
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(content)
    file = ObservedRunsFile(path)
    assert file.read("mine") == ()
    file.record("mine", RUN)
    assert file.read("mine") == (RUN,)


def test_what_is_well_is_read(tmp_path: Path) -> None:
    (tmp_path / "runs.json").write_bytes(stored())
    assert ObservedRunsFile(tmp_path / "runs.json").read("mine") == (RUN,)


async def test_the_engine_records_its_replies(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    write_model(model, Shape(1, 64, 64, 2, 1, 32))
    options = PersistenceOptions(str(tmp_path / "data"), snapshots_bytes=0, calibrates=True)
    engine = LocalEngine(LoadSettings(str(model), n_ctx=512), tmp_path / "engine.log", persistence=options)
    request = ChatRequest(
        (ChatMessage(Role.USER, "Hello"),),
        ThinkingMode.NO_THINK,
        SamplingParams(temperature=0.7, top_p=0.8, top_k=20),
        1,
        max_tokens=40,
    )
    try:
        async for _ in events_of(engine.generate, request):
            pass
        await engine.wait_idle()
        machine = observing_machine(await engine.devices())
        (run,) = ObservedRunsFile.in_folder(tmp_path / "data").read(machine)
        assert engine.model is not None
        assert (run.architecture, run.n_ctx) == ("qwen3", engine.model.n_ctx)
        assert run.speeds[0].depth > 20
        assert run.speeds[0].tokens_per_s > 0
    finally:
        await engine.close()
