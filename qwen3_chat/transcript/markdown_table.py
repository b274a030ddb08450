"""A Markdown table as rows of aligned cells that fit the width."""

from __future__ import annotations

from dataclasses import dataclass, field

from qwen3_chat.transcript.cells import Span, cell_width, wrap
from qwen3_chat.transcript.styled_rows import PositionedRun, Run, runs_text, slice_runs

_MIN_COLUMN_CELLS = 5
_BAR = " │ "


@dataclass(frozen=True, slots=True)
class TableShape:
    """The widths of a table's columns, in cells, and whether lines divide its rows because some wrap."""

    widths: list[int]
    has_lines: bool


@dataclass(slots=True)
class MarkdownTable:
    """A table of parsed cells; the first row is the head."""

    alignments: list[str] = field(default_factory=list)
    rows: list[list[list[Run]]] = field(default_factory=list)

    def fits(self, width: int) -> bool:
        """Return True if the columns fit side by side at a readable width."""
        count = len(self.rows[0])
        return count * _MIN_COLUMN_CELLS + (count - 1) * len(_BAR) <= width

    def shape(self, width: int) -> TableShape:
        """Return the shape in which the rows fit a width."""
        texts = [[runs_text(cell) for cell in row] for row in self.rows]
        widths = self._column_widths(texts, width - len(_BAR) * (len(texts[0]) - 1))
        return TableShape(
            widths,
            any(
                len(_wrapped_spans(text, size)) > 1
                for row in texts[1:]
                for text, size in zip(row, widths, strict=True)
            ),
        )

    def screen_rows(
        self, shape: TableShape, has_head: bool = True
    ) -> list[tuple[list[PositionedRun], str | None]]:
        """Return the screen rows; the first of each table row comes with its cells as tab-separated text.

        Without `has_head` the head has been drawn already, and other rows before these.
        """
        widths = shape.widths
        texts = [[runs_text(cell) for cell in row] for row in self.rows]
        split = [
            [_wrapped_spans(text, size) for text, size in zip(row, widths, strict=True)] for row in texts
        ]
        rule: list[PositionedRun] = [("─┼─".join("─" * size for size in widths), "rule", None, -1)]
        screen_rows: list[tuple[list[PositionedRun], str | None]] = []
        for number, (row, row_texts, spans) in enumerate(zip(self.rows, texts, split, strict=True)):
            if not (number or has_head):
                continue
            if (number == 1 and has_head) or (
                shape.has_lines and number
            ):  # rows of several lines need a line between them
                screen_rows.append((rule, None))
            for part in range(max(map(len, spans))):
                text = "\t".join(row_texts).replace("\n", " ") if part == 0 else None
                screen_rows.append((self._line(row, row_texts, spans, widths, part), text))
        return screen_rows if len(self.rows) > 1 or not has_head else [*screen_rows, (rule, None)]

    def record_paragraphs(self) -> list[list[Run]]:
        """Return the rows as paragraphs of `head: cell`, for a table with too many columns."""
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
        offset = 0
        for column, cell in enumerate(row):
            start, end = spans[column][part] if part < len(spans[column]) else (0, 0)
            cell_runs = [
                (text, style, action, cell_offset + offset)
                for text, style, action, cell_offset in slice_runs(cell, start, end)
            ]
            free_cells = max(0, widths[column] - sum(cell_width(run[0]) for run in cell_runs))
            before = {"right": free_cells, "center": free_cells // 2}.get(self.alignments[column], 0)
            is_last = column + 1 == len(row)
            after = 0 if is_last else free_cells - before
            runs += [(" " * before, "", None, -1), *cell_runs, (" " * after, "", None, -1)]
            if not is_last:
                runs.append((_BAR, "rule", None, -1))
            offset += len(texts[column]) + 1
        return [run for run in runs if run[0]]

    def _column_widths(self, texts: list[list[str]], width: int) -> list[int]:
        natural_widths = [
            max(3, *(cell_width(line) for row in texts for line in row[column].split("\n")))
            for column in range(len(texts[0]))
        ]
        if sum(natural_widths) <= width:
            return natural_widths
        max_width, upper = 1, width  # the widest columns shrink until all fit
        while max_width < upper:
            middle = (max_width + upper + 1) // 2
            if sum(min(size, middle) for size in natural_widths) <= width:
                max_width = middle
            else:
                upper = middle - 1
        widths = [min(size, max_width) for size in natural_widths]
        for column, size in enumerate(natural_widths):
            if size > max_width and sum(widths) < width:
                widths[column] += 1
        return widths


def _wrapped_spans(text: str, width: int) -> list[Span]:
    spans: list[Span] = []
    offset = 0
    for line in text.split("\n"):
        spans += [(offset + start, offset + end) for start, end in wrap(line, width)]
        offset += len(line) + 1
    return spans
