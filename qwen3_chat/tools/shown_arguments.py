"""Arguments of a call as a person reads them before the call may run: whole, and with nothing hidden."""

from __future__ import annotations

import json
import re
from typing import Final

_PLAIN_NAME: Final = re.compile(r"[\w.-]{1,60}", re.ASCII)
_VISIBLE_SPACES: Final = " \u3000"
_BLANK_LETTERS: Final = "\u115f\u1160\u2800\u3164\uffa0"
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MARGIN: Final = "  │ "


def show_arguments(arguments: str) -> str:
    """Return the arguments, one after the other; a text of several lines stands line by line behind a margin.

    Nothing in a value looks like another argument: a value stays in its line, or behind its margin.
    Characters that can't be seen are written as JSON escapes.
    """
    return "\n".join(_show_argument(name, value) for name, value in json.loads(arguments).items())


def _show_argument(name: str, value: object) -> str:
    label = name if _PLAIN_NAME.fullmatch(name) else _visible(json.dumps(name, ensure_ascii=False))
    if isinstance(value, str) and "\n" in value:
        return "\n".join([f"{label}:", *(f"{_MARGIN}{_visible(line)}" for line in value.split("\n"))])
    nested = json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) else None)
    return f"{label}: " + "\n  ".join(_visible(line) for line in nested.split("\n"))


def show_limit(limit: str) -> str:
    """Return the limit of a permission in one line: its arguments, host or folder."""
    if not limit.startswith("{"):
        return limit
    try:
        return _visible(json.dumps(json.loads(limit), ensure_ascii=False))
    except ValueError:
        return limit


def format_arguments(arguments: str) -> str:
    """Return the arguments as JSON for an editor, with the characters that can't be seen as escapes."""
    formatted = json.dumps(json.loads(arguments), ensure_ascii=False, indent=2)
    return "\n".join(_visible(line) for line in formatted.split("\n"))


def _visible(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join(character if _is_visible(character) else json.dumps(character)[1:-1] for character in line)


def _is_visible(character: str) -> bool:
    if not character.isprintable():
        return character in _VISIBLE_SPACES
    return character not in _BLANK_LETTERS and not _SELECTORS.match(character)
