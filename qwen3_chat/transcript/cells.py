"""Text measured in terminal cells and broken into rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from rich.cells import cell_len, split_graphemes

TAB_CELLS = 4
CJK = (
    "\u1100-\u11ff\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff01-\uffe6"
    "\U00020000-\U0003fffd"
)

_OPENING, _CLOSING = "（「『【《〈〔［｛“‘", "、。，．：；？！）」』】》〉〕］｝”’…％"
_JOINED = "\u0300-\u036f\u1160-\u11ff\u200d\u3099\u309a\ufe00-\ufe0f"  # stays with the character before
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")

Span = tuple[int, int]


@cache
def _word_pattern() -> re.Pattern[str]:
    """Return the pattern of what is not broken; compiling it takes milliseconds."""
    return re.compile(rf"[{_OPENING}]*(?:[{CJK}][{_JOINED}]*|[^\s{CJK}]+)[{_CLOSING}]*\s*|\s+")


_SPACED_WORD = re.compile(r"\S+\s*|\s+")
"""The pattern of what is not broken, for texts without CJK."""


def _unbroken_parts(text: str) -> Iterator[re.Match[str]]:
    """Yield what is not broken, in order, by the quick pattern where the text has nothing of CJK."""
    has_cjk = any("\u1100" <= character <= "\u11ff" or character >= "\u2e80" for character in set(text))
    return (_word_pattern() if has_cjk else _SPACED_WORD).finditer(text)


@cache
def _cjk_pattern() -> re.Pattern[str]:
    return re.compile(f"[{CJK}]")


def is_cjk(character: str) -> bool:
    """Return whether a text begins with a character of a script without spaces."""
    return not character.isascii() and _cjk_pattern().match(character) is not None


def cell_width(text: str) -> int:
    """Return the width of a text without tabs, in cells."""
    return len(text) if text.isascii() else cell_len(text)


def end_column(text: str, column: int = 0) -> int:
    """Return the column after a text that starts at `column`; a tab reaches to the next tab stop."""
    first, *others = text.split("\t")
    column += cell_width(first)
    for part in others:
        column += TAB_CELLS - column % TAB_CELLS + cell_width(part)
    return column


def grapheme_clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, cells) of each grapheme cluster: joined emoji, flags, accented characters."""
    part = text[start:end]
    if part.isascii():
        yield from ((i, i + 1, 1) for i in range(start, end))
        return
    if (tab := part.find("\t")) >= 0:  # rich gives it no width and would join it to its neighbours
        yield from grapheme_clusters(text, start, start + tab)
        yield start + tab, start + tab + 1, 1
        yield from grapheme_clusters(text, start + tab + 1, end)
        return
    spans, _ = split_graphemes(part)
    flags = {match.start() for match in _FLAG.finditer(part)}
    pieces = iter(spans)
    for begin, stop, size in pieces:
        if begin in flags:
            _, stop, second_size = next(pieces)
            size += second_size
        yield start + begin, start + stop, size


def hard_wrap(text: str, start: int, end: int, width: int) -> list[Span]:
    """Break a range of a text into rows that fill the width, for code and long words."""
    part = text[start:end]
    if part.isascii() and "\t" not in part:
        cuts = list(range(start, end, width)) or [start]
    else:
        cuts, column = [start], 0
        for begin, _, size in grapheme_clusters(text, start, end):
            if text[begin] == "\t":
                size = TAB_CELLS - column % TAB_CELLS
            if column + size > width and column:
                cuts.append(begin)
                column, size = 0, TAB_CELLS if text[begin] == "\t" else size
            column += size
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def wrap(text: str, width: int) -> list[Span]:
    """Break a text into rows at spaces and between CJK characters, never before a closing mark."""
    max_cells = len(text) if text.isascii() else 2 * len(text)
    if max_cells <= width and "\t" not in text:
        return [(0, len(text))]
    if text.isascii() and text.isprintable():
        return _wrap_ascii(text, width)
    rows: list[Span] = []
    start = column = 0
    for match in _unbroken_parts(text):
        word = match[0]
        visible_cells = end_column(word.rstrip(), column) - column
        if column and column + visible_cells > width:
            rows.append((start, match.start()))
            start, column = match.start(), 0
        if visible_cells > width:
            # From `start`: the text before the word may have no width, such as a stray accent.
            *full_rows, (start, _) = hard_wrap(text, start, match.end(), width)
            rows += full_rows
            word = text[start : match.end()]
        column = end_column(word, column)
    return [*rows, (start, len(text))]


def _wrap_ascii(text: str, width: int) -> list[Span]:
    """Break a text of printable ASCII into rows as `wrap` does, without a look at each of its words."""
    rows: list[Span] = []
    start, visible_end = 0, len(text.rstrip(" "))
    while visible_end - start > width:
        space = text.rfind(" ", start, start + width + 1)
        if space >= 0:
            end = _after_spaces(text, space)
            rows.append((start, end))
            start = end
        else:
            space = text.find(" ", start + width)
            end = len(text) if space < 0 else _after_spaces(text, space)
            *full_rows, (start, _) = hard_wrap(text, start, end, width)
            rows += full_rows
    return [*rows, (start, len(text))]


def _after_spaces(text: str, start: int) -> int:
    while start < len(text) and text[start] == " ":
        start += 1
    return start
