"""The view of one message: header, thinking pane, answer and note as rows.

Its height is an estimate until it is laid out.
"""

from __future__ import annotations

from bisect import bisect_right

from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, grapheme_clusters
from qwen3_chat.transcript.message_entry import MessageEntry, ThinkingDisplay
from qwen3_chat.transcript.section import PlainTextSection, Prefix, Section
from qwen3_chat.transcript.styled_rows import CopyAnswer, FoldThinking, PositionedRun, Row

MESSAGE_STRIDE = 1 << 24
"""The factor in a logical row's number: message index * MESSAGE_STRIDE + section + row in the section.

Such a number survives wrapping, folding and resizing.
"""
HEADER, REASONING, ANSWER, NOTE = (n << 22 for n in range(4))
"""The sections, each named by its first logical row."""

_BEFORE_ANSWER, _BEFORE_NOTE = Row((), ANSWER - 1), Row((), NOTE - 1)
_PREFIXES: dict[str, Prefix] = {"user": (("▌ ", "user", None, -1),), "assistant": (("  ", "", None, -1),)}
_NOTICE_PREFIX: Prefix = (("· ", "notice", None, -1),)
_THINKING_BAR: PositionedRun = ("│ ", "bar", None, -1)

_SHORT_LINE_CELLS = 40
"""The width up to which a line counts as a single row."""

_TextExtent = tuple[int, int, float]
"""The extent of a text, to estimate its height: lines, long lines among them, cells of the long lines.

A plain tuple, because the garbage collector does not track tuples of numbers: a long chat keeps thousands.
"""


