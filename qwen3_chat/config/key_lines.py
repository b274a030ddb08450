"""Finds the line of a TOML text where each key is set."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

KeyPath = tuple[str, ...]

_LINE_OF_ERROR = re.compile(r"\(at line (\d+)")


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Tell for each key and table of a valid text on which line it first stands, counted from 1."""
    lines: dict[KeyPath, int] = {}
    for number, _, paths in _statements(text):
        for path in paths:
            lines.setdefault(path, number)
    return lines


def line_for_new_key(text: str) -> int:
    """Tell before which line of a text a key outside all tables goes: above the comment of the first."""
    header = next((number for number, is_header, _ in _statements(text) if is_header), None)
    lines = text.split("\n")
    if header is None:
        return len(lines) if text.endswith("\n") or not text else len(lines) + 1
    while header > 1 and lines[header - 2].lstrip().startswith("#"):
        header -= 1
    return header


def line_of_error(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Tell on which line a text stops being TOML."""
    found = _LINE_OF_ERROR.search(str(error))
    return int(found[1]) if found else len(text.rstrip("\n").split("\n"))


def _statements(text: str) -> Iterator[tuple[int, bool, list[KeyPath]]]:
    """List each statement: its first line, whether it is a table's header, the paths that it sets."""
    table: KeyPath = ()
    statement, begins_at = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        if not statement:
            begins_at = number
        statement += line + "\n"
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue  # the value goes on in the next line
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
