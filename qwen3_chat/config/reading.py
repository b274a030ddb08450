"""Reads the settings; what is unknown or wrong is told with its line and never stops the start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

from qwen3_chat.config.key_lines import KeyPath, key_lines, line_of_error
from qwen3_chat.config.settings import Settings
from qwen3_chat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, with a sentence for each entry that could not be used."""

    settings: Settings
    problems: tuple[ConfigError, ...] = ()
    file: Path = Path()
    text: str = field(default="", repr=False)

    def problem(self, key: str, path: KeyPath, **values: object) -> ConfigError:
        """Make the sentence on an entry that can't be used, with the line where it stands."""
        line = _line(self.text, path)
        return ConfigError(key, file=self.file, line=line, entry=".".join(path), **values)


def load_settings(file: Path) -> LoadedSettings:
    """Read the settings; what can't be used is told and left at its default."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return LoadedSettings(Settings(), file=file)
    except (OSError, UnicodeDecodeError) as error:
        return LoadedSettings(Settings(), (ConfigError("config.unreadable", file=file, reason=error),), file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = ConfigError("config.no_toml", file=file, line=line_of_error(error, text))
        return LoadedSettings(Settings(), (problem,), file, text)
    known = {field.name for field in fields(Settings)}
    reading = _Reading(LoadedSettings(Settings(), file=file, text=text))
    accepted = {key: reading.value(key, value) for key, value in table.items() if reading.knows(key, known)}
    usable = {key: value for key, value in accepted.items() if value is not msgspec.UNSET}
    return LoadedSettings(msgspec.convert(usable, Settings), tuple(reading.problems), file, text)


class _Reading:
    """Takes what fits and collects a sentence on each entry that does not."""

    def __init__(self, loaded: LoadedSettings) -> None:
        self._loaded = loaded
        self.problems: list[ConfigError] = []

    def knows(self, key: str, known: set[str]) -> bool:
        """Whether there is such a setting; where not, the nearest is named."""
        if key in known:
            return True
        from difflib import get_close_matches  # here: only needed for mistakes

        near = get_close_matches(key, known, n=1)
        text_key = "config.unknown_key_near" if near else "config.unknown_key"
        self.problems.append(self._loaded.problem(text_key, (key,), near=near[0] if near else ""))
        return False

    def value(self, key: str, value: object) -> object:
        """Return the value, of a table the entries that fit; UNSET where nothing does."""
        if not (reason := _misfit({key: value})):
            return value
        if isinstance(value, Mapping):
            usable = {name: inner for name, inner in value.items() if self._entry_fits(key, name, inner)}
            if not _misfit({key: usable}):
                return usable
        from qwen3_chat.config.kinds import known_settings  # here: only needed for mistakes

        allowed = known_settings()[key].allowed
        self.problems.append(
            self._loaded.problem("config.wrong_value", (key,), allowed=allowed, reason=reason)
        )
        return msgspec.UNSET

    def _entry_fits(self, key: str, name: str, value: object) -> bool:
        if reason := _misfit({key: {name: value}}):
            self.problems.append(self._loaded.problem("config.wrong_entry", (key, name), reason=reason))
        return not reason


def _misfit(table: Mapping[str, object]) -> str:
    """Say why a table can't be settings; empty where it can."""
    try:
        msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return ""


def _line(text: str, path: KeyPath) -> int:
    lines = key_lines(text)
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)
