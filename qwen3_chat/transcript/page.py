"""Rows of one section of an entry, over the unwrapped text they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3_chat.plain import plain
from qwen3_chat.transcript.cells import cells, wrap
from qwen3_chat.transcript.rows import Placed, Row, Run, cut, text_of

if TYPE_CHECKING:
    from qwen3_chat.transcript.code import Code

_LEAST_CELLS = 8
Lead = tuple[Placed, ...]


class Page:
    """Rows to draw; a row with `logical` shows part of `texts[logical - first]`."""

    def __init__(self, width: int, first: int, lead: Lead = (), names: str = "") -> None:
        self.width, self.first, self.names = width, first, names
        self.rows: list[Row] = []
        self.texts: list[str] = []
        self.codes: list[Code] = []
        self.settled = 0
        """Rows before this one look the same after the latest `feed`."""
        self._lead = lead
        self._prefixes: list[
            tuple[Lead, Lead]
        ] = []  # of each open container: on its first row, on the others

    def feed(self, text: str) -> None:
        """Append text as the section understands it."""
        raise NotImplementedError

    def room(self) -> int:
        """Cells that are left beside the prefixes."""
        taken = sum(cells(run[0]) for run in self._lead)
        taken += sum(cells(run[0]) for first, _ in self._prefixes for run in first)
        return max(_LEAST_CELLS, self.width - taken)

    def add(
        self, runs: list[Placed], text: str | None = None, code: Code | None = None, code_row: int = 0
    ) -> None:
        """Append a row; with `text` it begins a new logical row."""
        lead = list(self._lead)
        for i, (first, others) in enumerate(self._prefixes):
            lead += first
            self._prefixes[i] = (others, others)
        if text is not None:
            self.texts.append(text)
        self.rows.append(Row((*lead, *runs), self.first + len(self.texts) - 1, code, code_row))

    def blank(self) -> None:
        """Append an empty row; bars go on, bullets wait for the text."""
        bars = [run for _, others in self._prefixes for run in others if run[1] == "bar"]
        self.texts.append("")
        self.rows.append(Row((*self._lead, *bars), self.first + len(self.texts) - 1))

    def flow(self, runs: list[Run]) -> None:
        """Append runs as wrapped text; a newline begins a new logical row."""
        lines: list[list[Run]] = [[]]
        for text, names, action in runs:
            head, *others = text.split("\n")
            lines[-1].append((head, names, action))
            lines += [[(part, names, action)] for part in others]
        for line in lines:
            text = text_of(line)
            for number, (start, end) in enumerate(wrap(text, self.room())):
                self.add(cut(line, start, end), None if number else text)


class PlainPage(Page):
    """Plain text that grows: only its last line is wrapped again."""

    def __init__(self, width: int, first: int, lead: Lead = (), names: str = "") -> None:
        super().__init__(width, first, lead, names)
        self._last: str | None = None

    def feed(self, text: str) -> None:
        """Append plain text."""
        if self._last is not None:
            last = self.first + len(self.texts) - 1
            while self.rows and self.rows[-1].logical == last:
                self.rows.pop()
            self.texts.pop()
        self.settled = len(self.rows)
        text = (self._last or "") + plain(text)
        self.flow([(text, self.names, None)])
        self._last = text[text.rfind("\n") + 1 :]
