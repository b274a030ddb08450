"""The letters and digits of a tool call, held against the text that it was read from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[bfnrt])")
_PYTHON_WORD = re.compile(r"\b(True|False|None)\b")
_JSON_WORDS = {"True": "true", "False": "false", "None": "null"}


def letters(text: str) -> str:
    """Return the letters and digits of a text, with JSON's escapes decoded and Python's words as JSON's."""
    text = _PYTHON_WORD.sub(lambda word: _JSON_WORDS[word[1]], _ESCAPE.sub(_decode, text))
    return "".join(filter(str.isalnum, text))


def _decode(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if code[0] == "u" else " "


def leaves(value: object) -> Iterator[str]:
    """Return the keys and values of JSON as texts, in their order."""
    match value:
        case dict():
            for key, item in value.items():
                yield str(key)
                yield from leaves(item)
        case list():
            for item in value:
                yield from leaves(item)
        case str():
            yield value
        case _:
            yield json.dumps(value)


def is_written(name: str, arguments: str, source: str) -> bool:
    """Return whether the name and every key and value of a call stand in a text, letter by letter."""
    written = letters(source)
    try:
        parts = list(leaves(json.loads(arguments)))
    except (ValueError, RecursionError):
        parts = [arguments]
    return all(letters(part) in written for part in (name, *parts))
