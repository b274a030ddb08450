"""The view of one message: header, thinking pane, answer and note as rows; its height is an estimate until
it is laid out.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, grapheme_clusters
from qwen3_chat.transcript.message_entry import MessageEntry, ThinkingDisplay
from qwen3_chat.transcript.section import PlainTextSection, Prefix, Section
from qwen3_chat.transcript.styled_rows import CopyAnswer, FoldThinking, PositionedRun, Row

SHORT_LINE_CELLS = 40
"""Lines up to this width count as one row each."""

TextExtent = tuple[int, int, float]
"""What is left of a text when only its height matters: lines, long lines among them, cells of the long ones.

A plain tuple, because garbage collections pass over tuples of numbers: a long chat keeps thousands.
"""


def measure_extent(text: str) -> TextExtent:
    """Measure a text once; CJK characters have three bytes and two cells: about (characters + bytes) / 2."""
    text = text.strip("\n")
    if not text:
        return 0, 0, 0.0
    lengths = [*map(len, text.split("\n"))]
    cells = 1.0 if text.isascii() else (1 + len(text.encode("utf-8", "replace")) / len(text)) / 2
    short = int(SHORT_LINE_CELLS / cells)
    long = [length for length in lengths if length > short]
    return len(lengths), len(long), sum(long) * cells


def estimate_rows(extent: TextExtent, width: int) -> int:
    """Guess the rows at a width: a long line ends, on average, in the middle of its last row."""
    n_lines, n_long, long_cells = extent
    wrapped = long_cells / max(1, width - 2) + n_long / 2
    return n_lines - n_long + max(n_long, round(wrapped))


# A logical row is numbered turn * TURN + section + row: that survives wrapping, folding, resizing.
MESSAGE_STRIDE = 1 << 24
HEADER, REASONING, ANSWER, NOTE = (n << 22 for n in range(4))

_BEFORE_ANSWER, _BEFORE_NOTE = Row((), ANSWER - 1), Row((), NOTE - 1)
_PREFIXES: dict[str, Prefix] = {"user": (("▌ ", "user", None, -1),), "assistant": (("  ", "", None, -1),)}
_NOTICE_PREFIX: Prefix = (("· ", "notice", None, -1),)
_THINKING_BAR: PositionedRun = ("│ ", "bar", None, -1)


class MessageView:
    """An entry, the reader's choice about its thinking, and its rows while they are needed."""

    def __init__(self, entry: MessageEntry, copy_label: str = "") -> None:
        self.entry = entry
        self.copy_label = copy_label
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self.open_override: bool | None = None
        """What the reader made of the pane; None while he left it alone."""
        self.thinking_display = ThinkingDisplay.AUTO
        self.is_live = False
        self.rows: list[Row] | None = None
        """What is drawn, or None after `estimate_height` or `discard_rows`."""
        self.sections: dict[int, Section] = {}
        self._height = 1
        self._answer_row = 0
        self._extents: dict[int, tuple[str, TextExtent]] = {}

    @property
    def height(self) -> int:
        """Rows, the blank one at the end included; exact from the layout to the next estimate."""
        return self._height

    @property
    def is_open(self) -> bool:
        """Whether the thinking is shown."""
        if self.open_override is not None:
            return self.open_override
        match self.thinking_display:
            case ThinkingDisplay.AUTO:
                return not self.answer.strip()
            case ThinkingDisplay.OPEN:
                return True
            case ThinkingDisplay.CLOSED:
                return False

    @property
    def has_thinking(self) -> bool:
        """Whether there is a pane at all: blank thinking makes none."""
        return bool(self.reasoning.strip())

    def set_entry(self, entry: MessageEntry) -> None:
        """Take over the texts of another entry; what the reader chose stays."""
        self.entry = entry
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self.discard_rows()

    def discard_rows(self) -> None:
        """Forget the rows, keep the height."""
        self.rows = None
        self.sections = {}

    def estimate_height(self, width: int) -> None:
        """Guess the height at a new width, at a hundredth of the cost of a layout."""
        self.discard_rows()
        answer, note = (
            self._estimate_section(ANSWER, self.answer, width),
            self._estimate_section(NOTE, self._whole_note, width),
        )
        thought = 0
        if self.has_thinking:
            reasoning = self._estimate_section(REASONING, self.reasoning, width) if self.is_open else 0
            thought = 1 + reasoning + bool(answer)
        gap = bool(note and (answer or thought))
        self._height = bool(self.header) + thought + answer + gap + note + 1

    def _estimate_section(self, section: int, text: str, width: int) -> int:
        """Guess the rows of a page; its text is measured once."""
        if not text:
            return 0
        known = self._extents.get(section)
        if known is None or known[0] is not text:
            known = self._extents[section] = (text, measure_extent(text))
        return estimate_rows(known[1], width)

    def layout(self, width: int) -> None:
        """Make the rows, if there are none."""
        if self.rows is not None:
            return
        answer: Section
        match self.entry.role:
            case "assistant":
                from qwen3_chat.transcript.markdown_section import (
                    MarkdownSection,  # here: the app starts without Markdown
                )

                answer = MarkdownSection(width, ANSWER, self._prefix, self.copy_label)
            case "user":
                answer = PlainTextSection(width, ANSWER, self._prefix)
            case _:
                answer = PlainTextSection(width, ANSWER, self._prefix, "notice")
        if shown := _trimmed(self.answer):
            answer.feed(shown)
        thought = self._thinking_section(width)
        if thought.rows and self.is_open:
            thought.feed(_trimmed(self.reasoning))
        header, note = self._header_section(width), self._note_section(width)
        self.sections = {HEADER: header, REASONING: thought, ANSWER: answer, NOTE: note}
        self._assemble()

    def update_titles(self, width: int) -> list[int] | None:
        """Draw changed headers and notes; return the rows that changed, None if there are more or fewer."""
        if self.rows is None:
            return []
        before, thought = self.rows, self.sections[REASONING]
        self.sections[HEADER], self.sections[NOTE] = self._header_section(width), self._note_section(width)
        if thought.rows:
            head = self._thinking_section(width)
            thought.rows[0], thought.logical_texts[0] = head.rows[0], head.logical_texts[0]
        self._assemble()
        if len(before) != len(self.rows):
            return None
        pairs = zip(before, self.rows, strict=True)
        return [number for number, (old, new) in enumerate(pairs) if old is not new and old.runs != new.runs]

    def append(self, reasoning: str, answer: str) -> int | None:
        """Append to a turn that has rows; return the first row that may look different, None for all."""
        was_open, had_thinking, had_answer = self.is_open, self.has_thinking, bool(self.answer.strip())
        before = len(_trimmed(self.reasoning)), len(_trimmed(self.answer))
        self.reasoning += reasoning
        self.answer += answer
        same = was_open == self.is_open and had_thinking == self.has_thinking
        if self.rows is None or not same or had_answer != bool(self.answer.strip()):
            self.rows = None
            return None
        changed = self.height
        if more := _trimmed(self.answer)[before[1] :]:
            self.sections[ANSWER].feed(more)
            changed = self._answer_row + self.sections[ANSWER].first_changed_row
        if self.is_open and (more := _trimmed(self.reasoning)[before[0] :]):
            self.sections[REASONING].feed(more)
            changed = len(self.sections[HEADER].rows) + self.sections[REASONING].first_changed_row
        self._assemble()
        return changed

    def row_at(self, index: int) -> Row | None:
        """The row at a height in the turn; None for the blank one at its end."""
        return self.rows[index] if self.rows is not None and 0 <= index < len(self.rows) else None

    def row_index(self, logical: int, offset: int) -> int:
        """Find the row that shows an offset of a logical row, or the nearest one above."""
        assert self.rows is not None, "lay before"
        return max(
            0, bisect_right(self.rows, (logical, offset), key=lambda row: (row.logical, row.offset)) - 1
        )

    def _assemble(self) -> None:
        header, thought, answer, note = (
            self.sections[section].rows for section in (HEADER, REASONING, ANSWER, NOTE)
        )
        rows = [*header, *thought]
        if thought and answer:
            rows.append(_BEFORE_ANSWER)
        self._answer_row = len(rows)
        rows += answer
        if note and (thought or answer):
            rows.append(_BEFORE_NOTE)
        rows += note
        self.rows = [_dimmed(row) for row in rows] if self.entry.dropped_note else rows
        self._height = len(rows) + 1

    @property
    def _prefix(self) -> Prefix:
        return _PREFIXES.get(self.entry.role, _NOTICE_PREFIX)

    def _header_section(self, width: int) -> Section:
        page = Section(width, HEADER, self._prefix)
        if self.header:
            role = self.entry.role if self.entry.role in _PREFIXES else "notice"
            button = "" if role == "notice" else self.copy_label
            name = _shortened(
                terminal_safe(self.header).replace("\n", " "), page.available_cells() - cell_width(button) - 1
            )
            space = " " * (page.available_cells() - cell_width(name) - cell_width(button))
            runs: list[PositionedRun] = [(name, f"header {role}", None, 0), (space, "", None, -1)]
            page.add_row([*runs, (button, "button", CopyAnswer(), -1)] if button else runs, name)
        return page

    def _thinking_section(self, width: int) -> PlainTextSection:
        """Draw the row that folds the thinking; the thinking is fed below it."""
        head = Section(width, REASONING, self._prefix)
        page = PlainTextSection(width, REASONING, (*self._prefix, _THINKING_BAR), "thought")
        if self.has_thinking:
            marker = "▾ " if self.is_open else "▸ "
            label = _shortened(
                marker + terminal_safe(self.reasoning_header).replace("\n", " "), head.available_cells()
            )
            head.add_row([(label, "fold", FoldThinking(), 0)], label)
            page.rows, page.logical_texts = head.rows, head.logical_texts
        return page

    def _note_section(self, width: int) -> Section:
        page = PlainTextSection(width, NOTE, self._prefix, "note")
        if note := self._whole_note:
            page.feed(note)
        return page

    @property
    def _whole_note(self) -> str:
        return "\n".join(note for note in (self.note, self.entry.dropped_note) if note)


def _dimmed(row: Row) -> Row:
    """Return a row in one dim colour, without those of code."""
    runs = tuple((text, f"{names} left-out".strip(), action, at) for text, names, action, at in row.runs)
    return replace(row, runs=runs, code=None)


def _trimmed(text: str) -> str:
    """Text without blank lines around it; its end may come back when more text follows."""
    if not (inked := text.lstrip()):
        return ""
    first_ink = len(text) - len(inked)
    return text.rstrip("\r\n")[text.rfind("\n", 0, first_ink) + 1 :]


def _shortened(text: str, width: int) -> str:
    """Cut a text to a width in cells, with an ellipsis."""
    if cell_width(text) <= width:
        return text
    used = 0
    for start, _, size in grapheme_clusters(text, 0, len(text)):
        if used + size >= width:
            return text[:start] + "…"
        used += size
    return text
