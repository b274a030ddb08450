from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import enumerate as enumerate_threads

import msgspec
import psutil
import pytest

from benchmarks.in_process import open_model
from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.engine import wire
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.tuning import Trial, Tuning, TuningFile, TuningParameter, apply_tuning, choose_tuning
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.calibration import Calibration, CalibrationProfile, CalibrationTarget
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.native_library import TokenBatch
from qwen3_chat.engine.worker.trial_context import TrialContext, TrialPlan
from qwen3_chat.engine.worker.tuner import CPU_UBATCHES, GPU_UBATCHES
from qwen3_chat.events import Notice
from qwen3_chat.models.fit.placement import CPU_UBATCH, GPU_UBATCH, LARGE_CPU_UBATCH
from qwen3_chat.record_copies import replace
from qwen3_chat.request import (
    DEFAULT_CPU_UBATCH,
    DEFAULT_GPU_UBATCH,
    KvType,
    LoadSettings,
    PersistenceOptions,
)
from tests.engine.requests import chat_request, collect_events, user_message

ATTENTION, THREADS, UBATCH = TuningParameter.ATTENTION, TuningParameter.THREADS, TuningParameter.UBATCH
DEFAULTS = Trial(ATTENTION, False, KvType.F16, 128, 1)
PROMPT_THREADS = 2
PROFILE = CalibrationProfile(depth=64, prompt_tokens=16, budget_s=60.0)


def measured(aim: TuningParameter, reply: float, prompt: float, **changes: object) -> Trial:
    values = {"flash_attention": False, "kv_type": KvType.F16, "n_ubatch": 128, "n_threads": 1, **changes}
    return Trial(aim, reply_tokens_per_s=reply, prompt_tokens_per_s=prompt, **values)  # type: ignore[arg-type]


WITHOUT = measured(ATTENTION, 34, 162)
WITH = measured(ATTENTION, 18, 139, flash_attention=True)
MUCH_BETTER_WITH = measured(ATTENTION, 79, 475, flash_attention=True)
A_LITTLE_BETTER_WITH = measured(ATTENTION, 35, 170, flash_attention=True)
QUANTISED = measured(ATTENTION, 90, 500, flash_attention=True, kv_type=KvType.Q8_0)


@pytest.mark.parametrize(
    ("trials", "flash_attention", "n_threads", "n_prompt_threads", "n_ubatch"),
    [
        ([], False, 1, None, 128),
        ([WITHOUT], False, 1, None, 128),
        ([WITHOUT, WITH], False, 1, None, 128),
        ([WITHOUT, MUCH_BETTER_WITH], True, 1, None, 128),
        ([WITHOUT, A_LITTLE_BETTER_WITH], False, 1, None, 128),
        ([WITHOUT, WITH, QUANTISED], False, 1, None, 128),  # it would cost quality
        (
            [WITHOUT, WITH, measured(THREADS, 34, 160), measured(THREADS, 20, 300, n_threads=2)],
            False, 1, 2, 128,
        ),
        (
            [WITHOUT, WITH, measured(THREADS, 30, 160), measured(THREADS, 50, 165, n_threads=2)],
            False, 2, 2, 128,
        ),
        (
            [WITHOUT, WITH, measured(THREADS, 34, 160), measured(THREADS, 20, 90, n_threads=2)],
            False, 1, 1, 128,
        ),
        ([WITHOUT, WITH, measured(THREADS, 34, 160)], False, 1, None, 128),  # no time for the other
        (
            [WITHOUT, WITH, measured(UBATCH, 0, 160), measured(UBATCH, 0, 200, n_ubatch=256)],
            False, 1, None, 256,
        ),
        (
            [WITHOUT, WITH, measured(UBATCH, 0, 160), measured(UBATCH, 0, 170, n_ubatch=256)],
            False, 1, None, 128,
        ),
        (  # measured with another attention than the one that was chosen
            [WITHOUT, MUCH_BETTER_WITH, measured(UBATCH, 0, 900, n_ubatch=256)],
            True, 1, None, 128,
        ),
    ],
)  # fmt: skip
def test_what_is_much_faster_than_the_defaults_is_chosen(
    trials: list[Trial], flash_attention: bool, n_threads: int, n_prompt_threads: int | None, n_ubatch: int
) -> None:
    found = choose_tuning(DEFAULTS, PROMPT_THREADS, trials, 1024, is_complete=True)
    assert (found.flash_attention, found.n_threads, found.n_prompt_threads, found.n_ubatch) == (
        flash_attention,
        n_threads,
        n_prompt_threads,
        n_ubatch,
    )
    assert found.kv_type is KvType.F16


TUNING = choose_tuning(DEFAULTS, PROMPT_THREADS, [WITHOUT, MUCH_BETTER_WITH], 1024, is_complete=True)