class MessageView:
    """A message's entry, the reader's choice about its thinking, and its rows while they are needed."""

    def __init__(self, entry: MessageEntry, copy_label: str = "") -> None:
        self.entry = entry
        self.copy_label = copy_label
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self.open_override: bool | None = None
        """The reader's choice to show or hide the thinking; None before there is a choice."""
        self.thinking_display = ThinkingDisplay.AUTO
        self.draws_formulas = True
        """True if formulas are drawn, False if their source is shown."""
        self.reading_width = 0
        """The most cells of a row of prose; 0 sets no limit."""
        self.is_live = False
        """True while the reply arrives."""
        self.rows: list[Row] | None = None
        """The rows drawn; None after `estimate_height` or `discard_rows`."""
        self.sections: dict[int, Section] = {}
        self._height = 1
        self._answer_row = 0  # the index of the answer's first row
        self._earlier_code: list[HighlightedCode] = []
        """The code blocks of the layout before, so that they keep their colours in the next one."""
        self._extents: dict[int, tuple[str, _TextExtent]] = {}
        """The text of each section when it was measured last, with its extent."""

    @property
    def height(self) -> int:
        """The number of rows with the blank row at the end; exact from the layout to the next estimate."""
        return self._height

    @property
    def is_open(self) -> bool:
        """True while the thinking is shown."""
        if self.open_override is not None:
            return self.open_override
        if self.entry.is_folded is not None:
            return not self.entry.is_folded
        match self.thinking_display:
            case ThinkingDisplay.AUTO:
                return not self.answer.strip() and not self.entry.has_calls
            case ThinkingDisplay.OPEN:
                return True
            case ThinkingDisplay.CLOSED:
                return False

    @property
    def has_thinking(self) -> bool:
        """True if there is a thinking pane: blank thinking has none."""
        return bool(self.reasoning.strip())

    @property
    def whole_answer(self) -> str:
        """The answer of the entry, or, while the reply arrives, as far as it is shown."""
        return self.entry.answer or self.answer

    def set_entry(self, entry: MessageEntry) -> None:
        """Replace the entry and its texts; the reader's choice about the thinking stays."""
        self.entry = entry
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self._discard_rows_but_code()

    def draw_formulas(self, draws_formulas: bool) -> None:
        """Draw the formulas of the answer from the next layout on, or show their source."""
        self.draws_formulas = draws_formulas
        self._discard_rows_but_code()

    def limit_prose(self, reading_width: int) -> None:
        """Wrap prose at that width from the next layout on; 0 sets no limit."""
        self.reading_width = reading_width
        self._discard_rows_but_code()

    def discard_rows(self) -> None:
        """Discard the rows, keep the height."""
        if self.is_live:
            self._discard_rows_but_code()
        else:
            self._earlier_code = []
            self.rows, self.sections = None, {}

    def _discard_rows_but_code(self) -> None:
        if (answer := self.sections.get(ANSWER)) is not None:
            self._earlier_code = answer.code_blocks
        self.rows, self.sections = None, {}

    def estimate_height(self, width: int) -> None:
        """Estimate the height at a new width, at a hundredth of the cost of a layout."""
        self.discard_rows()
        width = min(width, self.reading_width or width)
        answer_rows = self._estimate_section(ANSWER, self.answer, width)
        note_rows = self._estimate_section(NOTE, self._full_note, width)
        thinking_rows = 0
        if self.has_thinking:
            reasoning_rows = self._estimate_section(REASONING, self.reasoning, width) if self.is_open else 0
            thinking_rows = 1 + reasoning_rows + bool(answer_rows)
        gap_rows = bool(note_rows and (answer_rows or thinking_rows))
        self._height = bool(self.header) + thinking_rows + answer_rows + gap_rows + note_rows + 1

    def _estimate_section(self, section: int, text: str, width: int) -> int:
        """Estimate the rows of a section; its text is measured once."""
        if not text:
            return 0
        measured = self._extents.get(section)
        if measured is None or measured[0] is not text:
            measured = self._extents[section] = (text, _measure_extent(text))
        return _estimate_rows(measured[1], width)

    def layout(self, width: int) -> None:
        """Lay the message out as rows, unless that is done already."""
        if self.rows is not None:
            return
        answer: Section
        match self.entry.role:
            case "assistant":
                # Imported here, as the app starts without Markdown.
                from qwen3_chat.transcript.markdown_section import MarkdownSection

                answer = MarkdownSection(
                    width, ANSWER, self._prefix, self.copy_label, draws_formulas=self.draws_formulas
                )
                answer.earlier_code, self._earlier_code = self._earlier_code, []
            case "user":
                answer = PlainTextSection(width, ANSWER, self._prefix)
            case _:
                answer = PlainTextSection(width, ANSWER, self._prefix, "notice")
        answer.reading_width = self.reading_width
        if text := _trim_blank_lines(self.answer):
            answer.feed(text)
        if not self.is_live:
            answer.end()
        thinking = self._thinking_section(width)
        if thinking.rows and self.is_open:
            thinking.feed(_trim_blank_lines(self.reasoning))
        header, note = self._header_section(width), self._note_section(width)
        self.sections = {HEADER: header, REASONING: thinking, ANSWER: answer, NOTE: note}
        self._assemble()

    def update_titles(self, width: int) -> list[int] | None:
        """Draw headers and note again; return the indexes of changed rows, None if the row count changed."""
        if self.rows is None:
            return []
        before, thinking = self.rows, self.sections[REASONING]
        self.sections[HEADER], self.sections[NOTE] = self._header_section(width), self._note_section(width)
        if thinking.rows:
            fold_section = self._thinking_section(width)
            thinking.rows[0], thinking.logical_texts[0] = fold_section.rows[0], fold_section.logical_texts[0]
        self._assemble()
        if len(before) != len(self.rows):
            return None
        pairs = zip(before, self.rows, strict=True)
        return [index for index, (old, new) in enumerate(pairs) if old is not new and old.runs != new.runs]

    def append(self, reasoning: str, answer: str) -> int | None:
        """Append text; return the index of the first row that may have changed, None if all rows may have."""
        was_open, had_thinking = self.is_open, self.has_thinking
        reasoning_length = len(_trim_blank_lines(self.reasoning))
        answer_length = len(_trim_blank_lines(self.answer))
        self.reasoning += reasoning
        self.answer += answer
        has_same_pane = was_open == self.is_open and had_thinking == self.has_thinking
        if self.rows is None or not has_same_pane:
            self.rows = None
            return None
        first_changed_row = self.height
        if new_text := _trim_blank_lines(self.answer)[answer_length:]:
            self.sections[ANSWER].feed(new_text)
            first_changed_row = self._answer_row + self.sections[ANSWER].first_changed_row
        if self.is_open and (new_text := _trim_blank_lines(self.reasoning)[reasoning_length:]):
            self.sections[REASONING].feed(new_text)
            header_rows = len(self.sections[HEADER].rows)
            first_changed_row = header_rows + self.sections[REASONING].first_changed_row
        self._assemble()
        return first_changed_row

    def end(self) -> None:
        """Note that no text follows, and keep the rows."""
        self.is_live = False
        if (answer := self.sections.get(ANSWER)) is not None:
            answer.end()

    def row_at(self, index: int) -> Row | None:
        """Return the row at an index; None for the blank row at the end and before the layout."""
        return self.rows[index] if self.rows is not None and 0 <= index < len(self.rows) else None

    def row_index(self, logical_row: int, offset: int) -> int:
        """Return the index of the row that shows an offset of a logical row, or of the nearest row above."""
        assert self.rows is not None, "laid out before"
        position = (logical_row, offset)
        return max(0, bisect_right(self.rows, position, key=lambda row: (row.logical_row, row.offset)) - 1)

    def _assemble(self) -> None:
        header, thinking, answer, note = (
            self.sections[section].rows for section in (HEADER, REASONING, ANSWER, NOTE)
        )
        rows = [*header, *thinking]
        if thinking and answer:
            rows.append(_BEFORE_ANSWER)
        self._answer_row = len(rows)
        rows += answer
        if note and (thinking or answer):
            rows.append(_BEFORE_NOTE)
        rows += note
        self.rows = [_dimmed(row) for row in rows] if self.entry.dropped_note else rows
        self._height = len(rows) + 1

    @property
    def _prefix(self) -> Prefix:
        return _PREFIXES.get(self.entry.role, _NOTICE_PREFIX)

    def _header_section(self, width: int) -> Section:
        section = Section(width, HEADER, self._prefix)
        if self.header:
            role = self.entry.role if self.entry.role in _PREFIXES else "notice"
            button = "" if role == "notice" else self.copy_label
            name_cells = section.available_cells() - cell_width(button) - 1
            name = _shorten(terminal_safe(self.header).replace("\n", " "), name_cells)
            space = " " * (section.available_cells() - cell_width(name) - cell_width(button))
            runs: list[PositionedRun] = [(name, f"header {role}", None, 0), (space, "", None, -1)]
            section.add_row([*runs, (button, "button", CopyAnswer(), -1)] if button else runs, name)
        return section

    def _thinking_section(self, width: int) -> PlainTextSection:
        """Return the section with the row that folds the thinking; the thinking is fed below it."""
        fold_section = Section(width, REASONING, self._prefix)
        section = PlainTextSection(width, REASONING, (*self._prefix, _THINKING_BAR), "thought")
        section.reading_width = self.reading_width
        if self.has_thinking:
            marker = "▾ " if self.is_open else "▸ "
            title = marker + terminal_safe(self.reasoning_header).replace("\n", " ")
            label = _shorten(title, fold_section.available_cells())
            fold_section.add_row([(label, "fold", FoldThinking(), 0)], label)
            section.rows, section.logical_texts = fold_section.rows, fold_section.logical_texts
        return section

    def _note_section(self, width: int) -> Section:
        section = PlainTextSection(width, NOTE, self._prefix, "note")
        section.reading_width = self.reading_width
        if note := self._full_note:
            section.feed(note)
        return section

    @property
    def _full_note(self) -> str:
        return "\n".join(note for note in (self.note, self.entry.dropped_note) if note)


