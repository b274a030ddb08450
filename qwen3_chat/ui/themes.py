"""Themes read from TOML files; a file that can't be used is reported and does not stop the start."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from qwen3_chat.config.toml_text import parse_toml, read_toml_text
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError

PACKAGE_FOLDER = Path(__file__).parent.parent
SHIPPED_THEME_FOLDERS = (PACKAGE_FOLDER / "themes", PACKAGE_FOLDER.parent / "themes")
"""The folder in an installed wheel, and the one beside the package in a checkout."""

MAX_THEME_REASON_CHARACTERS = 200
"""The limit for what a sentence quotes of a theme."""

_VARIABLE_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_STYLES = frozenset({"none", "not", "bold", "b", "italic", "i", "underline", "u", "reverse", "strike", "dim"})
_OPACITY = re.compile(r"\d{1,3}%")

DIM = "$foreground 68%"
"""The style of text of less weight inside rendered content, in the colours of any theme."""


class ThemeColors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The colours of a theme; those left out follow from `primary`."""

    primary: str
    secondary: str | None = None
    accent: str | None = None
    foreground: str | None = None
    background: str | None = None
    surface: str | None = None
    panel: str | None = None
    boost: str | None = None
    success: str | None = None
    warning: str | None = None
    error: str | None = None


class ThemeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of a theme's TOML file."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    dark: bool
    colors: ThemeColors
    ansi: bool = False
    """True if the colours are the terminal's own sixteen."""
    variables: dict[str, str] = {}


class LoadedThemes(Struct, frozen=True):
    """The themes of all files, with an error for each file that could not be used."""

    themes: tuple[Theme, ...]
    problems: tuple[ConfigError, ...]


def read_theme(file: Path) -> Theme:
    """Read a theme from a file.

    Raises:
        ConfigError: the file is no theme.
    """
    try:
        theme = msgspec.convert(parse_toml(read_toml_text(file)), ThemeFile)
        colors = {
            name: color for name, color in msgspec.structs.asdict(theme.colors).items() if color is not None
        }
        for color in colors.values():
            Color.parse(color)
        for name, value in theme.variables.items():
            _check_variable(name, value)
    # TomlError and UnicodeDecodeError are ValueErrors; a colour of absurd numbers is an OverflowError
    except (OSError, ValueError, OverflowError, msgspec.ValidationError, ColorParseError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            ErrorCode.THEME_INVALID, file=file, reason=reason[:MAX_THEME_REASON_CHARACTERS]
        ) from error
    variables = {**(BUILTIN_THEMES["ansi-dark"].variables if theme.ansi else {}), **theme.variables}
    return Theme(name=theme.name, dark=theme.dark, ansi=theme.ansi, variables=variables, **colors)


def _check_variable(name: str, value: str) -> None:
    """Check that a variable is a style or a colour, perhaps with an opacity: anything else ends the app.

    Raises:
        ValueError: it is neither, or can't be a name.
        ColorParseError: the colour does not exist.
    """
    if not _VARIABLE_NAME.fullmatch(name):
        raise ValueError(f"[variables] {name}")
    if name.endswith("style"):
        if not set(value.split()) <= _STYLES:
            raise ValueError(f"{name} = {value}")
        return
    color, _, opacity = value.partition(" ")
    if opacity and not _OPACITY.fullmatch(opacity):
        raise ValueError(f"{name} = {value}")
    is_text = name.startswith("text") or name.endswith(("foreground", "color"))
    if not (is_text and color == "auto"):
        Color.parse(color)


def default_variables(theme: Theme) -> dict[str, str]:
    """Return the variables of the app's own that a theme may leave out: the colour of the thinking."""
    return {"thinking-color": f"{theme.to_color_system().generate()['foreground']} 68%"}


def load_themes(user_folder: Path, shipped_folders: Iterable[Path] = SHIPPED_THEME_FOLDERS) -> LoadedThemes:
    """Read the shipped themes, then the user's, which replace those of the same name."""
    folder = next((path for path in shipped_folders if path.is_dir()), None)
    themes: dict[str, Theme] = {}
    problems: list[ConfigError] = []
    for path in (folder, user_folder):
        for file in sorted(path.glob("*.toml")) if path is not None else ():
            try:
                theme = read_theme(file)
            except ConfigError as error:
                problems.append(error)
            else:
                themes[theme.name] = theme
    return LoadedThemes(tuple(themes.values()), tuple(problems))
