"""Results of tools as text that is easy to read: JSON indented, tables with their columns aligned; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from qwen3_chat.transcript.cells import cell_width

MAX_INLINE_JSON_CHARS: Final = 60
"""The longest JSON that stays on its line."""
MAX_TABLE_CELLS: Final = 100
"""The widest table whose columns are aligned, in cells: a wider one would only wrap more often."""
MAX_TABLE_ROWS: Final = 1_000

_DIVIDER: Final = re.compile(r":?-+:?")
_BAR: Final = " │ "
_ESCAPE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")


def make_readable(text: str) -> str:
    """Return a result with its JSON indented and its tables aligned; any other text stays as it is.

    Tables are those of Markdown, and lines with the same number of tabs. Numbers of JSON stay as they were
    written, and so do keys that come twice.
    """
    if (indented := _indented(text)) is not None:
        return indented
    parts = list[str]()
    for kind, group in groupby(text.split("\n"), _kind):
        lines = list(group)
        rows = _rows(lines, kind)
        parts += _aligned(rows) if rows else map(_json_line, lines)
    return "\n".join(parts)


def _kind(line: str) -> tuple[str, int]:
    """Return what a line is part of: a table of Markdown or of tabs with so many columns, or plain text."""
    stripped = line.strip()
    if len(stripped) > 2 and stripped.startswith("|") and stripped.endswith("|"):
        return "|", len(_cells(stripped))
    return ("\t", line.count("\t") + 1) if "\t" in line.strip("\t") else ("", 0)


def _rows(lines: Sequence[str], kind: tuple[str, int]) -> list[list[str]]:
    """Return the cells of a table; nothing where the lines are none, or one that is too large."""
    separator = kind[0]
    if not separator or len(lines) < 2 or len(lines) > MAX_TABLE_ROWS:
        return []
    rows = [
        _cells(line) if separator == "|" else [cell.strip() for cell in line.split("\t")] for line in lines
    ]
    return rows if sum(_widths(rows)) + len(_BAR) * (kind[1] - 1) <= MAX_TABLE_CELLS else []


def _cells(line: str) -> list[str]:
    """Return the cells of a row of Markdown, in which `\\|` is no border."""
    inner = line.strip()[1:-1]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", inner)]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    shown = [row for row in rows if not _is_divider(row)]
    return [max(map(cell_width, column)) for column in zip(*shown, strict=True)]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = _widths(rows)
    for row in rows:
        if _is_divider(row):
            yield "─┼─".join("─" * width for width in widths)
        else:
            padded = (
                f"{cell}{' ' * (width - cell_width(cell))}" for cell, width in zip(row, widths, strict=True)
            )
            yield _BAR.join(padded).rstrip()


def _is_divider(row: Sequence[str]) -> bool:
    return all(_DIVIDER.fullmatch(cell) for cell in row)


def _json_line(line: str) -> str:
    return line if len(line) <= MAX_INLINE_JSON_CHARS else _indented(line) or line


def _indented(text: str) -> str | None:
    """Return an object or a list of JSON with indents; None for anything else."""
    stripped = text.strip()
    if not stripped or stripped[0] + stripped[-1] not in ("{}", "[]"):
        return None
    if len(stripped) <= MAX_INLINE_JSON_CHARS and "\n" not in stripped:
        return None
    try:
        indented = msgspec.json.format(stripped, indent=2)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    return _ESCAPE.sub(_unescaped, indented)


def _unescaped(match: re.Match[str]) -> str:
    """Return an escaped letter as it is, unless it can't be seen."""
    character = chr(int(match[2], 16))
    return match[1] + character if character.isprintable() and not character.isascii() else match[0]
