"""The terminal given to another program and taken back: the editor, the browser, the shell."""

from __future__ import annotations

import signal
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver

from qwen3_chat.ui.external_editor import editor_command
from qwen3_chat.ui.textual_compat import TerminalApp
from tests.fakes import FakeEngine
from tests.harness import open_app


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the driver of the tests be suspended; return when it was left and taken."""
    seen: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "can_suspend", True)
    monkeypatch.setattr(HeadlessDriver, "suspend_application_mode", lambda driver: seen.append("left"))
    monkeypatch.setattr(HeadlessDriver, "resume_application_mode", lambda driver: seen.append("taken"))
    return seen


async def test_textual_still_does_not_come_back_from_an_error(modes: list[str]) -> None:
    app = App[None]()
    async with app.run_test():
        with pytest.raises(OSError, match="x"), app.suspend():
            raise OSError("x")
    assert modes == ["left"]


async def test_the_terminal_is_taken_again_however_the_program_inside_ends(modes: list[str]) -> None:
    app = TerminalApp()
    before = signal.getsignal(signal.SIGINT)
    async with app.run_test():
        with pytest.raises(OSError, match="x"), app.suspend():
            raise OSError("x")
        with app.suspend():
            signal.raise_signal(signal.SIGINT)  # Ctrl+C in an editor
            signal.raise_signal(signal.SIGQUIT)  # Ctrl+\
    assert modes == ["left", "taken"] * 2
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("editor", ["editor", "vi 'unfinished", "false"])
async def test_an_editor_that_fails_leaves_the_message_and_a_sentence(
    tmp_path: Path, modes: list[str], monkeypatch: pytest.MonkeyPatch, editor: str
) -> None:
    monkeypatch.setenv("VISUAL", editor if editor == "false" else f"/nowhere/{editor}")
    async with open_app(tmp_path, FakeEngine()) as app:
        app.screen.input.text = "a draft \x1b[31m"
        await app.pilot.press("alt+e")
        # the notice is folded where its command is long
        await app.until(lambda: any("is unchanged." in notice.message for notice in app.app._notifications))
        assert app.screen.input.text.startswith("a draft \x1b[31m")
    assert modes == ["left", "taken"]


def test_a_command_with_an_open_quote_is_still_a_command() -> None:
    assert editor_command({"EDITOR": "vi 'x"}) == ["vi", "'x"]


async def test_a_page_that_no_browser_opens_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_browser(driver: HeadlessDriver, url: str, new_tab: bool = True) -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(HeadlessDriver, "open_url", no_browser)
    async with open_app(tmp_path, FakeEngine()) as app:
        app.app.open_url("http://example.org/")
        await app.sees("No browser opened")


@contextmanager
def own_group(monkeypatch: pytest.MonkeyPatch, *, has_shell: bool) -> Iterator[list[str]]:
    sent: list[str] = []
    driver = "qwen3_chat.ui.textual_compat.terminal_driver"
    monkeypatch.setattr(f"{driver}.has_a_shell", lambda: has_shell)
    monkeypatch.setattr(f"{driver}.send_suspend", lambda: sent.append("stop"))
    yield sent


@pytest.mark.usefixtures("modes")
@pytest.mark.parametrize("has_shell", [True, False])
async def test_suspend_is_a_command_and_needs_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_shell: bool
) -> None:
    with own_group(monkeypatch, has_shell=has_shell) as sent:
        async with open_app(tmp_path, FakeEngine()) as app:
            await app.say("/suspend")
            await app.pilot.pause()
            await app.until(lambda: sent or app.shows("no shell to return to"))
    assert sent == (["stop"] if has_shell else [])


@pytest.mark.usefixtures("modes")
async def test_suspend_has_no_key_until_the_user_gives_it_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_group(monkeypatch, has_shell=True) as sent:
        async with open_app(tmp_path, FakeEngine()) as app:
            await app.pilot.press("ctrl+z")
            assert sent == []
            assert "Suspend" in {command.title for command in app.app.get_system_commands(app.app.screen)}
        (tmp_path / "config.toml").write_text('[keys]\nsuspend = "Ctrl+Z"\nundo_deletion = "F11"\n')
        async with open_app(tmp_path, FakeEngine()) as app:
            await app.pilot.press("ctrl+z")
            assert sent == ["stop"]
