from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding
from textual.screen import Screen

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.config import read_settings
from qwen3_chat.ui.keymap import DEFAULT_KEYMAP, REBINDABLE, Keymap, keymap_from_settings, parse_key
from qwen3_chat.ui.screens.chats_screen import ChatsScreen
from qwen3_chat.ui.screens.help_screen import HelpScreen
from qwen3_chat.ui.screens.settings_screen import SettingsScreen
from tests.harness import Start


def keymap(folder: Path, entries: str) -> Keymap:
    """Return the keymap of a settings file with these entries."""
    file = folder / "config.toml"
    file.write_text(f"# mine\n[keys]\n{entries}\n", encoding="utf-8")
    return keymap_from_settings(read_settings(file))


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Ctrl+T", "ctrl+t"),
        ("f7", "f7"),
        (" Alt + Left ", "alt+left"),
        ("Shift+Ctrl+F2", "ctrl+shift+f2"),
        ("Esc", "escape"),
        ("PgUp", "pageup"),
        ("Ctrl+,", "ctrl+comma"),
        ("ctrl+comma", "ctrl+comma"),
        ("[", "left_square_bracket"),
        ("e", "e"),
        ("", None),
        ("Ctrl+", None),
        ("Ctrl+Ctrl+A", None),
        ("Hyper", None),
        ("Strg+A", None),
        ("F99", None),
    ],
)
def test_a_key_is_read_as_people_write_it(written: str, key: str | None) -> None:
    assert parse_key(written) == key


@pytest.mark.parametrize(
    ("entries", "name", "keys"),
    [
        ('fold = "F13"', "fold", "f13"),
        ('fold = ["F20", "alt+z"]', "fold", "f20,alt+z"),
        ('retry = "F6"\ncontinue_reply = "F5"', "retry", "f6"),
        ('edit_message = "w"', "edit_message", "w"),
        ('stop = "Ctrl+X"', "stop", "ctrl+x"),
    ],
)
def test_an_action_gets_other_keys(tmp_path: Path, entries: str, name: str, keys: str) -> None:
    changed = keymap(tmp_path, entries)
    assert (changed.keys[name], changed.problems) == (keys, ())
    assert changed.is_changed


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ('folt = "F20"', "line 3: “keys.folt” names no action. Known are "),
        ('fold = "F99"', "line 3: “F99” is not a key; write it like Ctrl+T, Alt+Left or F7."),
        ("fold = []", "line 3: “” is not a key"),
        ("fold = 3", "line 3: “keys.fold” is not valid"),
        ('fold = "a"', "line 3: A is needed for writing, so “keys.fold” keeps its own key."),
        ('fold = "Enter"', "line 3: Enter is needed for writing"),
        (
            'fold = "Ctrl+T"',
            "line 3: Ctrl+T belongs to “toggle_mode” already, so “keys.fold” keeps its own key.",
        ),
    ],
)
def test_what_can_not_be_is_reported_and_the_key_stays(tmp_path: Path, entry: str, sentence: str) -> None:
    file = tmp_path / "config.toml"
    changed = keymap(tmp_path, entry)
    (problem,) = (*read_settings(file).problems, *changed.problems)
    assert f"{file}, {sentence}" in str(problem)
    assert changed.keys == DEFAULT_KEYMAP.keys


def test_of_two_that_want_one_key_the_first_gets_it(tmp_path: Path) -> None:
    changed = keymap(tmp_path, 'chats = "F20"\nexport = "F20"')
    assert (changed.keys["chats"], changed.keys["export"]) == ("f20", DEFAULT_KEYMAP.keys["export"])
    (problem,) = changed.problems
    assert "line 4: F20 belongs to “chats” already" in str(problem)


async def test_a_changed_key_works_and_is_shown_everywhere_the_old_one_does_nothing(
    start: Start, tmp_path: Path
) -> None:
    keymap(tmp_path, 'toggle_mode = "F13"\nstop = "F20"\nhelp = "Alt+H"')
    async with start() as app:
        await app.sees("F13 Thinking")
        await app.sees("F13 switches thinking, Alt+H shows")
        await app.pilot.press("ctrl+t")
        assert app.session.mode is ThinkingMode.THINK
        await app.pilot.press("f13")
        await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
        await app.pilot.press("alt+h")
        assert isinstance(app.app.screen, HelpScreen)
        await app.sees("F13")
        assert not app.shows("Ctrl+T ")
        await app.pilot.press("escape")
        await app.pilot.press("ctrl+p", *"Think")
        await app.sees("· F13")


async def test_a_key_that_two_actions_share_stays_with_the_other_one(start: Start, tmp_path: Path) -> None:
    keymap(tmp_path, 'stop = "F20"')
    async with start() as app:
        bindings = [binding for _, map_ in app.screen._binding_chain for _, binding in map_]
        assert ("escape", "leave") in {(binding.key, binding.id) for binding in bindings}
        assert ("escape", "stop") not in {(binding.key, binding.id) for binding in bindings}


def names(screen: type[Screen[object]]) -> set[str]:
    return {binding.id or "" for binding in screen.BINDINGS if isinstance(binding, Binding)}


@pytest.mark.parametrize("screen", [ChatsScreen, HelpScreen, SettingsScreen])
def test_the_keys_of_a_dialog_have_names_of_their_own(screen: type[Screen[object]]) -> None:
    assert not names(screen) & {binding.id for binding in REBINDABLE}
