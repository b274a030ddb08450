"""A Markdown table as rows of aligned cells that fit the width."""

from __future__ import annotations

from dataclasses import dataclass, field

from qwen3_chat.transcript.cells import Span, cell_width, wrap
from qwen3_chat.transcript.styled_rows import PositionedRun, Run, runs_text, slice_runs

_MIN_COLUMN_CELLS = 5
_BAR = " │ "


@dataclass(slots=True)
class MarkdownTable:
    """Cells as they were parsed; the first row is the head."""

    alignments: list[str] = field(default_factory=list)
    rows: list[list[list[Run]]] = field(default_factory=list)

    def fits(self, width: int) -> bool:
        """Tell whether columns of a readable width stand side by side."""
        count = len(self.rows[0])
        return count * _MIN_COLUMN_CELLS + (count - 1) * len(_BAR) <= width

    def screen_rows(self, width: int) -> list[tuple[list[PositionedRun], str | None]]:
        """Rows on screen; the first of each table row comes with its cells as text, divided by tabs."""
        texts = [[runs_text(cell) for cell in row] for row in self.rows]
        widths = self._widths(texts, width - len(_BAR) * (len(texts[0]) - 1))
        split = [
            [_wrapped_spans(text, size) for text, size in zip(row, widths, strict=True)] for row in texts
        ]
        rule: list[PositionedRun] = [("─┼─".join("─" * size for size in widths), "rule", None, -1)]
        folded = any(len(cell) > 1 for row in split[1:] for cell in row)
        out: list[tuple[list[PositionedRun], str | None]] = []
        for number, (row, row_texts, spans) in enumerate(zip(self.rows, texts, split, strict=True)):
            if number == 1 or (folded and number):  # rows of several lines need a line between them
                out.append((rule, None))
            for part in range(max(map(len, spans))):
                text = "\t".join(row_texts).replace("\n", " ") if part == 0 else None
                out.append((self._line(row, row_texts, spans, widths, part), text))
        return out if len(self.rows) > 1 else [*out, (rule, None)]

    def record_paragraphs(self) -> list[list[Run]]:
        """The same as `head: cell` paragraphs, for a table with too many columns."""
        head, *body = self.rows
        return [
            [
                run
                for name, cell in zip(head, row, strict=True)
                for run in (*name, (": ", "dim", None), *cell, end)
            ]
            for row in body or [[[] for _ in head]]
            for end in [("\n", "", None)]
        ]

    def _line(
        self, row: list[list[Run]], texts: list[str], spans: list[list[Span]], widths: list[int], part: int
    ) -> list[PositionedRun]:
        runs: list[PositionedRun] = []
        at = 0
        for column, cell in enumerate(row):
            start, end = spans[column][part] if part < len(spans[column]) else (0, 0)
            shown = [(text, names, action, x + at) for text, names, action, x in slice_runs(cell, start, end)]
            room = max(0, widths[column] - sum(cell_width(run[0]) for run in shown))
            before = {"right": room, "center": room // 2}.get(self.alignments[column], 0)
            after = room - before
            last = column + 1 == len(row)
            runs += [(" " * before, "", None, -1), *shown, (" " * (0 if last else after), "", None, -1)]
            if not last:
                runs.append((_BAR, "rule", None, -1))
            at += len(texts[column]) + 1
        return [run for run in runs if run[0]]

    def _widths(self, texts: list[list[str]], width: int) -> list[int]:
        wanted = [
            max(3, *(cell_width(line) for row in texts for line in row[column].split("\n")))
            for column in range(len(texts[0]))
        ]
        if sum(wanted) <= width:
            return wanted
        level, above = 1, width  # the widest columns give way until all fit
        while level < above:
            middle = (level + above + 1) // 2
            if sum(min(size, middle) for size in wanted) <= width:
                level = middle
            else:
                above = middle - 1
        widths = [min(size, level) for size in wanted]
        for column, size in enumerate(wanted):
            if size > level and sum(widths) < width:
                widths[column] += 1
        return widths


def _wrapped_spans(text: str, width: int) -> list[Span]:
    out: list[Span] = []
    at = 0
    for line in text.split("\n"):
        out += [(at + start, at + end) for start, end in wrap(line, width)]
        at += len(line) + 1
    return out
