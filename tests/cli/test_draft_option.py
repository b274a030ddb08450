"""The model that drafts for another one, and adapters, after the start and after a change of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.cli.composition import make_model_picker
from qwen3_chat.cli.draft_option import with_draft_model
from qwen3_chat.cli.engine_composition import make_chosen_engine, make_engine
from qwen3_chat.cli.models_command import list_models
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Settings, find_paths
from qwen3_chat.config.settings_store import SettingsStore
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.load_planner import LoadPlanner
from qwen3_chat.engine.wire import Device
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.models.library import ModelDirs, find_model_dirs
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import ChatSession, LocalModel

SMALL, LARGE = Shape(1, 32, 32, 1, 1, 32), Shape(2, 512, 1024, 4, 2, 64)
EXPERTS = Shape(1, 32, 32, 1, 1, 32, experts=4, experts_used=2)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_model(folder / "Qwen3-0.6B-Q8_0.gguf", SMALL, is_hollow=True)
    write_model(folder / "Qwen3-8B-Q8_0.gguf", LARGE, is_hollow=True)
    return folder


@pytest.fixture
def model_dirs(tmp_path: Path) -> ModelDirs:
    return find_model_dirs({}, tmp_path)


def drafted(text: str, target: str, models_dir: Path, model_dirs: ModelDirs) -> LoadSettings:
    settings = LoadSettings(str(models_dir / f"Qwen3-{target}-Q8_0.gguf"))
    return with_draft_model(settings, text, models_dir, model_dirs)


def test_a_model_that_is_named_drafts_wherever_the_other_one_runs(
    models_dir: Path, model_dirs: ModelDirs
) -> None:
    settings = drafted("0.6B", "8B", models_dir, model_dirs)
    assert Path(settings.draft).name == "Qwen3-0.6B-Q8_0.gguf"
    assert not settings.drafts_on_gpu_only
    assert drafted("demo", "8B", models_dir, model_dirs).draft == str(DEMO_FILE)


def test_auto_chooses_a_model_of_an_eighth_or_less_for_a_gpu(models_dir: Path, model_dirs: ModelDirs) -> None:
    settings = drafted("auto", "8B", models_dir, model_dirs)
    assert Path(settings.draft).name == "Qwen3-0.6B-Q8_0.gguf"
    assert settings.drafts_on_gpu_only
    assert drafted("auto", "0.6B", models_dir, model_dirs).draft == ""


def test_a_model_that_is_not_installed_is_a_sentence(models_dir: Path, model_dirs: ModelDirs) -> None:
    with pytest.raises(ModelError) as failure:
        drafted("4B", "8B", models_dir, model_dirs)
    assert failure.value.code is ErrorCode.MODEL_NOT_INSTALLED


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[LoadSettings]:
    """The settings of the engines that are made, which load nothing."""
    made = list[LoadSettings]()

    class Engine:
        def __init__(self, settings: LoadSettings, *_: object, **__: object) -> None:
            made.append(settings)

    monkeypatch.setattr("qwen3_chat.engine.local_engine.LocalEngine", Engine)
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    return made


def test_the_command_line_counts_more_than_the_setting(models_dir: Path, made: list[LoadSettings]) -> None:
    settings, paths, large = Settings(draft="0.6B"), find_paths(), models_dir / "Qwen3-8B-Q8_0.gguf"
    for draft in (None, "none", "None ", "demo"):
        make_engine(ModelChoice(gguf=large, draft=draft), settings, paths)
    assert [Path(one.draft).name for one in made] == ["Qwen3-0.6B-Q8_0.gguf", "", "", DEMO_FILE.name]
    with pytest.raises(UsageError) as failure:
        make_engine(ModelChoice(endpoint="http://127.0.0.1:9", draft="auto"), settings, paths)
    assert failure.value.code is ErrorCode.DRAFT_WITH_ENDPOINT


@pytest.mark.parametrize("setting", ["0.6B", "1.7B", "demo", "auto"])
def test_a_draft_model_for_any_model_leaves_those_alone_that_it_does_not_suit(
    models_dir: Path, made: list[LoadSettings], setting: str
) -> None:
    small = models_dir / "Qwen3-0.6B-Q8_0.gguf"
    make_engine(ModelChoice(gguf=small), Settings(draft=setting), find_paths())
    startup = ModelChoice(gguf=models_dir / "Qwen3-8B-Q8_0.gguf", draft=setting)
    make_chosen_engine(LocalModel(small), startup, Settings(), find_paths())
    assert [one.draft for one in made] == ["", ""]


def test_a_choice_in_the_model_picker_counts_from_the_next_load_on(
    models_dir: Path, made: list[LoadSettings]
) -> None:
    paths = find_paths()
    store = SettingsStore(Settings(draft="auto"), paths.settings_file)
    large = models_dir / "Qwen3-8B-Q8_0.gguf"
    session = cast(ChatSession, None)  # which only the probe of the machine asks
    picker = make_model_picker(session, ModelChoice(gguf=large, draft="none"), store, paths)
    assert picker.drafts is not None
    for value in (None, "0.6B", "none"):
        if value:
            picker.drafts.choose(value)
        picker.make_engine(LocalModel(large))
    store.change("draft", "0.6B")  # in the settings, while the app runs
    picker.make_engine(LocalModel(large))
    small = "Qwen3-0.6B-Q8_0.gguf"
    assert [Path(one.draft).name for one in made] == ["", small, "", small]


def test_adapters_stay_with_the_model_that_they_were_named_with(
    models_dir: Path, made: list[LoadSettings]
) -> None:
    startup = ModelChoice(demo=True, lora=("ahoy.gguf:0.5",))
    for path in (DEMO_FILE, models_dir / "Qwen3-8B-Q8_0.gguf"):
        make_chosen_engine(LocalModel(path, 2048), startup, Settings(), find_paths())
    assert [[adapter.label for adapter in settings.adapters] for settings in made] == [["ahoy × 0.5"], []]


def test_models_tells_what_drafts_would_cost(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    list_models(False, "24GiB", "32GiB", None)
    assert "8B Q8_0: --draft 0.6B takes " in capsys.readouterr().out
    list_models(True, "24GiB", "32GiB", None)
    models = {
        (model["model"], model["quant"]): model["draft"]
        for model in json.loads(capsys.readouterr().out)["models"]
    }
    draft = models["8B", "Q8_0"]
    assert (draft["model"], draft["installed"], draft["speedup"]) == ("0.6B", True, None)
    assert draft["automatic"]
    assert draft["need_bytes"] < draft["total_bytes"]
    assert models["30B-A3B", "Q4_K_M"] is None


def test_the_setting_waits_until_llama_cpp_is_compiled_and_the_command_line_does_not(
    models_dir: Path, made: list[LoadSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "compile.json"
    file.write_text('{"state": "compiling"}')
    monkeypatch.setattr("qwen3_chat.engine.llama_compilation.compilation_file", lambda: file)
    settings, paths = Settings(draft="0.6B"), find_paths()
    for draft in (None, "0.6B"):
        make_engine(ModelChoice(gguf=models_dir / "Qwen3-8B-Q8_0.gguf", draft=draft), settings, paths)
    assert [Path(one.draft).name for one in made] == ["", "Qwen3-0.6B-Q8_0.gguf"]


async def test_a_load_says_that_the_draft_model_of_the_setting_is_not_installed(
    models_dir: Path, made: list[LoadSettings]
) -> None:
    write_model(models_dir / "Qwen3-30B-A3B-Q8_0.gguf", EXPERTS, is_hollow=True)
    for target in ("8B", "30B-A3B"):
        make_engine(ModelChoice(model=target), Settings(draft="1.7B"), find_paths())
    make_engine(ModelChoice(model="8B"), Settings(draft="0.6B"), find_paths())
    keys = []
    for settings in made:
        _, notices = await LoadPlanner(settings, None).plan(no_devices)
        keys.append([(notice.key, notice.values) for notice in notices if "draft" in notice.key])
    assert keys == [[("engine.draft_missing", {"name": "1.7B"})], [], []]


async def no_devices() -> tuple[Device, ...]:
    return ()
