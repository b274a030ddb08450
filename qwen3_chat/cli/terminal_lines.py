"""Sentences printed into the columns of a terminal, and as they are where the output goes elsewhere."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from typing import Final

_MIN_TEXT_CELLS: Final = 20
_WORD: Final = re.compile("[!-~]+")
"""The pattern of what has no place to break: a word, a path or an address, also among Chinese characters."""


def terminal_columns() -> int | None:
    """Return the width of the terminal that shows the output; None where a file or a program takes it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_sentence(text: str, column: int = 0) -> None:
    """Print a line; the terminal's lines after the first begin at `column`, where the first one's text does.

    What is copied, such as a command or a path, is printed as it is: a broken one is another one.
    """
    for line in fit_lines(text, terminal_columns(), column):
        print(line)


def fit_lines(text: str, columns: int | None, column: int) -> Iterator[str]:
    """Yield the lines of a text in so many columns; a text with a word that is too long for them stays whole.

    What stands before `column`, such as a label or an indent, is in the first line only.
    """
    from qwen3_chat.transcript.cells import wrap  # here: lists in JSON do without

    room = 0 if columns is None else columns - column
    begin = _index_at(text, column)
    label, sentence = text[:begin], text[begin:]
    if room < _MIN_TEXT_CELLS or any(len(word) > room for word in _WORD.findall(sentence)):
        yield text
        return
    for start, end in wrap(sentence, room):
        yield (label + sentence[start:end]).rstrip()
        label = " " * column


def _index_at(text: str, column: int) -> int:
    """Return the index of the character at a column."""
    from rich.cells import cell_len

    cells = index = 0
    while cells < column and index < len(text):
        cells += cell_len(text[index])
        index += 1
    return index