def test_a_plan_follows_what_was_measured_unless_memory_decided() -> None:
    plan = LoadPlan(n_layers=4, n_ctx=1024)
    assert apply_tuning(plan, None, 128) == plan
    wide = apply_tuning(plan, replace_ubatch(256), 128)
    assert (wide.flash_attention, wide.n_ubatch, wide.n_threads) == (True, 256, 1)
    assert apply_tuning(replace(plan, n_ubatch=32), replace_ubatch(256), 128).n_ubatch == 32
    without = choose_tuning(DEFAULTS, PROMPT_THREADS, [WITHOUT, WITH], 1024, is_complete=True)
    quantised = replace(plan, kv_type=KvType.Q8_0, flash_attention=True)
    assert apply_tuning(quantised, without, 128).flash_attention is True


def test_the_defaults_are_those_that_memory_is_planned_with() -> None:
    assert (DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH) == (LARGE_CPU_UBATCH, GPU_UBATCH)
    assert {CPU_UBATCH, LARGE_CPU_UBATCH} < set(CPU_UBATCHES)
    assert GPU_UBATCH in GPU_UBATCHES


def replace_ubatch(n_ubatch: int) -> Tuning:
    trials = [measured(UBATCH, 0, 1, flash_attention=True)]
    trials.append(measured(UBATCH, 0, 2, flash_attention=True, n_ubatch=n_ubatch))
    return choose_tuning(
        DEFAULTS, PROMPT_THREADS, [WITHOUT, MUCH_BETTER_WITH, *trials], 1024, is_complete=True
    )


def test_what_was_measured_is_remembered_by_model_and_machine(tmp_path: Path) -> None:
    file = TuningFile(tmp_path / "new" / "calibration.json")
    assert file.find("a") is None
    file.save("a", TUNING)
    for number in range(40):
        file.save(str(number), TUNING)
    file.save("b", replace_ubatch(256))
    assert file.find("b") == replace_ubatch(256)
    assert file.find("a") is None  # a long time ago
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["calibration.json"]


@pytest.mark.parametrize("text", ["", "{", '{"a": {"flash_attention": 3}}', "[]"])
def test_a_file_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    file = TuningFile(path)
    assert file.find("a") is None
    file.save("a", TUNING)
    assert file.find("a") == TUNING


@pytest.fixture(scope="module")
def made_up_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made_up") / "model.gguf"
    write_model(path, Shape(2, 64, 64, 2, 1, 32))
    return path


@pytest.fixture(scope="module")
def made_up(made_up_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(made_up_gguf, tmp_path_factory.mktemp("log") / "engine.log", n_ctx=512)


@pytest.fixture
def target(made_up: LlamaModel) -> CalibrationTarget:
    return CalibrationTarget(
        made_up.native, DEFAULTS, 256, lambda: 1 << 40, PROMPT_THREADS, (1, 2), (64, 128)
    )


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 0.0)


@pytest.mark.usefixtures("quiet")
def test_a_calibration_tries_every_way_once(target: CalibrationTarget) -> None:
    reported: list[Trial] = []
    calibration = Calibration(target, PROFILE)
    found = calibration.run(AbortFlag(), reported.append)
    assert found is not None
    assert found.is_complete
    assert calibration.is_finished
    assert len(reported) == calibration.n_trials == 6
    assert [trial.aim for trial in reported] == [
        *[ATTENTION] * 2,
        *[THREADS] * 2,
        *[UBATCH] * 2,
    ]
    assert found.trials == reported
    again = Calibration(target, PROFILE, found)
    assert again.is_finished


@pytest.mark.usefixtures("quiet")
def test_an_interrupted_calibration_goes_on_where_it_was(target: CalibrationTarget) -> None:
    calibration = Calibration(target, PROFILE)
    reported: list[Trial] = []
    found = None
    while not calibration.is_finished:
        abort = AbortFlag()

        def report_and_interrupt(trial: Trial, abort: AbortFlag = abort) -> None:
            reported.append(trial)
            if len(reported) < 6:
                abort.set()

        try:
            found = calibration.run(abort, report_and_interrupt)
        except AbortedError:
            continue
    assert len(reported) == 6
    assert found == calibration.result(is_complete=True)


def test_a_busy_machine_does_not_decide_on_threads(
    target: CalibrationTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 90.0)
    found = Calibration(target, PROFILE).run(AbortFlag(), lambda trial: None)
    assert found is not None
    assert not found.is_complete
    assert all(trial.aim is not THREADS for trial in found.trials)


def test_the_end_of_the_time_ends_a_calibration(target: CalibrationTarget) -> None:
    calibration = Calibration(target, replace(PROFILE, budget_s=0.0))
    assert calibration.run(AbortFlag(), lambda trial: None) is None
    assert calibration.is_finished


