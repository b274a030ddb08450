"""The sections of a message view: their rows, with the unwrapped text that the rows show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, wrap
from qwen3_chat.transcript.styled_rows import (
    PositionedRun,
    Row,
    Run,
    runs_text,
    skip_characters,
    slice_rows,
)

if TYPE_CHECKING:
    from qwen3_chat.highlighting.highlighted_code import HighlightedCode

_MIN_CELLS = 8
Prefix = tuple[PositionedRun, ...]


class OpenLine(Struct, frozen=True):
    """The last row of a logical row that may go on: its text not wrapped, and the text in the rows before."""

    runs: list[Run]
    text_before: str


class Section:
    """A part of a message view, such as its answer.

    A logical row is a line before it is wrapped; each row shows a part of one, whose text is
    `logical_texts[row.logical_row - first_logical_row]`.
    """

    def __init__(self, width: int, first_logical_row: int, prefix: Prefix = (), style: str = "") -> None:
        self.width, self.first_logical_row, self.style = width, first_logical_row, style
        self.rows: list[Row] = []
        self.logical_texts: list[str] = []
        self.code_blocks: list[HighlightedCode] = []
        self.last_line: OpenLine | None = None
        """The end of the text wrapped last, to which more can be added."""
        self.reading_width = 0
        """The most cells of a row of prose; 0 sets no limit. Code and tables may be wider."""
        self.first_changed_row = 0
        """The first row that the latest `feed` may have changed."""
        self._prefix = prefix
        self._container_prefixes: list[tuple[Prefix, Prefix]] = []
        """The prefixes of each open container: on its first row, on the others."""

    def feed(self, text: str) -> None:
        """Append text in the section's format."""
        raise NotImplementedError

    def end(self) -> None:
        """Note that no text follows."""

    def available_cells(self) -> int:
        """Return the number of cells that the prefixes leave for the text."""
        prefix_cells = sum(cell_width(run[0]) for run in self._prefix)
        prefix_cells += sum(cell_width(run[0]) for first, _ in self._container_prefixes for run in first)
        return max(_MIN_CELLS, self.width - prefix_cells)

    def _prose_cells(self) -> int:
        available = self.available_cells()
        return max(_MIN_CELLS, min(available, self.reading_width)) if self.reading_width else available

    def add_row(
        self,
        runs: list[PositionedRun],
        text: str | None = None,
        code: HighlightedCode | None = None,
        code_row: int = 0,
    ) -> None:
        """Append a row; with `text` it begins a new logical row."""
        prefix = list(self._prefix)
        for i, (first, others) in enumerate(self._container_prefixes):
            prefix += first
            self._container_prefixes[i] = (others, others)
        if text is not None:
            self.logical_texts.append(text)
        self.rows.append(
            Row((*prefix, *runs), self.first_logical_row + len(self.logical_texts) - 1, code, code_row)
        )

    def add_blank_row(self) -> None:
        """Append an empty row; bars continue through it where they are, bullets wait for the text."""
        bars = [run for _, others in self._container_prefixes for run in others]
        while bars and bars[-1][1] != "bar":
            bars.pop()
        self.logical_texts.append("")
        self.rows.append(Row((*self._prefix, *bars), self.first_logical_row + len(self.logical_texts) - 1))

    def add_wrapped(self, runs: list[Run], open_line: OpenLine | None = None) -> None:
        """Append runs as wrapped text; a newline begins a new logical row.

        With `open_line` the first of them goes on with the last logical row, whose last row is not there.
        """
        lines: list[list[Run]] = [[]]
        for text, style, action in runs:
            first, *others = text.split("\n")
            lines[-1].append((first, style, action))
            lines += [[(part, style, action)] for part in others]
        for line in lines:
            before, base = "", 0
            if open_line is not None:
                line[:0], before, base = open_line.runs, open_line.text_before, len(open_line.text_before)
            text = runs_text(line)
            if open_line is not None:
                self.logical_texts[-1] = before + text
            spans = wrap(text, self._prose_cells())
            for number, row in enumerate(slice_rows(line, spans, base)):
                self.add_row(row, text if not number and open_line is None else None)
            last = spans[-1][0]
            self.last_line = OpenLine(skip_characters(line, last), before + text[:last])
            open_line = None


class PlainTextSection(Section):
    """A section of plain text that grows: only its last row is wrapped again."""

    def __init__(self, width: int, first_logical_row: int, prefix: Prefix = (), style: str = "") -> None:
        super().__init__(width, first_logical_row, prefix, style)

    def feed(self, text: str) -> None:
        """Append plain text."""
        if self.last_line is not None:
            self.rows.pop()
        self.first_changed_row = len(self.rows)
        self.add_wrapped([(terminal_safe(text), self.style, None)], self.last_line)
