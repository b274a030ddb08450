"""The settings file: read leniently, a line number for each mistake, and changed in place.

A change leaves the comments and everything else in the file as they are.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

from qwen3_chat.config.settings import Settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError

KeyPath = tuple[str, ...]

_LINE_OF_ERROR = re.compile(r"\(at line (\d+)")


def find_key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line of each key and table of a valid text, the first where there are several, from 1."""
    lines: dict[KeyPath, int] = {}
    for number, _, paths in _statements(text):
        for path in paths:
            lines.setdefault(path, number)
    return lines


def find_line_for_new_key(text: str) -> int:
    """Return the line for a new key outside all tables, which is above the comment of the first table."""
    header = next((number for number, is_header, _ in _statements(text) if is_header), None)
    lines = text.split("\n")
    if header is None:
        return len(lines) if text.endswith("\n") or not text else len(lines) + 1
    while header > 1 and lines[header - 2].lstrip().startswith("#"):
        header -= 1
    return header


def find_error_line(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Return the line on which a text stops being TOML."""
    match = _LINE_OF_ERROR.search(str(error))
    return int(match[1]) if match else len(text.rstrip("\n").split("\n"))


def _statements(text: str) -> Iterator[tuple[int, bool, list[KeyPath]]]:
    """Yield for each statement its first line, True for the header of a table, and the paths that it sets."""
    table: KeyPath = ()
    statement, begins_at = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        if not statement:
            begins_at = number
        statement += line + "\n"
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue  # the value continues in the next line
        is_header = statement.lstrip().startswith("[")
        if is_header:
            table = paths[-1]
        yield begins_at, is_header, paths if is_header else [table + path for path in paths]
        statement = ""


def _paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, list) and len(value) == 1:  # `[[table]]`
        yield from _paths(value[0], path)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, with an error for each entry that could not be used."""

    settings: Settings
    problems: tuple[ConfigError, ...] = ()
    file: Path = Path()
    text: str = field(default="", repr=False)

    def make_error(self, code: ErrorCode, path: KeyPath, **values: object) -> ConfigError:
        """Make the error for an entry that can't be used, with its line."""
        line = _nearest_line(self.text, path)
        return ConfigError(code, file=self.file, line=line, entry=".".join(path), **values)


def read_settings(file: Path) -> LoadedSettings:
    """Read the settings; an entry that can't be used is a problem and leaves its default."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return LoadedSettings(Settings(), file=file)
    except (OSError, UnicodeDecodeError) as error:
        return LoadedSettings(
            Settings(), (ConfigError(ErrorCode.SETTINGS_UNREADABLE, file=file, reason=error),), file
        )
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = ConfigError(ErrorCode.SETTINGS_NOT_TOML, file=file, line=find_error_line(error, text))
        return LoadedSettings(Settings(), (problem,), file, text)
    known = {field.name for field in fields(Settings)}
    reading = _SettingsReader(LoadedSettings(Settings(), file=file, text=text))
    accepted = {
        key: reading.accept(key, value) for key, value in table.items() if reading.is_known(key, known)
    }
    usable = {key: value for key, value in accepted.items() if value is not msgspec.UNSET}
    return LoadedSettings(msgspec.convert(usable, Settings), tuple(reading.problems), file, text)


class _SettingsReader:
    """The check of each entry, with an error for each that does not fit."""

    def __init__(self, loaded: LoadedSettings) -> None:
        self._loaded = loaded
        self.problems: list[ConfigError] = []

    def is_known(self, key: str, known: set[str]) -> bool:
        """Return True if there is such a setting; an error names the nearest where there is none."""
        if key in known:
            return True
        from difflib import get_close_matches  # here: only needed for mistakes

        near = get_close_matches(key, known, n=1)
        code = ErrorCode.SETTING_MISSPELT if near else ErrorCode.SETTING_UNKNOWN
        self.problems.append(self._loaded.make_error(code, (key,), near=near[0] if near else ""))
        return False

    def accept(self, key: str, value: object) -> object:
        """Return the value, or the entries of a table that fit; UNSET where nothing fits."""
        if not (reason := _validation_error({key: value})):
            return value
        if isinstance(value, Mapping):
            usable = {name: inner for name, inner in value.items() if self._is_entry_valid(key, name, inner)}
            if not _validation_error({key: usable}):
                return usable
        from qwen3_chat.config.setting_types import known_settings  # here: only needed for mistakes

        allowed = known_settings()[key].allowed
        self.problems.append(
            self._loaded.make_error(ErrorCode.SETTING_INVALID, (key,), allowed=allowed, reason=reason)
        )
        return msgspec.UNSET

    def _is_entry_valid(self, key: str, name: str, value: object) -> bool:
        if reason := _validation_error({key: {name: value}}):
            self.problems.append(
                self._loaded.make_error(ErrorCode.SETTING_ENTRY_INVALID, (key, name), reason=reason)
            )
        return not reason


def _validation_error(table: Mapping[str, object]) -> str:
    """Return the reason why a table can't be settings; empty where it can."""
    try:
        msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return ""


def _nearest_line(text: str, path: KeyPath) -> int:
    lines = find_key_lines(text)
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)


def save_setting(file: Path, key: str, value: object) -> None:
    """Save one setting; None removes it from the file, so that the default counts again.

    Raises:
        ConfigError: the file can't be read or written.
    """
    try:
        file = file.resolve()  # a link to somewhere else stays a link
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
        draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        draft.write_text(set_in_toml(text, key, value), encoding="utf-8")
        draft.replace(file)
    except (OSError, ValueError) as error:
        raise ConfigError(ErrorCode.SETTINGS_NOT_WRITABLE, file=file, reason=error) from error


def set_in_toml(text: str, key: str, value: object) -> str:
    """Set one setting in a TOML text.

    Raises:
        ValueError: the text is no TOML.
    """
    import tomlkit  # here: only needed for a change

    document = tomlkit.parse(text)
    if value is None:
        document.pop(key, None)
        return tomlkit.dumps(document)
    if isinstance(value, tuple):
        value = list(value)
    if key in document:
        document[key] = value
        return tomlkit.dumps(document)
    # tomlkit would put a new key between a table and the comment above it
    lines = text.splitlines(keepends=True)
    index = find_line_for_new_key(text) - 1
    entry = tomlkit.dumps({key: value})
    if index < len(lines):
        entry += "\n"
    elif lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines[:index], entry, *lines[index:]])
