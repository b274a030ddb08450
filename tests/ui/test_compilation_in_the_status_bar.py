"""The compilation of llama.cpp behind the chat, in the status bar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3_chat.engine import llama_compilation
from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.controllers import model_controller
from tests.fakes import FakeEngine
from tests.harness import open_app
from tests.models.picker.picker_fixture import SMALL_MACHINE, PickerFixture


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file about the compilation, which is not there; it is looked at all the time."""
    file = tmp_path / "compile.json"
    monkeypatch.setattr(llama_compilation, "compilation_file", lambda: file)
    monkeypatch.setattr(model_controller, "COMPILATION_INTERVAL_S", 0.02)
    return file


def write(file: Path, state: str, **values: object) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"state": state, **values}))
    new.replace(file)


def finish(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("language", "shown"), [(Language.EN, "compiling llama.cpp {}%"), (Language.ZH, "编译 llama.cpp {}%")]
)
async def test_the_progress_is_shown_until_llama_cpp_is_there(
    tmp_path: Path, file: Path, language: Language, shown: str
) -> None:
    write(file, "compiling", percent=7)
    picker = PickerFixture(tmp_path, SMALL_MACHINE)
    set_language(language)
    try:
        async with open_app(tmp_path, FakeEngine(), (60, 18), model_picker=picker.model_picker()) as app:
            await app.sees(shown.format(7))
            write(file, "compiling", percent=38)
            await app.sees(shown.format(38))
            await app.turn("Hello")
            await app.sees(shown.format(38))
            finish(file)
            await app.until(lambda: not app.shows("llama.cpp"))
    finally:
        set_language(Language.EN)


async def test_a_compilation_that_fails_meanwhile_is_told_once(tmp_path: Path, file: Path) -> None:
    write(file, "compiling", percent=7)
    picker = PickerFixture(tmp_path, SMALL_MACHINE)
    async with open_app(tmp_path, FakeEngine(), (120, 40), model_picker=picker.model_picker()) as app:
        await app.sees("compiling llama.cpp 7%")
        write(file, "failed", log="compile.log")
        await app.sees("llama.cpp could not be compiled")
        await app.until(lambda: not app.shows("compiling llama.cpp"))


async def test_a_compilation_that_failed_before_is_not_told_again(tmp_path: Path, file: Path) -> None:
    write(file, "failed", log="compile.log")
    picker = PickerFixture(tmp_path, SMALL_MACHINE)
    async with open_app(tmp_path, FakeEngine(), (120, 40), model_picker=picker.model_picker()) as app:
        await app.turn("Hello")
        assert not app.shows("llama.cpp could not be compiled")
