"""Real offloading to Mesa's software device, which `python3 scripts/build_vulkan_llama` prepares."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import SHAPES, write_model
from event_stream import events_of
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.wire import DeviceLister
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.catalog.quants import weights
from qwen3_chat.models.fit import Gpu, Machine
from qwen3_chat.models.fit.placement import PROGRAM_BYTES, gpu_context, pinned_plan
from qwen3_chat.models.hardware import probe_hardware
from qwen3_chat.record_copies import replace
from qwen3_chat.request import KvType, LoadSettings
from qwen3_chat.texts.formatting import GIB, MIB
from tests.conftest import REPOSITORY
from tests.engine.memory import limit_memory, logged_bytes, peak_bytes, peak_bytes_without_a_model
from tests.engine.planned_worker import worker_with
from tests.engine.requests import GREEDY, chat_request, collect_events, text_of, user_message

LIBRARIES = REPOSITORY / "build" / "llama-vulkan"
DEVICE_BYTES = 2 * GIB
N_CTX = 8_192
SPARE_MIB = 2_800
"""Enough for the file of 1.7B and half of its layers a second time."""

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        not LIBRARIES.is_dir(), reason="needs build/llama-vulkan; scripts/build_vulkan_llama makes it"
    ),
]


@pytest.fixture(autouse=True)
def software_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(LIBRARIES)  # the worker imports from where this process does
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", "0")  # else llama.cpp leaves out what is no real GPU


@pytest.fixture(scope="module")
def model_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {name: folder / f"{name}.gguf" for name in ("small", "small-moe", "0.6B", "1.7B")}
    for name, path in paths.items():
        write_model(path, SHAPES[name], is_hollow=name not in ("small", "small-moe"))
    return paths


async def real_machine(list_devices: DeviceLister) -> Machine:
    return (await probe_hardware(list_devices)).machine


async def oversized_machine(_: DeviceLister) -> Machine:
    return Machine(64 * GIB, 50e9, (Gpu("A huge GPU", 64 * GIB, 64 * GIB, 1e12),))


def notices_of(events: list[EngineEvent]) -> list[str]:
    return [event.key.removeprefix("engine.") for event in events if isinstance(event, Notice)]


async def test_the_device_is_seen_with_its_memory_and_has_all_of_it_again_after_unloading(
    model_paths: dict[str, Path], log_path: Path
) -> None:
    engine = LocalEngine(
        LoadSettings(str(model_paths["small"]), n_ctx=512), log_path, probe_machine=real_machine
    )
    assert notices_of(await collect_events(events_of(engine.load))) == []
    assert engine.model is not None
    assert (engine.model.n_gpu_layers, engine.model.n_layers) == (4, 4)
    assert "llvmpipe" in engine.model.device
    await engine.close()
    assert engine.pid is None
    gpu, _ = await engine.devices()
    assert (gpu.backend, gpu.free_bytes, gpu.total_bytes) == ("Vulkan", DEVICE_BYTES, DEVICE_BYTES)
    await engine.close()


async def test_all_some_and_no_layers_on_the_gpu_give_the_same_text(
    model_paths: dict[str, Path], log_path: Path
) -> None:
    request = chat_request(user_message("Hi"), sampling=replace(GREEDY, presence_penalty=1.5), max_tokens=12)
    texts = set()
    for n_gpu_layers in (0, 2, 4):
        plan = LoadPlan(4, 512, n_ubatch=64).with_placement(n_gpu_layers, 0)
        async with worker_with(model_paths["small"], plan, log_path) as worker:
            assert worker.model.n_gpu_layers == n_gpu_layers
            texts.add(text_of(await worker.reply(request)))
    (text,) = texts
    assert len(set(text.split())) > 5


async def test_experts_stay_in_ram(model_paths: dict[str, Path], tmp_path: Path) -> None:
    on_device = []
    for n_cpu_moe in (0, 1, 4):
        plan = LoadPlan(4, 512, n_ubatch=64).with_placement(4, n_cpu_moe)
        log_path = tmp_path / f"{n_cpu_moe}.log"
        async with worker_with(model_paths["small-moe"], plan, log_path) as worker:
            assert (worker.model.n_gpu_layers, worker.model.n_cpu_moe) == (4, n_cpu_moe)
            on_device.append(logged_bytes(worker.log, "Vulkan0 model"))
    experts_bytes = 3 * 8 * 256 * 256 * 34 / 32
    assert on_device[0] - on_device[1] == pytest.approx(experts_bytes, abs=0.02 * MIB)
    assert on_device[0] - on_device[2] == pytest.approx(4 * experts_bytes, abs=0.02 * MIB)


@pytest.mark.parametrize("n_gpu_layers", [28, 14])
async def test_offloaded_layers_take_what_was_predicted(
    model_paths: dict[str, Path], tmp_path: Path, n_gpu_layers: int
) -> None:
    model = find_family_model("0.6B")
    assert model
    file_weights = weights(model.shape, "Q8_0")
    machine = await oversized_machine(lambda: None)  # type: ignore[arg-type, return-value]
    context = gpu_context(N_CTX, KvType.F16)
    predicted = pinned_plan(model.shape, file_weights, machine, context, n_gpu_layers, None)
    plan = LoadPlan(28, N_CTX, n_ubatch=context.n_ubatch).with_placement(n_gpu_layers, 0)
    before_bytes = await peak_bytes_without_a_model(tmp_path / "empty.log")
    async with worker_with(model_paths["0.6B"], plan, tmp_path / "engine.log") as worker:
        taken_bytes = peak_bytes(worker.pid) - before_bytes  # the device's memory is the process's own
        logged_on_device = logged_bytes(worker.log, "Vulkan0")
    # This device takes no tensor of over 128 MiB, so the output matrix is not there a second time.
    on_device = predicted.gpu_bytes - file_weights.output_bytes
    assert logged_on_device == pytest.approx(on_device, rel=0.05)
    assert taken_bytes == pytest.approx(on_device + predicted.ram_bytes - PROGRAM_BYTES, rel=0.05)


async def test_what_the_device_does_not_hold_is_in_ram_and_said(
    model_paths: dict[str, Path], log_path: Path
) -> None:
    engine = LocalEngine(LoadSettings(str(model_paths["1.7B"])), log_path, probe_machine=real_machine)
    events = await collect_events(events_of(engine.load))
    assert notices_of(events) == ["partly_on_gpu"]
    assert engine.model is not None
    assert 0 < engine.model.n_gpu_layers < 28
    await engine.close()


async def test_layers_leave_a_device_that_has_less_memory_than_it_says(
    model_paths: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(tmp_path, monkeypatch, SPARE_MIB)
    settings = LoadSettings(str(model_paths["1.7B"]), n_ctx=2_048)
    engine = LocalEngine(settings, tmp_path / "engine.log", probe_machine=oversized_machine)
    events = await collect_events(events_of(engine.load))
    notices = notices_of(events)
    assert engine.model is not None, events[-1]
    assert engine.model.n_gpu_layers < 28
    assert set(notices) <= {"kv_quantised", "smaller_chunks", "partly_on_gpu", "not_on_gpu"}
    assert {"partly_on_gpu", "not_on_gpu"} & set(notices)
    await engine.close()


async def test_layers_that_were_wanted_are_not_taken_back_but_refused_with_a_sentence(
    model_paths: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(tmp_path, monkeypatch, SPARE_MIB)
    settings = LoadSettings(str(model_paths["1.7B"]), n_gpu_layers=28, n_ctx=2_048)
    engine = LocalEngine(settings, tmp_path / "engine.log", probe_machine=real_machine)
    events = await collect_events(events_of(engine.load))
    assert isinstance(events[-1], EngineFailed)
    assert not {"partly_on_gpu", "not_on_gpu"} & set(notices_of(events))
    assert engine.model is None
    await engine.close()