def test_without_memory_nothing_is_tried(target: CalibrationTarget) -> None:
    calibration = Calibration(replace(target, free_bytes=lambda: 1 << 20), PROFILE)
    assert calibration.run(AbortFlag(), lambda trial: None) is None
    assert calibration.is_finished


@pytest.mark.parametrize("flash_attention", [False, True])
@pytest.mark.parametrize("kv_type", KvType)
def test_a_trial_is_as_deep_as_it_says(made_up: LlamaModel, flash_attention: bool, kv_type: KvType) -> None:
    plan = TrialPlan(flash_attention or kv_type is not KvType.F16, kv_type, 32, 256)
    context = TrialContext(made_up.native, plan, 1, AbortFlag())
    context.fill()
    assert context.n_tokens == 256
    assert context.time_token_s(1) > 0
    assert context.time_prompt_token_s(1, 32, uses_cpu_time=True) > 0
    assert context.n_tokens == 256
    context.close()


def test_a_trial_leaves_no_memory(made_up: LlamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[TokenBatch] = []
    monkeypatch.setattr(TokenBatch, "free", lambda batch: freed.append(batch))
    TrialContext(made_up.native, TrialPlan(False, KvType.F16, 32, 64), 1, AbortFlag()).close()
    assert len(freed) == 1


def test_a_trial_that_is_given_up_while_it_is_made_leaves_nothing(made_up: LlamaModel) -> None:
    abort = AbortFlag()
    abort.set()
    plan = TrialPlan(False, KvType.F16, 32, 4096)
    try:
        context = TrialContext(made_up.native, plan, 1, abort)
    except AbortedError:
        for thread in enumerate_threads():
            if thread.name == "trial":
                thread.join()
        return
    with pytest.raises(AbortedError):  # it was made before anybody looked at the flag
        context.fill()
    context.close()


@pytest.fixture
async def engine(made_up_gguf: Path, tmp_path: Path) -> AsyncIterator[LocalEngine]:
    persistence = PersistenceOptions(str(tmp_path), 1 << 30, calibrates=True)
    engine = LocalEngine(
        LoadSettings(str(made_up_gguf), n_ctx=512), tmp_path / "engine.log", persistence=persistence
    )
    yield engine
    await engine.close()


async def test_the_engine_calibrates_after_its_first_answer(engine: LocalEngine, tmp_path: Path) -> None:
    notices: list[Notice] = []
    engine.on_notice = notices.append
    for _ in range(2):
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=4)))
        await engine.wait_idle()
    assert [notice.key.partition("_")[0] for notice in notices] == ["engine.calibrating", "engine.calibrated"]
    assert (tmp_path / "calibration.json").exists()


async def test_a_full_calibration_tells_each_trial_and_is_remembered(
    engine: LocalEngine, tmp_path: Path
) -> None:
    await collect_events(events_of(engine.load))
    tried: list[wire.TrialFinished] = []
    last = await engine.calibrate(tried.append)
    assert last.tuning is not None
    assert [trial.done for trial in tried] == [*range(1, len(tried) + 1)]
    keys = TuningFile(tmp_path / "calibration.json").read()
    assert list(keys.values()) == [last.tuning]


async def test_a_calibration_that_is_given_up_leaves_the_engine_free(engine: LocalEngine) -> None:
    await collect_events(events_of(engine.load))
    has_begun = asyncio.Event()
    calibration = asyncio.create_task(engine.calibrate(lambda trial: has_begun.set()))
    await has_begun.wait()
    calibration.cancel()
    await asyncio.wait({calibration})
    assert await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=4)))


def last_logged(log_path: Path, name: str) -> str:
    """Return the last value of a parameter of the context in llama.cpp's log."""
    *_, last = re.finditer(rf"llama_context: {name}\s+= (\w+)", log_path.read_text("utf-8"))
    return last[1]


async def test_the_next_load_follows_what_was_measured(made_up_gguf: Path, tmp_path: Path) -> None:
    log_path, file = tmp_path / "engine.log", TuningFile(tmp_path / "calibration.json")
    reported = []
    for flash_attention, n_ubatch in ((False, 128), (True, 64)):
        for key, found in file.read().items():
            file.save(key, msgspec.structs.replace(found, flash_attention=flash_attention, n_ubatch=n_ubatch))
        persistence = PersistenceOptions(str(tmp_path), 1 << 30, calibrates=True)
        engine = LocalEngine(LoadSettings(str(made_up_gguf), n_ctx=512), log_path, persistence=persistence)
        await collect_events(events_of(engine.load))
        reported.append((last_logged(log_path, "flash_attn"), last_logged(log_path, "n_ubatch")))
        await collect_events(events_of(engine.generate, chat_request(user_message("Hi"), max_tokens=4)))
        await engine.wait_idle()
        await engine.close()
    assert reported == [("disabled", "128"), ("enabled", "64")]
