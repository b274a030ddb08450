from __future__ import annotations

import re
from pathlib import Path

import pytest

from qwen3_chat.config.setting_types import known_settings
from qwen3_chat.texts import Language, set_language
from qwen3_chat.transcript.message_entry import ThinkingDisplay
from qwen3_chat.ui.screens.settings_screen import SettingsScreen
from tests.harness import Harness, Start


async def highlight(app: Harness, name: str) -> SettingsScreen:
    """Open the settings and highlight one of them."""
    await app.pilot.press("f12")
    screen = app.app.screen
    assert isinstance(screen, SettingsScreen)
    screen.options.highlighted = list(known_settings()).index(name)
    await app.pilot.pause()
    return screen


async def test_a_choice_counts_at_once_and_is_in_the_file_beside_the_users_comments(
    start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\nthinking_display = "auto"  # best\n', encoding="utf-8")
    async with start() as app:
        await highlight(app, "thinking_display")
        await app.sees("auto · open · closed (default auto)")
        await app.pilot.press("enter")
        assert file.read_text(encoding="utf-8") == '# mine\nthinking_display = "open"  # best\n'
        await app.pilot.press("left", "left")
        assert app.screen.transcript.thinking_display is ThinkingDisplay.CLOSED
        await app.pilot.press("escape")
        assert app.app.screen is app.screen


async def test_a_value_is_typed_checked_and_kept(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    async with start() as app:
        screen = await highlight(app, "thinking_budget")
        await app.pilot.press("enter", *"many", "enter")
        await app.sees("This takes a whole number from 0 to 1,000,000.")
        assert not file.exists()
        screen.editor.text = "512"
        await app.pilot.press("enter")
        assert app.session.options.thinking_budget == 512
        assert file.read_text(encoding="utf-8") == "thinking_budget = 512\n"
        await app.sees("512")


async def test_escape_leaves_a_value_as_it_was_then_the_screen(start: Start, tmp_path: Path) -> None:
    async with start() as app:
        await highlight(app, "model")
        await app.pilot.press("enter", *"8B", "escape")
        assert isinstance(app.app.screen, SettingsScreen)
        await app.pilot.press("escape")
        assert not isinstance(app.app.screen, SettingsScreen)
        assert not (tmp_path / "config.toml").exists()


async def test_a_setting_returns_to_its_default_and_leaves_the_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\ntheme = "qwen-light"\n', encoding="utf-8")
    async with start() as app:
        assert app.app.theme == "qwen-light"
        await highlight(app, "theme")
        await app.pilot.press("ctrl+d")
        assert app.app.theme == "qwen-dark"
        assert file.read_text(encoding="utf-8") == "# mine\n"


async def test_what_counts_only_after_a_start_is_reported(start: Start) -> None:
    async with start() as app:
        await highlight(app, "model_folders")
        await app.pilot.press("enter", *"/a", "enter")
        await app.sees("“Folders with models” takes effect at the next start.")


async def test_a_list_has_a_line_for_each_text(start: Start, tmp_path: Path) -> None:
    async with start() as app:
        await highlight(app, "model_folders")
        await app.pilot.press("enter", *"/a", "ctrl+j", *"/b", "enter")
        file = tmp_path / "config.toml"
        assert file.read_text(encoding="utf-8") == 'model_folders = ["/a", "/b"]\n'


async def test_a_file_that_can_not_be_written_changes_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("theme = ", encoding="utf-8")
    async with start() as app:
        await highlight(app, "thinking_display")
        await app.pilot.press("enter")
        await app.sees("can't be")
        assert app.screen.transcript.thinking_display is ThinkingDisplay.AUTO


@pytest.mark.parametrize("size", [(80, 24), (40, 16)])
async def test_every_setting_can_be_reached_and_explained(start: Start, size: tuple[int, int]) -> None:
    async with start(size=size) as app:
        await app.pilot.press("f12")
        for setting in known_settings().values():
            await app.sees(setting.about[:20])
            await app.pilot.press("down")


async def test_enter_breaks_the_line_where_the_user_wants_it_so(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('enter_key = "new_line"\n', encoding="utf-8")
    async with start() as app:
        await app.sees("Ctrl+J sends · Enter new line")
        await app.pilot.press("a", "enter", "b")
        assert app.screen.input.text == "a\nb"
        await app.pilot.press("ctrl+j")
        await app.sees("It is 3.")
        assert app.session.messages[0].message.content == "a\nb"


async def test_less_movement_stills_the_caret_and_slows_growing_replies(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("reduced_motion = true", encoding="utf-8")
    async with start() as app:
        assert not app.screen.input.cursor_blink
        assert app.app.animation_level == "none"
        assert app.screen.transcript.update_interval_s == 1
        await app.turn("Hello")
        await app.sees("It is 3.")


@pytest.mark.parametrize("format", ["html", "json", "txt", "jsonl"])
async def test_the_export_key_writes_the_chosen_format(start: Start, tmp_path: Path, format: str) -> None:
    (tmp_path / "config.toml").write_text(f'export_format = "{format}"\n', encoding="utf-8")
    async with start() as app:
        await app.turn("Hello")
        await app.pilot.press("ctrl+s", "enter")
        await app.until(lambda: list(app.exports.glob(f"*.{format}")))


async def test_exports_show_the_thinking_as_chosen(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('export_thinking = "none"\n', encoding="utf-8")
    async with start() as app:
        await app.turn("Hello")
        await app.pilot.press("ctrl+s", "enter")
        await app.until(lambda: list(app.exports.glob("*.md")))
        await highlight(app, "export_thinking")
        await app.pilot.press("enter", "escape", "ctrl+s", "enter")
        await app.until(lambda: len(list(app.exports.glob("*.md"))) == 2)
        held = {"Let me see." in file.read_text(encoding="utf-8") for file in app.exports.glob("*.md")}
        assert held == {False, True}


async def test_the_language_changes_at_once(start: Start) -> None:
    try:
        async with start(size=(100, 40)) as app:
            await app.turn("Hello")
            await highlight(app, "language")
            await app.sees("– (en)")
            await app.pilot.press("right", "right")
            await app.sees("设置")
            await app.sees("主题")
            await app.pilot.press("escape")
            await app.sees("◆ 思考：开")
            assert app.shows("复制")
            assert "Ctrl+J" in str(app.screen.input.placeholder)
            assert "Ask anything" not in str(app.screen.input.placeholder)
    finally:
        set_language(Language.EN)


async def test_a_setting_without_a_value_shows_what_holds(start: Start) -> None:
    async with start(size=(100, 40)) as app:
        await app.pilot.press("f12")
        await app.sees("– (Fake Q8_0)")
        await app.sees(f"– ({app.exports}"[:20])
        await app.sees("– (no limit)")


async def test_a_setting_that_is_a_table_offers_no_enter(start: Start) -> None:
    async with start(size=(100, 40)) as app:
        screen = await highlight(app, "keys")
        await app.until(lambda: not app.shows("Enter Change"))
        screen.options.highlighted = list(known_settings()).index("model")
        await app.sees("Enter Change")


async def test_the_theme_key_says_which_theme_it_is(start: Start) -> None:
    async with start(size=(100, 40)) as app:
        await app.pilot.press("f9")
        await app.sees("Theme: ")
        assert app.shows(f"Theme: {app.app.theme}")


def theme_after(app: Harness, name: str, steps: int) -> str:
    """Return the theme so many steps after another in the list."""
    names = list(app.app._themes)
    return names[(names.index(name) + steps) % len(names)]


def value_row(app: Harness, label: str) -> str:
    """Return the value that the settings show beside a label."""
    (row,) = (row for row in app.rows() if re.search(rf"│ *•? *{label}  ", row))
    return row.partition(label)[2].strip(" │▁▂▃▄▅▆▇█")


async def test_a_theme_is_seen_as_soon_as_it_is_chosen_in_the_settings(start: Start, tmp_path: Path) -> None:
    async with start(size=(100, 40)) as app:
        screen = await highlight(app, "theme")
        first = chosen = app.app.theme
        colours = set[str]()
        for step, key in ((1, "right"), (2, "right"), (1, "left"), (2, "enter")):
            await app.pilot.press(key)
            chosen = theme_after(app, first, step)
            assert app.app.theme == value_row(app, "Theme") == chosen
            await app.until(
                lambda: (
                    screen.query_one("#settings-box").styles.background.hex
                    == app.app.theme_variables["surface"]
                )
            )
            colours.add(app.app.theme_variables["surface"])
        assert len(colours) > 1
        await app.pilot.press("escape")
        assert f'theme = "{chosen}"' in (tmp_path / "config.toml").read_text(encoding="utf-8")


async def test_the_theme_key_is_followed_by_the_row_of_the_settings(start: Start) -> None:
    async with start(size=(100, 40)) as app:
        await highlight(app, "theme")
        first = app.app.theme
        await app.pilot.press("f9")
        assert app.app.theme == theme_after(app, first, 1)
        await app.until(lambda: value_row(app, "Theme") == app.app.theme)
        await app.pilot.press("right")
        await app.until(lambda: value_row(app, "Theme") == theme_after(app, first, 2) == app.app.theme)
