from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.models.fit import Machine
from qwen3_chat.models.hardware import SystemGpu, Vendor
from qwen3_chat.models.picker import DownloadPhase, ServerRow, StartupAdapters
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import EngineChoice, LocalModel, ServedModel
from qwen3_chat.texts import Language, set_language
from qwen3_chat.texts.formatting import GIB
from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen
from qwen3_chat.ui.widgets.title_bar import Banner
from tests.fakes import MODEL, FakeEngine
from tests.harness import Harness, open_app
from tests.models.fit.machines import cpu, with_gpus
from tests.models.hub.fake_hub import Cut, FakeHub, Held, Stall, sha256
from tests.models.picker.picker_fixture import (
    FILE,
    REPOSITORY,
    SMALL,
    SMALL_MACHINE,
    PickerFixture,
    install_files,
)


def content(path: Path) -> bytes:
    return path.read_bytes()


def engine_of(name: str, is_demo: bool = False) -> FakeEngine:
    engine = FakeEngine()
    engine.model = replace(MODEL, name=name, is_demo=is_demo)
    return engine


@pytest.fixture
def hub(demo_gguf: Path) -> Iterator[FakeHub]:
    with FakeHub({REPOSITORY: {FILE: content(demo_gguf)}}) as hub:
        yield hub


@asynccontextmanager
async def opened(
    picker: PickerFixture, engine: Engine | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Harness]:
    """Open the app, then the model picker."""
    engine = engine or engine_of("Demo", is_demo=True)
    async with open_app(picker.folder, engine, size, model_picker=picker.model_picker()) as app:
        await on_the_screen(app)
        yield app


async def on_the_screen(app: Harness) -> ModelPickerScreen:
    await app.pilot.press("f7")
    await app.until(lambda: isinstance(app.app.screen, ModelPickerScreen) and app.app.screen.lines)
    screen = app.app.screen
    assert isinstance(screen, ModelPickerScreen)
    return screen


async def back_in_the_chat(app: Harness) -> None:
    await app.until(lambda: app.app.screen is app.screen)


@pytest.mark.parametrize(
    ("machine", "texts"),
    [
        (with_gpus(32, 24), ("Recommended for this machine", "★ 30B-A3B-Thinking-2507", "fits the GPU")),
        (with_gpus(32, 8), ("★ 30B-A3B", "experts in RAM", "an answer takes")),
        (SMALL_MACHINE, ("★ 0.6B", "on the CPU", "too large")),
    ],
)
async def test_one_screen_says_which_model_fits_and_why(
    tmp_path: Path, machine: Machine, texts: tuple[str, ...]
) -> None:
    async with opened(PickerFixture(tmp_path, machine)) as app:
        for text in texts:
            await app.sees(text)
        await app.sees("Enter downloads")


