"""One entry as rows: header, thinking pane, answer, note; heights are estimates until someone looks."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from qwen3_chat.plain import plain
from qwen3_chat.transcript.cells import cells, clusters
from qwen3_chat.transcript.entry import Entry, ThinkingDisplay
from qwen3_chat.transcript.extent import Extent, extent, rows_at
from qwen3_chat.transcript.page import Lead, Page, PlainPage
from qwen3_chat.transcript.rows import CopyAnswer, FoldThinking, Placed, Row

# A logical row is numbered turn * TURN + section + row: that survives wrapping, folding, resizing.
TURN = 1 << 24
HEADER, REASONING, ANSWER, NOTE = (n << 22 for n in range(4))

_BEFORE_ANSWER, _BEFORE_NOTE = Row((), ANSWER - 1), Row((), NOTE - 1)
_LEADS: dict[str, Lead] = {"user": (("▌ ", "user", None, -1),), "assistant": (("  ", "", None, -1),)}
_NOTICE_LEAD: Lead = (("· ", "notice", None, -1),)
_THOUGHT: Placed = ("│ ", "bar", None, -1)


class Turn:
    """An entry, the reader's choice about its thinking, and its rows while they are needed."""

    def __init__(self, entry: Entry, copy_label: str = "") -> None:
        self.entry = entry
        self.copy_label = copy_label
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self.chosen: bool | None = None
        """What the reader made of the pane; None while he left it alone."""
        self.display = ThinkingDisplay.AUTO
        self.live = False
        self.rows: list[Row] | None = None
        """What is drawn, or None after `estimate` or `drop`."""
        self.pages: dict[int, Page] = {}
        self._height = 1
        self._answer_at = 0
        self._extents: dict[int, tuple[str, Extent]] = {}

    @property
    def height(self) -> int:
        """Rows, the blank one at the end included; exact from the layout to the next estimate."""
        return self._height

    @property
    def is_open(self) -> bool:
        """Whether the thinking is shown."""
        if self.chosen is not None:
            return self.chosen
        match self.display:
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

    def replace(self, entry: Entry) -> None:
        """Take over the texts of another entry; what the reader chose stays."""
        self.entry = entry
        self.header, self.reasoning_header, self.note = entry.header, entry.reasoning_header, entry.note
        self.reasoning, self.answer = entry.reasoning, entry.answer
        self.drop()

    def drop(self) -> None:
        """Forget the rows, keep the height."""
        self.rows = None
        self.pages = {}

    def estimate(self, width: int) -> None:
        """Guess the height at a new width, at a hundredth of the cost of a layout."""
        self.drop()
        answer, note = self._guess(ANSWER, self.answer, width), self._guess(NOTE, self._whole_note, width)
        thought = 0
        if self.has_thinking:
            reasoning = self._guess(REASONING, self.reasoning, width) if self.is_open else 0
            thought = 1 + reasoning + bool(answer)
        gap = bool(note and (answer or thought))
        self._height = bool(self.header) + thought + answer + gap + note + 1

    def _guess(self, page: int, text: str, width: int) -> int:
        """Guess the rows of a page; its text is measured once."""
        if not text:
            return 0
        known = self._extents.get(page)
        if known is None or known[0] is not text:
            known = self._extents[page] = (text, extent(text))
        return rows_at(known[1], width)

    def lay(self, width: int) -> None:
        """Make the rows, if there are none."""
        if self.rows is not None:
            return
        answer: Page
        match self.entry.role:
            case "assistant":
                from qwen3_chat.transcript.document import Document  # here: the app starts without Markdown

                answer = Document(width, ANSWER, self._lead, self.copy_label)
            case "user":
                answer = PlainPage(width, ANSWER, self._lead)
            case _:
                answer = PlainPage(width, ANSWER, self._lead, "notice")
        if shown := _trimmed(self.answer):
            answer.feed(shown)
        thought = self._thought(width)
        if thought.rows and self.is_open:
            thought.feed(_trimmed(self.reasoning))
        header, note = self._header(width), self._note(width)
        self.pages = {HEADER: header, REASONING: thought, ANSWER: answer, NOTE: note}
        self._assemble()

    def retitle(self, width: int) -> list[int] | None:
        """Draw changed headers and notes; return the rows that changed, None if there are more or fewer."""
        if self.rows is None:
            return []
        before, thought = self.rows, self.pages[REASONING]
        self.pages[HEADER], self.pages[NOTE] = self._header(width), self._note(width)
        if thought.rows:
            head = self._thought(width)
            thought.rows[0], thought.texts[0] = head.rows[0], head.texts[0]
        self._assemble()
        if len(before) != len(self.rows):
            return None
        pairs = zip(before, self.rows, strict=True)
        return [number for number, (old, new) in enumerate(pairs) if old is not new and old.runs != new.runs]

    def write(self, reasoning: str, answer: str) -> int | None:
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
            self.pages[ANSWER].feed(more)
            changed = self._answer_at + self.pages[ANSWER].settled
        if self.is_open and (more := _trimmed(self.reasoning)[before[0] :]):
            self.pages[REASONING].feed(more)
            changed = len(self.pages[HEADER].rows) + self.pages[REASONING].settled
        self._assemble()
        return changed

    def row(self, number: int) -> Row | None:
        """The row at a height in the turn; None for the blank one at its end."""
        return self.rows[number] if self.rows is not None and 0 <= number < len(self.rows) else None

    def find(self, logical: int, offset: int) -> int:
        """Find the row that shows an offset of a logical row, or the nearest one above."""
        assert self.rows is not None, "lay before"
        return max(
            0, bisect_right(self.rows, (logical, offset), key=lambda row: (row.logical, row.offset)) - 1
        )

    def _assemble(self) -> None:
        header, thought, answer, note = (
            self.pages[section].rows for section in (HEADER, REASONING, ANSWER, NOTE)
        )
        rows = [*header, *thought]
        if thought and answer:
            rows.append(_BEFORE_ANSWER)
        self._answer_at = len(rows)
        rows += answer
        if note and (thought or answer):
            rows.append(_BEFORE_NOTE)
        rows += note
        self.rows = [_greyed(row) for row in rows] if self.entry.left_out else rows
        self._height = len(rows) + 1

    @property
    def _lead(self) -> Lead:
        return _LEADS.get(self.entry.role, _NOTICE_LEAD)

    def _header(self, width: int) -> Page:
        page = Page(width, HEADER, self._lead)
        if self.header:
            role = self.entry.role if self.entry.role in _LEADS else "notice"
            button = "" if role == "notice" else self.copy_label
            name = _shortened(plain(self.header).replace("\n", " "), page.room() - cells(button) - 1)
            space = " " * (page.room() - cells(name) - cells(button))
            runs: list[Placed] = [(name, f"header {role}", None, 0), (space, "", None, -1)]
            page.add([*runs, (button, "button", CopyAnswer(), -1)] if button else runs, name)
        return page

    def _thought(self, width: int) -> PlainPage:
        """Draw the row that folds the thinking; the thinking is fed below it."""
        head = Page(width, REASONING, self._lead)
        page = PlainPage(width, REASONING, (*self._lead, _THOUGHT), "thought")
        if self.has_thinking:
            marker = "▾ " if self.is_open else "▸ "
            label = _shortened(marker + plain(self.reasoning_header).replace("\n", " "), head.room())
            head.add([(label, "fold", FoldThinking(), 0)], label)
            page.rows, page.texts = head.rows, head.texts
        return page

    def _note(self, width: int) -> Page:
        page = PlainPage(width, NOTE, self._lead, "note")
        if note := self._whole_note:
            page.feed(note)
        return page

    @property
    def _whole_note(self) -> str:
        return "\n".join(note for note in (self.note, self.entry.left_out) if note)


def _greyed(row: Row) -> Row:
    """Return a row in one dim colour, without those of code."""
    runs = tuple((text, f"{names} left-out".strip(), action, at) for text, names, action, at in row.runs)
    return replace(row, runs=runs, code=None)


def _trimmed(text: str) -> str:
    """Text without blank lines around it; its end may come back when more text follows."""
    if not (inked := text.lstrip()):
        return ""
    first_ink = len(text) - len(inked)
    return text.rstrip("\r\n")[text.rfind("\n", 0, first_ink) + 1 :]


def _shortened(text: str, room: int) -> str:
    """Cut a text to a width in cells, with an ellipsis."""
    if cells(text) <= room:
        return text
    used = 0
    for start, _, size in clusters(text, 0, len(text)):
        if used + size >= room:
            return text[:start] + "…"
        used += size
    return text
