"""Text measured in terminal cells and broken into rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, split_graphemes

TAB_CELLS = 4
CJK = (
    "\u1100-\u11ff\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff01-\uffe6"
    "\U00020000-\U0003fffd"
)
is_cjk = re.compile(f"[{CJK}]").match

_OPENING, _CLOSING = "（「『【《〈〔［｛“‘", "、。，．：；？！）」』】》〉〕］｝”’…％"
_JOINED = "\u0300-\u036f\u1160-\u11ff\u200d\u3099\u309a\ufe00-\ufe0f"  # stays with the character before
_WORD = re.compile(rf"[{_OPENING}]*(?:[{CJK}][{_JOINED}]*|[^\s{CJK}]+)[{_CLOSING}]*\s*|\s+")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")

Span = tuple[int, int]


def cell_width(text: str) -> int:
    """Width of a text without tabs."""
    return len(text) if text.isascii() else cell_len(text)


def end_column(text: str, column: int = 0) -> int:
    """Column after a text that starts at `column`; tabs reach to the next stop."""
    first, *others = text.split("\t")
    column += cell_width(first)
    for part in others:
        column += TAB_CELLS - column % TAB_CELLS + cell_width(part)
    return column


def grapheme_clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Find (start, end, cells) of what a reader sees as one character: joined emoji, flags, accents."""
    part = text[start:end]
    if part.isascii():
        yield from ((i, i + 1, 1) for i in range(start, end))
        return
    if (tab := part.find("\t")) >= 0:  # of no width for rich, which would join it to its neighbours
        yield from grapheme_clusters(text, start, start + tab)
        yield start + tab, start + tab + 1, 1
        yield from grapheme_clusters(text, start + tab + 1, end)
        return
    spans, _ = split_graphemes(part)
    flags = {found.start() for found in _FLAG.finditer(part)}
    pieces = iter(spans)
    for begin, stop, size in pieces:
        if begin in flags:
            _, stop, more = next(pieces)
            size += more
        yield start + begin, start + stop, size


def hard_wrap(text: str, start: int, end: int, width: int) -> list[Span]:
    """Break a range into rows that fill the width: code, long words."""
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
    fits = len(text) if text.isascii() else 2 * len(text)
    if fits <= width and "\t" not in text:
        return [(0, len(text))]
    rows: list[Span] = []
    start = column = 0
    for found in _WORD.finditer(text):
        word = found[0]
        inked = end_column(word.rstrip(), column) - column
        if column and column + inked > width:
            rows.append((start, found.start()))
            start, column = found.start(), 0
        if inked > width:
            # From `start`: what stands before may have no width, such as a stray accent.
            *full, (start, _) = hard_wrap(text, start, found.end(), width)
            rows += full
            word = text[start : found.end()]
        column = end_column(word, column)
    return [*rows, (start, len(text))]
