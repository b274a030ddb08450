"""The model that drafts for another one, by `--draft` or by the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, write_model
from qwen3_chat.cli.draft_option import with_draft_model
from qwen3_chat.cli.engine_composition import make_engine
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import Settings, find_paths
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.models.library import ModelDirs, find_model_dirs
from qwen3_chat.request import LoadSettings

SMALL, LARGE = Shape(1, 32, 32, 1, 1, 32), Shape(2, 512, 1024, 4, 2, 64)


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


def test_the_command_line_counts_more_than_the_setting(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = list[str]()

    class Engine:
        def __init__(self, settings: LoadSettings, *_: object, **__: object) -> None:
            made.append(settings.draft)

    monkeypatch.setattr("qwen3_chat.engine.local_engine.LocalEngine", Engine)
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    settings, paths = Settings(draft="demo"), find_paths()
    for draft in (None, "none", "demo"):
        make_engine(ModelChoice(demo=True, draft=draft), settings, paths)
    assert made == [str(DEMO_FILE), "", str(DEMO_FILE)]
    with pytest.raises(UsageError) as failure:
        make_engine(ModelChoice(endpoint="http://127.0.0.1:9", draft="auto"), settings, paths)
    assert failure.value.code is ErrorCode.DRAFT_WITH_ENDPOINT


def test_the_setting_waits_until_llama_cpp_is_compiled_and_the_command_line_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = list[str]()

    class Engine:
        def __init__(self, settings: LoadSettings, *_: object, **__: object) -> None:
            made.append(settings.draft)

    file = tmp_path / "compile.json"
    file.write_text('{"state": "compiling"}')
    monkeypatch.setattr("qwen3_chat.engine.llama_compilation.compilation_file", lambda: file)
    monkeypatch.setattr("qwen3_chat.engine.local_engine.LocalEngine", Engine)
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    settings, paths = Settings(draft="demo"), find_paths()
    for draft in (None, "demo"):
        make_engine(ModelChoice(demo=True, draft=draft), settings, paths)
    assert made == ["", str(DEMO_FILE)]
