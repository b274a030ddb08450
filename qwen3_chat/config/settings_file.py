"""The settings file: read leniently, a line number for each mistake, and changed in place.

A change leaves the comments and everything else in the file as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from qwen3_chat.config.settings import Settings
from qwen3_chat.config.toml_text import TomlError, parse_toml, read_toml_text, split_statements
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError
from qwen3_chat.record_copies import field_names

KeyPath = tuple[str, ...]

MAX_PROBLEMS = 20
"""The number of mistakes that are told one by one."""
MAX_SHOWN_CHARACTERS = 100
"""The limit for the names and reasons in a sentence."""


def find_key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line of each key and table of a valid text, the first where there are several, from 1."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for statement in split_statements(text):
        paths = list(_paths(statement.values))
        if statement.is_header:
            table = paths[-1]
        for path in paths if statement.is_header else [table + path for path in paths]:
            lines.setdefault(path, statement.line)
    return lines


def find_line_for_new_key(text: str) -> int:
    """Return the line for a new key outside all tables, which is above the comment of the first table."""
    header = next((statement.line for statement in split_statements(text) if statement.is_header), None)
    lines = text.split("\n")
    if header is None:
        return len(lines) if text.endswith("\n") or not text else len(lines) + 1
    while header > 1 and lines[header - 2].lstrip().startswith("#"):
        header -= 1
    return header


def _paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, list) and len(value) == 1:  # `[[table]]`
        yield from _paths(value[0], path)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))


class LoadedSettings(Struct, frozen=True):
    """Settings, with an error for each entry that could not be used."""

    settings: Settings
    problems: tuple[ConfigError, ...] = ()
    file: Path = Path()
    text: str = ""

    def __repr__(self) -> str:
        return f"LoadedSettings({self.settings!r}, {self.problems!r}, {self.file!r})"  # not the text

    def make_error(self, code: ErrorCode, path: KeyPath, **values: object) -> ConfigError:
        """Make the error for an entry that can't be used, with its line."""
        line = next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 1)
        shown = {key: _shorten(value) if isinstance(value, str) else value for key, value in values.items()}
        return ConfigError(code, file=self.file, line=line, entry=_shorten(".".join(path)), **shown)

    @property
    def _lines(self) -> Mapping[KeyPath, int]:
        return _cached_key_lines(self.text)


def read_settings(file: Path) -> LoadedSettings:
    """Read the settings; an entry that can't be used is a problem and leaves its default."""
    try:
        text = read_toml_text(file)
    except FileNotFoundError:
        return LoadedSettings(Settings(), file=file)
    except ConfigError as error:
        return LoadedSettings(Settings(), (error,), file)
    except (OSError, UnicodeDecodeError) as error:
        return LoadedSettings(
            Settings(), (ConfigError(ErrorCode.SETTINGS_UNREADABLE, file=file, reason=error),), file
        )
    try:
        table = parse_toml(text)
    except TomlError as error:
        problem = ConfigError(ErrorCode.SETTINGS_NOT_TOML, file=file, line=error.line)
        return LoadedSettings(Settings(), (problem,), file, text)
    known = set(field_names(Settings))
    reading = _SettingsReader(LoadedSettings(Settings(), file=file, text=text))
    accepted = {
        key: reading.accept(key, value) for key, value in table.items() if reading.is_known(key, known)
    }
    usable = {key: value for key, value in accepted.items() if value is not msgspec.UNSET}
    return LoadedSettings(msgspec.convert(usable, Settings), reading.problems, file, text)


class _SettingsReader:
    """The check of each entry, with an error for each that does not fit."""

    def __init__(self, loaded: LoadedSettings) -> None:
        self._loaded = loaded
        self._first_problems: list[ConfigError] = []
        self._n_problems = 0

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """The first mistakes, and how many more there are."""
        if not (n_more := self._n_problems - len(self._first_problems)):
            return tuple(self._first_problems)
        more = ConfigError(ErrorCode.SETTINGS_MORE_PROBLEMS, file=self._loaded.file, count=n_more)
        return (*self._first_problems, more)

    def is_known(self, key: str, known: set[str]) -> bool:
        """Return True if there is such a setting; an error names the nearest where there is none."""
        if key in known:
            return True
        from difflib import get_close_matches  # here: only needed for mistakes

        is_shown = len(key) <= MAX_SHOWN_CHARACTERS and len(self._first_problems) < MAX_PROBLEMS
        near = get_close_matches(key, known, n=1) if is_shown else []
        code = ErrorCode.SETTING_MISSPELT if near else ErrorCode.SETTING_UNKNOWN
        self._report(code, (key,), near=near[0] if near else "")
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
        self._report(ErrorCode.SETTING_INVALID, (key,), allowed=allowed, reason=reason)
        return msgspec.UNSET

    def _is_entry_valid(self, key: str, name: str, value: object) -> bool:
        if reason := _validation_error({key: {name: value}}):
            self._report(ErrorCode.SETTING_ENTRY_INVALID, (key, name), reason=reason)
        return not reason

    def _report(self, code: ErrorCode, path: KeyPath, **values: object) -> None:
        self._n_problems += 1
        if len(self._first_problems) < MAX_PROBLEMS:
            self._first_problems.append(self._loaded.make_error(code, path, **values))


def _validation_error(table: Mapping[str, object]) -> str:
    """Return the reason why a table can't be settings; empty where it can."""
    try:
        msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return ""


@lru_cache(maxsize=1)
def _cached_key_lines(text: str) -> Mapping[KeyPath, int]:
    return find_key_lines(text)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"


def save_setting(file: Path, key: str, value: object) -> None:
    """Save one setting; None removes it from the file, so that the default counts again.

    Raises:
        ConfigError: the file can't be read or written.
    """
    try:
        file = file.resolve()  # a link to somewhere else stays a link
        file.parent.mkdir(parents=True, exist_ok=True)
        text = read_toml_text(file) if file.exists() else ""
        draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        draft.write_text(set_in_toml(text, key, value), encoding="utf-8")
        draft.replace(file)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(ErrorCode.SETTINGS_NOT_WRITABLE, file=file, reason=error) from error


def set_in_toml(text: str, key: str, value: object) -> str:
    """Set one setting in a TOML text.

    Raises:
        ValueError: the text is no TOML.
    """
    import tomlkit  # here: only needed for a change

    before, own, after = _cut_out(text, key) if key in parse_toml(text) else (text, "", "")
    if isinstance(value, tuple):
        value = list(value)
    if own:  # only this statement: tomlkit takes ten seconds for a large file
        document = tomlkit.parse(own)
        if value is None:
            document.pop(key)
        else:
            document[key] = value
        return before + tomlkit.dumps(document) + after
    if value is None:
        return text
    # tomlkit would put a new key between a table and the comment above it
    lines = text.splitlines(keepends=True)
    index = find_line_for_new_key(text) - 1
    entry = tomlkit.dumps({key: value})
    if index < len(lines):
        entry += "\n"
    elif lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines[:index], entry, *lines[index:]])


def _cut_out(text: str, key: str) -> tuple[str, str, str]:
    """Return the text before, of and after the statement that sets a key; tables need the whole text."""
    for statement in split_statements(text):
        if statement.is_header:
            break
        if statement.values.keys() == {key} and not isinstance(statement.values[key], dict):
            end = statement.begin + len(statement.text)
            return text[: statement.begin], statement.text, text[end:]
    return "", text, ""
