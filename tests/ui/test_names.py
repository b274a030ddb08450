"""Names of files, models, prompts, themes and chats that hold anything: nothing ends, nothing is raw."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.errors import ExportError, UsageError
from qwen3_chat.session.draft_store import Draft
from qwen3_chat.ui.clipboard import Clipboard, CopyRoute
from qwen3_chat.ui.screens.model_picker_screen import ModelPickerScreen
from tests.conftest import REPOSITORY
from tests.fakes import FakeEngine
from tests.harness import Harness, Start, open_app
from tests.models.picker.picker_fixture import PickerFixture

RAW_NAMES = (
    b"esc\x1b[31mred\x1b]0;x\x07",
    b"new\nline\r\ttab",
    b"[b]mark[red] [$y",
    b"latin\xe9",
    b"a" * 250,
    b"-rf",
    b"..x",
    "天气🙂".encode(),
    "\u202ertl\u2028".encode(),
    b"c1\x9b31m",
)
RAW = {"\x1b", "\x07", "\x9b", "\u202e"}
NAMES = [os.fsdecode(name) for name in RAW_NAMES]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of each name."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.txt").write_text("hello\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def has_attached(app: Harness, count: int) -> bool:
    return len(app.screen.input.attachments) == count


async def test_files_of_any_name_are_completed_attached_and_drafted(start: Start, folder: Path) -> None:
    async with start(size=(110, 40)) as app:
        completions, chat_input = app.screen.widgets.completions, app.screen.input
        for number in range(len(NAMES) - 1):  # all but that which begins with a dot, and is hidden
            chat_input.text = ""
            await app.pilot.press("@")
            await app.until(lambda: completions.option_count == len(NAMES) - 1)
            completions.highlighted = number
            await app.pilot.press("enter")
            await app.until(partial(has_attached, app, number + 1))
            assert chat_input.text.encode().decode().isprintable()
        names = [attachment.name for attachment in chat_input.attachments]
        assert len(set(names)) == len(NAMES) - 1
        assert all(name.isprintable() for name in names)
        shown = "\n".join(app.rows())
        assert not RAW & set(shown)
        await app.pilot.press("ctrl+q")
        await app.until(lambda: not app.app.is_running)
    async with start(size=(110, 40)) as app:
        await app.until(lambda: len(app.screen.input.attachments) == len(NAMES) - 1)


async def test_the_models_screen_lists_files_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in NAMES:
        (tmp_path / "models" / f"{name}.gguf").write_bytes(b"GGUF")
    async with open_app(tmp_path, FakeEngine(), model_picker=PickerFixture(tmp_path).model_picker()) as app:
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(app.app.screen, ModelPickerScreen) and app.app.screen.lines)
        for _ in range(len(NAMES)):
            await app.pilot.press("pagedown", "ctrl+d")
            assert not RAW & set("\n".join(app.rows()))


@pytest.mark.parametrize("text", ["\udcff", "a\ud800b", "\x1b[31m"])
async def test_a_text_that_has_no_utf_8_is_drafted_copied_and_exported(
    start: Start, tmp_path: Path, text: str
) -> None:
    async with start() as app:
        draft = Draft(text, (Attachment(text, text),))
        await app.screen.drafts._drafts.save(None, draft)
    copied = tmp_path / "copied.txt"
    assert Clipboard(lambda _: None, copied, {}).copy(text * 100_000) is CopyRoute.FILE
    assert copied.is_file()
    assert write_new_file(tmp_path, text, "a.md").is_file()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 300])
def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError):
        write_new_file(tmp_path / name, "text", "a.md")
    with pytest.raises(UsageError):
        read_attachment(tmp_path / name)


ODD = ["[", "[red", "\\[/]", "[=]", "][", *(name.encode(errors="replace").decode() for name in NAMES)]


async def test_the_palette_offers_themes_of_any_name(start: Start, tmp_path: Path) -> None:
    shipped = (REPOSITORY / "themes" / "paper.toml").read_text(encoding="utf-8")
    (tmp_path / "themes").mkdir()
    names = [name for name in ODD if len(name) < 60]  # a longer one is refused, and told
    for number, name in enumerate(names):
        theme = shipped.replace(
            'name = "paper"', f"name = {json.dumps(f'odd{number}{name}', ensure_ascii=False)}", 1
        )
        (tmp_path / "themes" / f"{number}.toml").write_text(theme, encoding="utf-8")
    async with start(size=(110, 50)) as app:
        await app.pilot.press("ctrl+p", *"odd")
        palette = app.app.screen
        assert isinstance(palette, CommandPalette)
        options = palette.query_one(CommandList)
        await app.until(lambda: options.option_count == len(names))
        assert {str(option.prompt).partition("\n")[0] for option in options.options} >= {"Theme: odd1[red"}
        await app.pilot.press("down", "enter")
        await app.until(lambda: app.app.theme.startswith("odd"))


async def test_prompts_and_chats_of_any_name_are_listed(start: Start, tmp_path: Path) -> None:
    prompts = "".join(
        f"[[prompts]]\ntitle = {quoted}\ntext = {quoted}\n"
        for quoted in (json.dumps(name, ensure_ascii=False) for name in ODD)
    )
    (tmp_path / "prompts.toml").write_text(prompts, encoding="utf-8")
    async with start(size=(110, 50)) as app:
        for name in ODD:
            await app.turn(name)
            assert app.session.chat_id is not None
            await app.store.set_title(app.session.chat_id, name)
            await app.pilot.press("ctrl+n")
            await app.until(lambda: not app.session.messages)
        for keys in (("ctrl+l", "ctrl+l"), ("ctrl+r",), ("ctrl+b",)):
            for key in keys:
                await app.pilot.press(key)
                await app.pilot.pause()
            await app.sees("latin")
            assert not RAW & set("\n".join(app.rows()))
            await app.pilot.press("escape", "escape", "escape")
            await app.until(lambda: app.app.screen is app.screen)
