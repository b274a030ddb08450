"""The choice between native libraries, with stand-ins for faulty ones."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from benchmarks.random_model import Shape, write_model
from event_stream import events_of
from qwen3_chat.engine import library_choice, local_engine, native_libraries
from qwen3_chat.engine.library_choice import (
    LibraryChoices,
    Measurement,
    ModelKind,
    compare_tunings,
    is_library_failure,
    is_possible,
    placement_text,
)
from qwen3_chat.engine.library_router import LibraryRouter
from qwen3_chat.engine.library_trial import LibraryComparer
from qwen3_chat.engine.llama_build import CHOSEN_BUILD_VARIABLE
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.native_libraries import (
    IK_FILE_NAME,
    IK_FILE_VARIABLE,
    IK_NAME,
    LIBRARY_FILE_NAME,
    compiled_folder,
    library_environment,
)
from qwen3_chat.engine.tuning import Trial, Tuning, TuningParameter
from qwen3_chat.engine.wire import DeviceKind, DeviceLister
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineDied, EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.gguf import read_file
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LLAMA_CPP_NAME, KvType, LoadSettings, PersistenceOptions
from tests.engine.requests import chat_request, collect_events, end_of, text_of, user_message
from tests.engine.stand_in_library import Fault, count_workers, use_stand_in
from tests.fakes import MODEL

FASTER = Measurement(1.4, 1024, (100.0, 120.0), (10.0, 14.5))
PLAN = LoadPlan(n_layers=6, n_ctx=1024)


@pytest.fixture
def demo_kind(demo_gguf: Path) -> ModelKind:
    return ModelKind.from_header(read_file(demo_gguf), demo_gguf)


@pytest.fixture
def choices(tmp_path: Path) -> LibraryChoices:
    return LibraryChoices(tmp_path)


@pytest.fixture
async def engine(demo_gguf: Path, tmp_path: Path, log_path: Path) -> AsyncIterator[LocalEngine]:
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    engine = LocalEngine(LoadSettings(str(demo_gguf)), log_path, persistence=persistence)
    yield engine
    await engine.close()


@pytest.fixture
def run_faster(
    choices: LibraryChoices, demo_kind: ModelKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Fault], None]:
    """Return what has a library with a fault run the demo model, for which it was measured to be faster."""

    def run(fault: Fault) -> None:
        use_stand_in(monkeypatch, tmp_path, fault)
        choices.record_measurement(demo_kind, FASTER)

    return run


def notices_in(events: list[EngineEvent]) -> list[str]:
    return [event.key for event in events if isinstance(event, Notice)]


def test_the_faster_library_is_chosen_where_it_was_measured_to_be_faster(
    choices: LibraryChoices, demo_kind: ModelKind, tmp_path: Path
) -> None:
    assert choices.choose(demo_kind) == LLAMA_CPP_NAME
    choices.record_measurement(demo_kind, msgspec.structs.replace(FASTER, turn_speedup=1.05))
    assert choices.choose(demo_kind) == LLAMA_CPP_NAME
    choices.record_measurement(demo_kind, FASTER)
    assert LibraryChoices(tmp_path).choose(demo_kind) == IK_NAME
    other = replace(demo_kind, path=tmp_path / LIBRARY_FILE_NAME)
    assert choices.choose(other) == LLAMA_CPP_NAME
    choices.record_failure(demo_kind, "cpu_unsupported")
    assert LibraryChoices(tmp_path).choose(demo_kind) == LLAMA_CPP_NAME
    assert choices.failure(demo_kind) == "cpu_unsupported"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"measured": {"a": 1}}', b"\xff{", b"[" * 60_000])
def test_a_damaged_file_of_choices_counts_as_empty(
    choices: LibraryChoices, demo_kind: ModelKind, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / LIBRARY_FILE_NAME).write_bytes(content)
    assert choices.choose(demo_kind) == LLAMA_CPP_NAME
    choices.record_measurement(demo_kind, FASTER)
    assert choices.choose(demo_kind) == IK_NAME


def test_only_known_kinds_of_model_on_the_processor_alone_are_routed(
    demo_kind: ModelKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_choice, "has_fast_library", lambda: True)
    assert is_possible(demo_kind, PLAN)
    assert not is_possible(replace(demo_kind, architecture="qwen3next"), PLAN)
    assert not is_possible(replace(demo_kind, quant="IQ1_S"), PLAN)
    assert not is_possible(demo_kind, PLAN.with_placement(1, 0))
    assert not is_possible(demo_kind, replace(PLAN, yarn_factor=4.0))
    assert is_possible(demo_kind, replace(PLAN, kv_type=KvType.Q8_0))
    monkeypatch.setattr(library_choice, "has_fast_library", lambda: False)
    assert not is_possible(demo_kind, PLAN)


def tuning_of(*speeds: tuple[float, float], depth: int = 1024) -> Tuning:
    trials = [
        Trial(TuningParameter.ATTENTION, bool(i), KvType.F16, 256, 2, reply, prompt)
        for i, (prompt, reply) in enumerate(speeds)
    ]
    return Tuning(False, KvType.F16, 256, 2, None, 1.0, 1.0, depth, trials)


def test_libraries_are_compared_by_their_best_attention() -> None:
    usual, fast = tuning_of((100.0, 10.0), (50.0, 8.0)), tuning_of((90.0, 9.0), (100.0, 20.0))
    measurement = compare_tunings(usual, fast)
    assert measurement is not None
    assert measurement.prompt_tokens_per_s == (100.0, 100.0)
    assert measurement.reply_tokens_per_s == (10.0, 20.0)
    assert measurement.turn_speedup == pytest.approx((2.56 + 51.2) / (2.56 + 25.6))
    assert compare_tunings(usual, tuning_of((100.0, 20.0), depth=2048)) is None
    assert compare_tunings(usual, tuning_of((100.0, 0.0))) is None


def test_a_prompt_is_compared_by_its_fastest_chunks() -> None:
    usual, fast = tuning_of((100.0, 10.0)), tuning_of((90.0, 9.0))
    chunks = [
        Trial(TuningParameter.UBATCH, attention, KvType.F16, 512, 2, 0.0, speed)
        for attention, speed in ((False, 180.0), (True, 900.0))
    ]
    fast = msgspec.structs.replace(fast, trials=[*fast.trials, *chunks])
    measurement = compare_tunings(usual, fast)
    assert measurement is not None
    assert measurement.prompt_tokens_per_s == (100.0, 180.0)


def test_speeds_with_one_type_of_cache_say_nothing_of_another(
    choices: LibraryChoices, demo_kind: ModelKind
) -> None:
    choices.record_measurement(demo_kind, FASTER)
    assert choices.measurement(replace(demo_kind, kv_type=KvType.Q8_0)) is None
    assert compare_tunings(tuning_of((1.0, 1.0)), tuning_of((1.0, 1.0)), KvType.Q8_0) is None


def test_what_was_measured_with_one_build_of_the_library_says_nothing_of_another(
    choices: LibraryChoices, demo_kind: ModelKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices.record_measurement(demo_kind, FASTER)
    choices.record_failure(demo_kind, "engine_aborted")
    compiled = tmp_path / "libllama.so"
    compiled.write_bytes(b"compiled")
    monkeypatch.setenv(IK_FILE_VARIABLE, str(compiled))
    assert choices.measurement(demo_kind) is None
    assert choices.failure(demo_kind) is None
    assert library_environment(IK_NAME, None)[IK_FILE_VARIABLE] == str(compiled)


def test_a_library_compiled_for_this_processor_takes_the_place_of_the_ready_made_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(IK_FILE_VARIABLE, raising=False)
    file = compiled_folder(tmp_path) / IK_FILE_NAME
    monkeypatch.setattr(native_libraries, "compiled_folder", lambda: file.parent)
    assert IK_FILE_VARIABLE not in library_environment(IK_NAME, {})
    file.parent.mkdir(parents=True)
    file.touch()
    assert library_environment(IK_NAME, {})[IK_FILE_VARIABLE] == str(file)
    assert IK_FILE_VARIABLE not in library_environment(LLAMA_CPP_NAME, {})
    assert library_environment(IK_NAME, {IK_FILE_VARIABLE: "mine"})[IK_FILE_VARIABLE] == "mine"


@pytest.mark.parametrize(("repacks", "is_one_shot"), [(False, False), (True, False), (True, True)])
async def test_weights_are_repacked_where_that_was_measured_to_be_faster_but_not_for_one_answer(
    comparer: LibraryComparer,
    choices: LibraryChoices,
    demo_kind: ModelKind,
    demo_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    repacks: bool,
    is_one_shot: bool,
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    choices.record_measurement(demo_kind, msgspec.structs.replace(FASTER, repacks=repacks))
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    router = LibraryRouter(LoadSettings(str(demo_gguf)), persistence, comparer, is_one_shot)
    library, plan = await router.choose(PLAN)
    assert library == IK_NAME
    assert plan.repacks_weights is (repacks and not is_one_shot)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1 << 30))
    assert not (await router.choose(PLAN))[1].repacks_weights


async def test_without_the_extra_nothing_is_chosen_whatever_was_measured(
    engine: LocalEngine, choices: LibraryChoices, demo_kind: ModelKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen3_chat.engine.library_router.has_fast_library", lambda: False)
    choices.record_measurement(demo_kind, FASTER)
    assert notices_in(await collect_events(events_of(engine.load))) == []
    assert engine.model is not None
    assert engine.model.library == LLAMA_CPP_NAME


async def test_a_model_that_was_measured_runs_with_the_faster_library(
    engine: LocalEngine,
    run_faster: Callable[[Fault], None],
) -> None:
    run_faster(Fault.NONE)
    events = await collect_events(events_of(engine.generate, chat_request(user_message("Hello"))))
    assert text_of(events)
    assert engine.model is not None
    assert engine.model.library == IK_NAME


@pytest.mark.parametrize(
    ("build", "libraries"), [("", [IK_NAME]), ("another build of llama-cpp-python", [None, IK_NAME])]
)
async def test_no_process_of_the_other_library_is_started_unless_a_gpu_may_be_used_now(
    run_faster: Callable[[Fault], None],
    choices: LibraryChoices,
    demo_kind: ModelKind,
    demo_gguf: Path,
    tmp_path: Path,
    log_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    build: str,
    libraries: list[str | None],
) -> None:
    run_faster(Fault.NONE)
    placement = placement_text(LoadSettings(str(demo_gguf)), {CHOSEN_BUILD_VARIABLE: build})
    choices.record_measurement(demo_kind, msgspec.structs.replace(FASTER, placement=placement))
    engine = LocalEngine(
        LoadSettings(str(demo_gguf)),
        log_path,
        persistence=PersistenceOptions(str(tmp_path), 0, calibrates=True),
        probe_machine=listing,
    )
    started = count_workers(monkeypatch)
    await collect_events(events_of(engine.load))
    assert engine.model is not None
    assert engine.model.library == IK_NAME
    assert started == libraries
    await engine.close()


async def listing(list_devices: DeviceLister) -> Machine:
    devices = await list_devices()
    assert [device.kind for device in devices] == [DeviceKind.CPU]
    return Machine(8 << 30, 50e9)


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.ILLEGAL_INSTRUCTION, "cpu_unsupported"), (Fault.NOT_LOADABLE, "llama_cpp_broken")],
)
async def test_a_library_that_dies_at_the_load_is_left_with_one_sentence_and_the_reply_comes(
    engine: LocalEngine,
    run_faster: Callable[[Fault], None],
    choices: LibraryChoices,
    demo_kind: ModelKind,
    fault: Fault,
    code: str,
) -> None:
    run_faster(fault)
    request = chat_request(user_message("Hello"))
    events = await collect_events(events_of(engine.generate, request))
    assert notices_in(events) == ["engine.fast_cpu_left"]
    assert text_of(events)
    assert not [event for event in events if isinstance(event, EngineFailed)]
    assert choices.failure(demo_kind) == code
    assert notices_in(await collect_events(events_of(engine.generate, request))) == []


async def test_a_library_that_dies_in_a_reply_loses_no_token_and_the_next_reply_comes_from_the_other(
    engine: LocalEngine,
    run_faster: Callable[[Fault], None],
) -> None:
    run_faster(Fault.ABORT_IN_REPLY)
    request = chat_request(user_message("Tell me a story."))
    events = await collect_events(events_of(engine.generate, request))
    assert notices_in(events) == ["engine.fast_cpu_left"]
    assert isinstance(events[-1], EngineFailed)
    begun = text_of(events)
    assert begun
    events = await collect_events(events_of(engine.generate, request))
    assert notices_in(events) == []
    assert text_of(events).startswith(begun)
    assert end_of(events).token_ids
    assert engine.model is not None
    assert engine.model.library == LLAMA_CPP_NAME


async def test_a_library_that_dies_in_idle_time_is_left_with_the_next_question(
    engine: LocalEngine,
    run_faster: Callable[[Fault], None],
    choices: LibraryChoices,
    demo_kind: ModelKind,
) -> None:
    run_faster(Fault.ABORT_IN_IDLE_TIME)
    request = chat_request(user_message("Hello"))
    events = await collect_events(events_of(engine.generate, request))
    assert end_of(events).token_ids
    with suppress(EngineError):
        await engine.wait_idle()
    assert engine.pid is None
    events = await collect_events(events_of(engine.generate, request))
    assert notices_in(events) == ["engine.fast_cpu_left"]
    assert end_of(events).token_ids
    assert choices.failure(demo_kind) is not None


@pytest.mark.parametrize(
    ("error", "speaks_against_it"),
    [
        (EngineDied(ErrorCode.ENGINE_ENDED_BY_SIGNAL, number=6, name="SIGABRT"), True),
        (EngineDied(ErrorCode.ENGINE_ENDED_BY_SIGNAL, number=15, name="SIGTERM"), False),
        (EngineDied(ErrorCode.ENGINE_KILLED, number=9, name="SIGKILL"), False),
        (EngineDied(ErrorCode.ENGINE_EXITED, status=0), False),
        (EngineDied(ErrorCode.ENGINE_EXITED, status=3221225477), True),
        (EngineDied(ErrorCode.CPU_UNSUPPORTED, number=4, name="SIGILL"), True),
        (EngineError(ErrorCode.CONTEXT_NOT_CREATED, n_ctx=512, reason=""), False),
        (EngineError(ErrorCode.PROMPT_TOO_LONG, tokens=2, n_ctx=1), False),
        (EngineError(ErrorCode.EVALUATION_FAILED, status=-3), True),
    ],
)
def test_only_what_is_the_library_s_fault_speaks_against_it(
    error: EngineError, speaks_against_it: bool
) -> None:
    assert is_library_failure(error) is speaks_against_it


@pytest.fixture
def comparer(log_path: Path, tmp_path: Path) -> LibraryComparer:
    return LibraryComparer(log_path, sys.executable, str(tmp_path))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.WRONG_TOKENS, ErrorCode.FAST_CPU_ANSWERS_WRONGLY),
        (Fault.ILLEGAL_INSTRUCTION, ErrorCode.CPU_UNSUPPORTED),
        (Fault.NOT_LOADABLE, ErrorCode.LLAMA_CPP_BROKEN),
    ],
)
async def test_a_library_that_fails_its_trial_is_not_used(
    comparer: LibraryComparer,
    choices: LibraryChoices,
    demo_kind: ModelKind,
    demo_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    code: ErrorCode,
) -> None:
    use_stand_in(monkeypatch, tmp_path, fault)
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    router = LibraryRouter(LoadSettings(str(demo_gguf)), persistence, comparer)
    assert await router.choose(PLAN) == (LLAMA_CPP_NAME, PLAN)
    notice = await router.compare()
    assert notice is not None
    assert notice.key == "engine.fast_cpu_left"
    assert choices.failure(demo_kind) == code.value
    assert not router.may_compare(MODEL)


async def test_a_comparison_that_gave_nothing_to_store_is_not_repeated(
    comparer: LibraryComparer, demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    monkeypatch.setattr("qwen3_chat.engine.library_trial.compare_tunings", lambda usual, fast: None)
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    router = LibraryRouter(LoadSettings(str(demo_gguf)), persistence, comparer)
    await router.choose(PLAN)
    assert router.may_compare(MODEL)
    assert await router.compare() is None
    assert not router.may_compare(MODEL)


async def test_in_idle_time_libraries_are_compared_once(
    tmp_path: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path, Fault.NONE)
    monkeypatch.setattr(local_engine, "COMPARISON_DELAY_S", 0.0)
    monkeypatch.setattr(library_choice, "ROUTED_QUANTS", frozenset({"", "F32", "F16", "Q8_0"}))
    path = tmp_path / "model.gguf"
    write_model(path, Shape(2, 64, 64, 2, 1, 32))
    kind = ModelKind.from_header(read_file(path), path)
    persistence = PersistenceOptions(str(tmp_path), 0, calibrates=True)
    engine = LocalEngine(LoadSettings(str(path), n_ctx=512), log_path, persistence=persistence)
    choices = LibraryChoices(tmp_path)
    request = chat_request(user_message("Hello"), max_tokens=3)
    try:
        await collect_events(events_of(engine.generate, request))
        assert engine.comparison is not None
        await engine.comparison
        measured = choices.measurement(kind)
        assert measured is not None
        assert measured.reply_tokens_per_s[1] > 0
        await collect_events(events_of(engine.generate, request))
        assert engine.comparison is None
    finally:
        await engine.close()