async def test_the_detail_says_what_a_draft_model_costs(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-14B-Q4_K_M.gguf", "Qwen3-1.7B-Q8_0.gguf")
    async with opened(PickerFixture(tmp_path, with_gpus(32, 24))) as app:
        await app.pilot.press(*"14b")
        await app.sees("(1.7B: 1.8 GiB more, not measured here)")


async def test_a_narrow_terminal_has_each_model_in_one_row_with_its_speed(tmp_path: Path) -> None:
    async with opened(PickerFixture(tmp_path, with_gpus(32, 8)), size=(60, 18)) as app:
        await app.sees("★ 30B-A3B")
        rows = app.rows()
        at = next(number for number, row in enumerate(rows) if "★ 30B-A3B" in row)
        assert re.search(r"30B-A3B-Instruct-2507 [\w-]+ +[\d.]+ GiB +~\d+ tok/s", rows[at])
        assert re.search(r" 30B-A3B +[\w-]+ +[\d.]+ GiB +~\d+ tok/s", rows[at + 1])


async def test_the_screen_speaks_chinese(tmp_path: Path) -> None:
    set_language(Language.ZH)
    try:
        async with opened(PickerFixture(tmp_path, with_gpus(32, 8))) as app:
            for text in ("本机推荐", "专家放在内存", "上下文", "显存"):
                await app.sees(text)
    finally:
        set_language(Language.EN)


async def test_a_download_goes_on_behind_the_chat_and_the_first_model_is_used_at_once(
    tmp_path: Path, hub: FakeHub, demo_gguf: Path
) -> None:
    hub.faults += [Cut(100_000), Cut(200_000)]
    picker = PickerFixture(
        tmp_path, SMALL_MACHINE, hub, content(demo_gguf), engine_factory=lambda choice: engine_of("0.6B")
    )
    async with opened(picker) as app:
        await app.pilot.press("enter")
        await app.pilot.press("escape")
        await back_in_the_chat(app)
        await app.until(lambda: picker.choices)  # even if it arrives before the screen is left
        path = tmp_path / "models" / REPOSITORY / FILE
        assert picker.choices == [LocalModel(path)]
        assert content(path) == content(demo_gguf)
        await app.sees("0.6B Q8_0 is ready")


async def test_a_chat_that_has_begun_is_asked_before_the_new_model_takes_over(
    tmp_path: Path, hub: FakeHub, demo_gguf: Path
) -> None:
    hub.faults.append(Held(100_000))
    picker = PickerFixture(
        tmp_path, SMALL_MACHINE, hub, content(demo_gguf), engine_factory=lambda choice: engine_of("0.6B")
    )
    async with open_app(tmp_path, engine_of("Demo", is_demo=True), model_picker=picker.model_picker()) as app:
        await app.turn("One")
        await on_the_screen(app)
        await app.pilot.press("enter", "escape")
        await back_in_the_chat(app)
        hub.let_go.set()
        await app.sees("F7, then Enter uses it")
        assert picker.choices == []
        await on_the_screen(app)
        await app.pilot.press("enter")
        await app.until(lambda: picker.choices)
        await back_in_the_chat(app)
        await app.turn("Two")
        assert [m.meta.model for m in app.session.messages[1::2]] == ["Demo", "0.6B"]
        await app.sees("0.6B")


async def test_a_download_is_paused_and_goes_on(tmp_path: Path, hub: FakeHub, demo_gguf: Path) -> None:
    hub.faults.append(Stall(1_300_000))
    picker = PickerFixture(tmp_path, SMALL_MACHINE, hub, content(demo_gguf))
    async with opened(picker) as app:
        screen = app.app.screen
        assert isinstance(screen, ModelPickerScreen)
        states = screen.model_picker.downloads.states
        await app.pilot.press("enter")
        await app.until(lambda: SMALL in states and states[SMALL].done_bytes)
        await app.pilot.press("f3")
        await app.sees("paused")
        await app.pilot.press("ctrl+d")
        await app.sees("Cancel the download of 0.6B Q8_0")
        await app.pilot.press("escape")
        await app.until(lambda: not app.shows("Cancel the download of 0.6B Q8_0"))
        await app.pilot.press("enter")
        await app.until(lambda: states[SMALL].phase is DownloadPhase.DONE)
        await app.sees("On this disk")


async def test_without_a_network_the_row_and_a_notice_say_so(tmp_path: Path) -> None:
    async with opened(PickerFixture(tmp_path, SMALL_MACHINE, payload=b"x")) as app:
        await app.pilot.press("enter")
        await app.sees("can't be reached")
        await app.sees("here, failed")


async def test_a_model_that_does_not_fit_is_asked_about_and_can_be_used_anyway(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-32B-Q4_K_M.gguf")
    picker = PickerFixture(tmp_path, cpu(8))
    async with opened(picker) as app:
        await app.pilot.press(*"32b")
        await app.sees("Installed (qwen3-chat)")
        await app.pilot.press("enter")
        await app.sees("Enter uses it anyway")
        await app.pilot.press("escape")
        await app.until(lambda: not app.shows("anyway"))
        await app.pilot.press("enter", "enter")
        await app.until(lambda: picker.choices)


async def test_a_model_is_deleted_after_a_question(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    file = tmp_path / "models" / "Qwen3-8B-Q4_K_M.gguf"
    async with opened(PickerFixture(tmp_path)) as app:
        await app.pilot.press(*"8b q4", "ctrl+d")
        await app.sees("Delete 8B Q4_K_M")
        assert file.exists()
        await app.pilot.press("enter")
        await app.until(lambda: not file.exists())
        await app.until(lambda: not app.shows("On this disk"))


async def test_more_context_needs_more_memory_in_the_bar(tmp_path: Path) -> None:
    picker = PickerFixture(tmp_path, with_gpus(32, 24))
    async with opened(picker) as app:
        await app.pilot.press(*"14b")
        automatic, needs = gpu_need(app), list[float]()
        for _ in range(3):  # 4K, 8K, 16K; automatic is 32K
            await app.pilot.press("right")
            await app.until(lambda: gpu_need(app) not in (automatic, *needs))
            needs.append(gpu_need(app))
        assert [*needs, automatic] == sorted([*needs, automatic])


def gpu_need(app: Harness) -> float:
    """Return the model's memory on the GPU as the memory bar shows it, in GiB."""
    match = re.search(r"GPU ━+ ([\d.]+) GiB of", "\n".join(app.rows()))
    return float(match[1]) if match else 0.0


async def test_the_chosen_context_goes_along(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    picker = PickerFixture(tmp_path)
    async with opened(picker) as app:
        await app.pilot.press(*"8b q4", "right", "right", "enter")
        await app.until(lambda: picker.choices)
        assert picker.choices == [LocalModel(tmp_path / "models" / "Qwen3-8B-Q4_K_M.gguf", 8192)]


async def test_servers_have_their_place_in_the_list(tmp_path: Path) -> None:
    served = ServedModel("http://localhost:8000")
    picker = PickerFixture(tmp_path, servers=(ServerRow("Workstation", "vLLM", served),))
    async with opened(picker) as app:
        await app.pilot.press(*"vllm")
        await app.sees("Servers")
        await app.pilot.press("enter")
        await app.until(lambda: picker.choices)
        assert picker.choices == [served]


async def test_the_old_process_is_gone_when_the_new_model_talks(tmp_path: Path, demo_gguf: Path) -> None:
    settings = LoadSettings(str(demo_gguf), n_ctx=2048)
    old, new = (LocalEngine(settings, tmp_path / f"{name}.log") for name in ("old", "new"))
    install_files(tmp_path, "Qwen3-0.6B-Q8_0.gguf")

    def made(choice: EngineChoice) -> Engine:
        return new

    try:
        async with opened(PickerFixture(tmp_path, engine_factory=made), old) as app:
            await app.pilot.press(*"0.6b q8", "enter")
            await app.until(lambda: app.session.engine is new and new.model)
            assert old.pid is None
            await app.turn("Hello /no_think")
            assert app.session.messages[-1].message.content
    finally:
        await old.close()
        await new.close()


async def test_what_is_sent_during_a_switch_waits_for_the_new_model(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    loading = asyncio.Event()
    slow = FakeEngine(loading=[loading])
    slow.model = replace(MODEL, name="8B")
    async with opened(PickerFixture(tmp_path, engine_factory=lambda choice: slow)) as app:
        await app.pilot.press(*"8b q4", "enter")
        await back_in_the_chat(app)
        await app.until(lambda: app.session.engine is slow)
        await app.say("Hello")
        await app.until(lambda: app.screen.is_answering)
        assert not slow.requests
        loading.set()
        await app.until(lambda: not app.screen.is_answering and len(app.session.messages) == 2)
        assert app.session.messages[-1].meta.model == "8B"


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("4B-Thinking-2507", "◆ Always thinks", "This model always thinks"),
        ("4B-Instruct-2507", "◇ Never thinks", "This model never thinks"),
    ],
)
async def test_a_fixed_mode_is_shown_and_explained(
    tmp_path: Path, name: str, status: str, sentence: str
) -> None:
    async with open_app(tmp_path, engine_of(name)) as app:
        await app.sees(status)
        before = app.session.mode
        await app.pilot.press("ctrl+t")
        await app.sees(sentence)
        assert app.session.mode is before
        assert app.session.mode_override in (None, ThinkingMode.THINK, ThinkingMode.NO_THINK)


@pytest.mark.parametrize(
    ("name", "said", "unsaid"),
    [
        ("4B-Thinking-2507", "thinking on", "thinking off"),
        ("4B-Instruct-2507", "thinking off", "thinking on"),
    ],
)
async def test_an_export_never_tells_a_mode_that_the_model_does_not_have(
    tmp_path: Path, name: str, said: str, unsaid: str
) -> None:
    async with open_app(tmp_path, engine_of(name)) as app:
        await app.turn({"thinking on": "Hello /no_think", "thinking off": "Hello /think"}[said])
        await app.pilot.press("ctrl+s", "enter")
        await app.until(lambda: list(app.exports.glob("*.md")))
        (file,) = app.exports.glob("*.md")
        text = file.read_text(encoding="utf-8")
        assert said in text
        assert unsaid not in text


async def test_a_newcomer_learns_what_suits_the_machine_and_can_type_at_once(tmp_path: Path) -> None:
    picker = PickerFixture(tmp_path, with_gpus(32, 24))
    async with open_app(
        tmp_path, engine_of("Demo", is_demo=True), (100, 40), model_picker=picker.model_picker()
    ) as app:
        for text in (
            "This machine: 32.0 GiB RAM free",
            "Best answers: 30B-A3B-Thinking-2507",
            "F7, then Enter",
        ):
            await app.sees(text)
        await app.turn("Hello")
        assert app.session.messages[-1].message.content


async def test_who_has_models_is_not_advised(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    picker = PickerFixture(tmp_path)
    async with open_app(
        tmp_path, engine_of("Demo", is_demo=True), (100, 40), model_picker=picker.model_picker()
    ) as app:
        await app.sees("F7 shows which real Qwen3 fits")
        await app.until(lambda: not any(worker.group == "machine" for worker in app.screen.workers))
        assert not app.shows("Best answers")


async def test_a_gpu_that_lies_idle_is_reported_in_a_banner_that_a_click_takes_away(tmp_path: Path) -> None:
    gpu = SystemGpu(Vendor.NVIDIA, "NVIDIA RTX 4070", 12 * GIB, 11 * GIB, cuda_version=(12, 4))
    picker = PickerFixture(tmp_path, gpus=(gpu,))
    async with open_app(tmp_path, engine_of("8B"), model_picker=picker.model_picker()) as app:
        await app.sees("NVIDIA RTX 4070 lies idle")
        await app.sees("doctor --fix")
        await app.pilot.click(Banner)
        await app.until(lambda: not app.shows("lies idle"))


async def test_what_an_earlier_run_left_is_shown_and_gone_on_with(
    tmp_path: Path, hub: FakeHub, demo_gguf: Path
) -> None:
    data = content(demo_gguf)
    part = f"{REPOSITORY}/{FILE}.{sha256(data)[:16]}.part"
    install_files(tmp_path, part)
    (tmp_path / "models" / part).write_bytes(data[:1_000_000])
    async with opened(PickerFixture(tmp_path, SMALL_MACHINE, hub, data)) as app:
        await app.sees("% here, paused")
        await app.pilot.press("enter")
        await app.sees("On this disk")
        await app.until(lambda: (tmp_path / "models" / REPOSITORY / FILE).exists())
        assert hub.downloads == ["bytes=1000000-"]


async def test_a_file_of_any_kind_in_use_is_listed_and_leads_back_after_a_switch(tmp_path: Path) -> None:
    engine = engine_of("SmolLM2")
    engine.model = replace(MODEL, name="SmolLM2", path=str(tmp_path / "elsewhere" / "smol.gguf"))
    picker = PickerFixture(tmp_path, engine_factory=lambda choice: engine_of("Demo", is_demo=True))
    async with opened(picker, engine) as app:
        await app.sees("▶ SmolLM2 Q8_0")
        await app.pilot.press("down", "enter")
        await app.until(lambda: picker.choices == [LocalModel(Path("demo.gguf"))])
        await app.until(lambda: app.session.engine.model is not None and app.session.engine.model.is_demo)
        await app.pilot.press("f7")
        await app.sees("  SmolLM2 Q8_0")
        await app.pilot.press(*"smol", "enter")
        await app.until(lambda: picker.choices[1:] == [LocalModel(tmp_path / "elsewhere" / "smol.gguf")])


async def test_the_detail_says_which_model_runs_with_the_adapters_of_the_start(tmp_path: Path) -> None:
    install_files(tmp_path, "Qwen3-0.6B-Q8_0.gguf")
    picker = PickerFixture(tmp_path, cpu(16)).model_picker()
    adapted = StartupAdapters(picker.demo.path.absolute(), ("ahoy × 0.5",))
    picker = replace(picker, adapters=adapted)
    async with open_app(tmp_path, engine_of("Demo", is_demo=True), model_picker=picker) as app:
        await on_the_screen(app)
        await app.pilot.press(*"0.6b")
        await app.sees("without the adapters of the start: ahoy × 0.5")
        await app.pilot.press(*["backspace"] * 4, *"demo")
        await app.sees("with the adapters of the start: ahoy × 0.5")
