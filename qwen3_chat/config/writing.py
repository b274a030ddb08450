"""Changes one setting in the file and leaves the rest of it, comments included, as it is."""

from __future__ import annotations

import os
from pathlib import Path

from qwen3_chat.config.key_lines import line_for_new_key
from qwen3_chat.errors import ConfigError


def save_setting(file: Path, key: str, value: object) -> None:
    """Set one setting; None takes it out of the file, so that the default counts again.

    Raises:
        ConfigError: the file can't be read or written.
    """
    try:
        file = file.resolve()  # a link to somewhere else stays a link
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
        draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        draft.write_text(with_setting(text, key, value), encoding="utf-8")
        draft.replace(file)
    except (OSError, ValueError) as error:
        raise ConfigError("config.unwritable", file=file, reason=error) from error


def with_setting(text: str, key: str, value: object) -> str:
    """Set one setting in a TOML text.

    Raises:
        ValueError: the text is no TOML.
    """
    import tomlkit  # here: only needed when something is changed

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
    place = line_for_new_key(text) - 1
    entry = tomlkit.dumps({key: value})
    if place < len(lines):
        entry += "\n"
    elif lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines[:place], entry, *lines[place:]])
