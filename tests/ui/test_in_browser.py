"""The app as it is in a browser: what is off, what is handed over, which keys it has."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.config import LoadedSettings, read_settings
from qwen3_chat.errors import UsageError
from qwen3_chat.events import AnswerDelta
from qwen3_chat.texts import t
from qwen3_chat.tools.allowed_folders import AllowedFolders
from qwen3_chat.ui.app import ChatApp
from qwen3_chat.ui.browser import (
    BROWSER_KEYS,
    browser_keymap,
    list_allowed_files,
    read_allowed_attachment,
)
from qwen3_chat.ui.clipboard import MAX_BROWSER_BYTES, Clipboard, CopyRoute
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS
from qwen3_chat.ui.keymap import DEFAULT_KEYMAP, keymap_from_settings
from qwen3_chat.ui.screens.code_blocks_screen import CodeBlocksScreen
from qwen3_chat.ui.screens.help_screen import HelpScreen
from tests.fakes import FakeEngine, finished
from tests.harness import Start

CODE = (AnswerDelta("```python\nprint('你好')\n```\n", 5), finished())


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Let the app take itself for one in a browser; the files that it hands over, by their names."""
    files: dict[str, bytes] = {}

    def deliver(_: ChatApp, file: Path | BytesIO, *, save_filename: str, **__: Any) -> str:
        files[save_filename] = file.read_bytes() if isinstance(file, Path) else file.read()
        return "key"

    monkeypatch.setattr(ChatApp, "is_web", property(lambda _: True))
    monkeypatch.setattr(ChatApp, "deliver_binary", deliver)
    return files


async def test_an_export_is_handed_to_the_browser_and_written_nowhere(
    start: Start, delivered: dict[str, bytes]
) -> None:
    async with start(FakeEngine(CODE)) as app:
        await app.turn("Greet me")
        await app.pilot.press("ctrl+s")
        await app.sees("Export as")
        await app.pilot.press("enter")
        await app.until(lambda: delivered)
        ((name, content),) = delivered.items()
        assert name == "Greet me.md"
        assert "print('你好')" in content.decode()
        assert list(app.exports.iterdir()) == []
        await app.sees("Given to the browser")


async def test_a_code_block_is_saved_by_the_browser_and_not_opened(
    start: Start, delivered: dict[str, bytes]
) -> None:
    async with start(FakeEngine(CODE)) as app:
        await app.turn("Greet me")
        await app.pilot.press("alt+up", "b")
        await app.until(lambda: isinstance(app.app.screen, CodeBlocksScreen))
        assert app.app.screen.check_action("open", ()) is False
        await app.pilot.press("s")
        await app.until(lambda: delivered)
        assert delivered == {"code.py": "print('你好')\n".encode()}


async def test_what_needs_a_terminal_is_neither_possible_nor_offered(
    start: Start, delivered: dict[str, bytes]
) -> None:
    async with start() as app:
        assert app.screen.check_action("editor", ()) is False
        assert app.app.check_action("suspend_process", ()) is False
        titles = [command.title for command in app.app.get_system_commands(app.app.screen)]
        assert "Editor" not in titles
        await app.pilot.press("f1")
        await app.until(lambda: isinstance(app.app.screen, HelpScreen))
        assert isinstance(app.app.screen, HelpScreen)
        tips = {tip for _, tip in app.app.screen._rows((*CHAT_KEYS, *APP_KEYS))}
        assert t("ui.tip.toggle_mode") in tips
        assert tips.isdisjoint({t("ui.tip.editor"), t("ui.tip.suspend")})


async def test_in_a_terminal_it_is_offered(start: Start) -> None:
    async with start() as app:
        assert app.screen.check_action("editor", ()) is True
        assert app.app.check_action("suspend_process", ()) is True


def test_the_keys_that_browsers_keep_have_others_unless_the_user_chose_some(tmp_path: Path) -> None:
    keymap = browser_keymap(DEFAULT_KEYMAP, ())
    assert {name: keymap.keys[name] for name in BROWSER_KEYS} == BROWSER_KEYS
    file = tmp_path / "config.toml"
    file.write_text('[keys]\ntoggle_mode = "f6"\ncontinue_reply = "alt+n"\n')
    loaded: LoadedSettings = read_settings(file)
    chosen = browser_keymap(keymap_from_settings(loaded), loaded.settings.keys)
    assert (chosen.keys["toggle_mode"], chosen.keys["new_chat"], chosen.keys["retry"]) == (
        "f6",
        DEFAULT_KEYMAP.keys["new_chat"],
        "alt+r",
    )


def test_no_key_of_a_browser_is_another_action_s() -> None:
    others = {
        key
        for name, keys in DEFAULT_KEYMAP.keys.items()
        if name not in BROWSER_KEYS
        for key in keys.split(",")
    }
    assert {key for keys in BROWSER_KEYS.values() for key in keys.split(",")} & others == set()


def test_only_files_of_allowed_folders_are_read(tmp_path: Path) -> None:
    allowed, elsewhere = tmp_path / "allowed", tmp_path / "elsewhere"
    for folder in (allowed, elsewhere):
        folder.mkdir()
        (folder / "notes.md").write_text("# 笔记\n")
    (allowed / "link.md").symlink_to(elsewhere / "notes.md")
    folders = AllowedFolders((allowed,), ())
    assert read_allowed_attachment(allowed / "notes.md", folders).text == "# 笔记\n"
    assert f"{allowed}/notes.md" in list_allowed_files(folders)
    for path in (
        elsewhere / "notes.md",
        allowed / ".." / "elsewhere" / "notes.md",
        allowed / "link.md",
        allowed / "missing.md",
    ):
        with pytest.raises(UsageError):
            read_allowed_attachment(path, folders)
    with pytest.raises(UsageError):
        read_allowed_attachment(allowed / "notes.md", AllowedFolders((), ()))


async def test_a_file_of_another_folder_is_not_attached(
    start: Start, delivered: dict[str, bytes], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    async with start() as app:
        app.screen.writing.allowed_folders = AllowedFolders((), ())
        app.screen.writing.attach(str(secret))
        await app.sees("tool_folders")
        assert app.screen.input.attachments == ()


def test_copying_goes_to_the_browser_s_clipboard_whatever_programs_there_are(tmp_path: Path) -> None:
    written: list[str] = []
    clipboard = Clipboard(written.append, tmp_path / "copied.txt", {"PATH": ""}, in_browser=True)
    assert clipboard.copy("x" * MAX_BROWSER_BYTES) is CopyRoute.TERMINAL
    assert clipboard.copy("x" * (MAX_BROWSER_BYTES + 1)) is CopyRoute.FILE
    assert len(written) == 1