def _dimmed(row: Row) -> Row:
    """Return a row in one dim colour, without the colours of code."""
    runs = tuple(
        (text, f"{style} left-out".strip(), action, offset) for text, style, action, offset in row.runs
    )
    return replace(row, runs=runs, code=None)


def _trim_blank_lines(text: str) -> str:
    """Return a text without blank lines around it; those at its end may come back when more text follows."""
    if not (stripped := text.lstrip()):
        return ""
    first_visible = len(text) - len(stripped)
    return text.rstrip("\r\n")[text.rfind("\n", 0, first_visible) + 1 :]


def _shorten(text: str, width: int) -> str:
    """Cut a text to a width in cells, with an ellipsis."""
    if cell_width(text) <= width:
        return text
    used = 0
    for start, _, size in grapheme_clusters(text, 0, len(text)):
        if used + size >= width:
            return text[:start] + "…"
        used += size
    return text


def _measure_extent(text: str) -> _TextExtent:
    """Measure a text; CJK characters have three bytes and two cells: about (characters + bytes) / 2."""
    text = text.strip("\n")
    if not text:
        return 0, 0, 0.0
    lengths = [*map(len, text.split("\n"))]
    bytes_per_character = 1.0 if text.isascii() else len(text.encode("utf-8", "replace")) / len(text)
    cells_per_character = (1 + bytes_per_character) / 2
    max_short_length = int(_SHORT_LINE_CELLS / cells_per_character)
    long_lengths = [length for length in lengths if length > max_short_length]
    return len(lengths), len(long_lengths), sum(long_lengths) * cells_per_character


def _estimate_rows(extent: _TextExtent, width: int) -> int:
    """Estimate the rows at a width: a long line ends, on average, in the middle of its last row."""
    n_lines, n_long, long_cells = extent
    long_rows = long_cells / max(1, width - 2) + n_long / 2
    return n_lines - n_long + max(n_long, round(long_rows))
