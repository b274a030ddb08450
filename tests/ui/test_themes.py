from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

from qwen3_chat.errors import ConfigError
from qwen3_chat.ui.themes import SHIPPED_THEME_FOLDERS, load_themes, read_theme

THEMES = load_themes(Path("/nowhere")).themes
FAINTEST = 0.68
"""The part of the foreground that text of less weight is drawn with."""


def luminance(color: Color) -> float:
    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.03928 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(part) for part in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    # WCAG 2.2, contrast ratio
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_eight_themes_and_more_are_shipped_for_dark_light_and_sixteen_colours() -> None:
    assert len(THEMES) >= 8
    assert {theme.dark for theme in THEMES} == {True, False}
    assert [theme.name for theme in THEMES if theme.ansi] == ["terminal-16"]


@pytest.mark.parametrize("theme", [theme for theme in THEMES if not theme.ansi], ids=lambda theme: theme.name)
def test_every_colour_of_text_can_be_read_on_the_background(theme: Theme) -> None:
    needed = 7 if "contrast" in theme.name else 4.5
    background, foreground = Color.parse(theme.background or ""), Color.parse(theme.foreground or "")
    names = ("primary", "secondary", "accent", "success", "warning", "error")
    colors = {name: Color.parse(getattr(theme, name)) for name in names}
    colors["faint"] = background.blend(foreground, FAINTEST)
    assert {name: color.hex for name, color in colors.items() if contrast(color, background) < needed} == {}
    assert contrast(foreground, background) >= 7


def test_no_text_is_fainter_than_what_was_checked_unless_it_says_nothing() -> None:
    # Lines, rails, buttons and what is not sent may be; each of them is told in another way, too.
    sources = (Path(__file__).parents[2] / "qwen3_chat" / "ui").rglob("*.py")
    levels = {
        int(level) for file in sources for level in re.findall(r"\$foreground (\d+)%", file.read_text())
    }
    assert {level for level in levels if level < FAINTEST * 100} <= {15, 20, 30, 35, 40, 52, 65}


def test_the_file_name_is_the_name() -> None:
    folder = next(path for path in SHIPPED_THEME_FOLDERS if path.is_dir())
    assert {file.stem for file in folder.glob("*.toml")} == {
        read_theme(file).name for file in folder.glob("*.toml")
    }


GARBAGE = {
    "braces": 'foo = "}{ * { color"',
    "a border of numbers": 'border-blurred = "7 7 7"',
    "a colour that refers to itself": 'primary = "$primary"',
    "a brace for a style": 'button-focus-text-style = "}"',
    "words for a colour": 'text-muted = "x y z"',
    "a word for a style": 'block-cursor-text-style = "nonsense"',
    "a name with a brace": '"a}b" = "red"',
    "numbers without an end": f'border = "rgb({"9" * 5000},1,1)"',
}


@pytest.mark.parametrize("name", ["primary", "accent"])
def test_an_empty_colour_is_told(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'name = "mine"\ndark = true\n[colors]\nprimary = "red"\n{name} = ""\n'.replace(
            'primary = "red"\nprimary', "primary"
        )
    )
    with pytest.raises(ConfigError):
        read_theme(file)


@pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE)
def test_a_variable_that_would_end_the_app_is_told(tmp_path: Path, line: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\ndark = true\n[colors]\nprimary = "red"\n[variables]\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        read_theme(file)
    assert len(str(caught.value)) < len(str(file)) + 300


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "1" * 5000, "# \n" * 500_000, ""])
def test_a_hostile_theme_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_theme(file)
