"""The sections of a message view: rows over the unwrapped text that they show; plain text that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, wrap
from qwen3_chat.transcript.styled_rows import PositionedRun, Row, Run, runs_text, slice_runs

if TYPE_CHECKING:
    from qwen3_chat.transcript.code_highlighting import HighlightedCode

_MIN_CELLS = 8
Prefix = tuple[PositionedRun, ...]


class Section:
    """Rows to draw; a row with `logical` shows part of `logical_texts[logical - first_logical]`."""

    def __init__(self, width: int, first_logical: int, prefix: Prefix = (), style: str = "") -> None:
        self.width, self.first_logical, self.style = width, first_logical, style
        self.rows: list[Row] = []
        self.logical_texts: list[str] = []
        self.code_blocks: list[HighlightedCode] = []
        self.first_changed_row = 0
        """Rows before this one look the same after the latest `feed`."""
        self._prefix = prefix
        self._container_prefixes: list[
            tuple[Prefix, Prefix]
        ] = []  # of each open container: on its first row, on the others

    def feed(self, text: str) -> None:
        """Append text as the section understands it."""
        raise NotImplementedError

    def available_cells(self) -> int:
        """Cells that are left beside the prefixes."""
        taken = sum(cell_width(run[0]) for run in self._prefix)
        taken += sum(cell_width(run[0]) for first, _ in self._container_prefixes for run in first)
        return max(_MIN_CELLS, self.width - taken)

    def add_row(
        self,
        runs: list[PositionedRun],
        text: str | None = None,
        code: HighlightedCode | None = None,
        code_row: int = 0,
    ) -> None:
        """Append a row; with `text` it begins a new logical row."""
        lead = list(self._prefix)
        for i, (first, others) in enumerate(self._container_prefixes):
            lead += first
            self._container_prefixes[i] = (others, others)
        if text is not None:
            self.logical_texts.append(text)
        self.rows.append(
            Row((*lead, *runs), self.first_logical + len(self.logical_texts) - 1, code, code_row)
        )

    def add_blank_row(self) -> None:
        """Append an empty row; bars go on, bullets wait for the text."""
        bars = [run for _, others in self._container_prefixes for run in others if run[1] == "bar"]
        self.logical_texts.append("")
        self.rows.append(Row((*self._prefix, *bars), self.first_logical + len(self.logical_texts) - 1))

    def add_wrapped(self, runs: list[Run]) -> None:
        """Append runs as wrapped text; a newline begins a new logical row."""
        lines: list[list[Run]] = [[]]
        for text, names, action in runs:
            head, *others = text.split("\n")
            lines[-1].append((head, names, action))
            lines += [[(part, names, action)] for part in others]
        for line in lines:
            text = runs_text(line)
            for number, (start, end) in enumerate(wrap(text, self.available_cells())):
                self.add_row(slice_runs(line, start, end), None if number else text)


class PlainTextSection(Section):
    """Plain text that grows: only its last line is wrapped again."""

    def __init__(self, width: int, first_logical: int, prefix: Prefix = (), style: str = "") -> None:
        super().__init__(width, first_logical, prefix, style)
        self._last: str | None = None

    def feed(self, text: str) -> None:
        """Append plain text."""
        if self._last is not None:
            last = self.first_logical + len(self.logical_texts) - 1
            while self.rows and self.rows[-1].logical == last:
                self.rows.pop()
            self.logical_texts.pop()
        self.first_changed_row = len(self.rows)
        text = (self._last or "") + terminal_safe(text)
        self.add_wrapped([(text, self.style, None)])
        self._last = text[text.rfind("\n") + 1 :]
