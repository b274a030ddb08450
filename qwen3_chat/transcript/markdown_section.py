"""The Markdown section: block tokens as rows, and a text that grows, of which only the last open block is
laid out again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, hard_wrap
from qwen3_chat.transcript.code_highlighting import HighlightedCode
from qwen3_chat.transcript.inline_runs import inline_runs, skip_characters
from qwen3_chat.transcript.markdown_parser import PARSER
from qwen3_chat.transcript.markdown_table import MarkdownTable
from qwen3_chat.transcript.section import Prefix, Section
from qwen3_chat.transcript.styled_rows import CopyCode, PositionedRun, Run, slice_runs

_TASK = re.compile(r"\[([ xX])\][ \t]")
_BULLETS = "•◦▪"


class BlockSection(Section):
    """A page that lays out block tokens. What a token draws never depends on the tokens after its block."""

    copy_label = ""
    """Shown at the head of a code block, clicked to copy it."""

    def __init__(self, width: int, first_logical: int, prefix: Prefix = ()) -> None:
        super().__init__(width, first_logical, prefix)
        self.line_base = 0
        """Source line of the first token given to `add_blocks`."""
        self.line_end = 0
        """Source line after the last block drawn."""

    def add_gap(self, token: Token, always: bool) -> None:
        """Leave a blank row where the source has one, or always."""
        begin = source_lines(token)[0] + self.line_base
        if self.rows and (always or begin > self.line_end):
            self.add_blank_row()
        self.line_end = begin

    def add_code_head(self, info: str) -> HighlightedCode:
        """Draw the head of a code block."""
        code = HighlightedCode(terminal_safe(info))
        room = self.available_cells()
        button = f"{self.copy_label} " if self.copy_label else ""
        label = code.language[: max(0, room - cell_width(button) - 2)]
        pad = " " * max(0, room - cell_width(button) - cell_width(label) - 1)
        runs: list[PositionedRun] = [(f" {label}{pad}", "code-head", None, -1)]
        if button:
            runs.append((button, "code-head button", CopyCode(len(self.code_blocks)), -1))
        self.add_row(runs, "")
        self.code_blocks.append(code)
        return code

    def add_code_row(self, code: HighlightedCode, text: str) -> None:
        """Draw a row of code, folded where it is too long."""
        for number, (start, end) in enumerate(hard_wrap(text, 0, len(text), self.available_cells() - 2)):
            runs: list[PositionedRun] = [
                (" ", "code", None, -1),
                *slice_runs([(text, "code", None)], start, end),
            ]
            self.add_row(runs, None if number else text, code, len(code.rows))

    def add_blocks(self, tokens: Sequence[Token]) -> None:
        """Draw blocks."""
        names, table, bullets, task = "", MarkdownTable(), 0, 0
        for index, token in enumerate(tokens):
            kind, top = token.type, not self._container_prefixes
            match kind:
                case "inline":
                    runs = inline_runs(token.children, names)
                    if task:
                        runs, task = skip_characters(runs, task), 0
                    if table.rows:
                        table.rows[-1].append(runs)
                    else:
                        self.add_wrapped(runs)
                case "paragraph_open":
                    self.add_gap(token, False)
                    self._note_end(token)
                case "heading_open":
                    self.add_gap(token, top)
                    self._note_end(token)
                    names = f"heading {token.tag}"
                case "heading_close":
                    names = ""
                case "hr":
                    self.add_gap(token, top)
                    self._note_end(token)
                    self.add_row([("─" * self.available_cells(), "rule", None, -1)], "---")
                case "formula_block":
                    self.add_gap(token, False)
                    self._note_end(token)
                    self.add_wrapped([(terminal_safe(token.content), "formula", None)])
                case "fence" | "code_block":
                    self.add_gap(token, top)
                    self._add_code_block(token)
                case "blockquote_open":
                    self.add_gap(token, top)
                    self._container_prefixes.append(((("▌ ", "bar", None, -1),),) * 2)
                case "bullet_list_open" | "bullet_list_close":
                    bullets += token.nesting
                case "list_item_open":
                    self.add_gap(token, False)
                    mark = f"{token.info}{token.markup} " if token.info else _BULLETS[(bullets - 1) % 3] + " "
                    if found := _TASK.match(tokens[index + 2].content if len(tokens) > index + 2 else ""):
                        mark, task = "☐ " if found[1] == " " else "☑ ", len(found[0])
                    indent = (" " * len(mark), "", None, -1)
                    self._container_prefixes.append((((mark, "bullet", None, -1),), (indent,)))
                case "blockquote_close" | "list_item_close":
                    first, others = self._container_prefixes.pop()
                    if first is not others and kind == "list_item_close":  # an item without any text
                        self._container_prefixes.append((first, others))
                        self.add_row([], "")
                        self._container_prefixes.pop()
                        self.line_end += 1
                case "table_open":
                    self.add_gap(token, top)
                    self._note_end(token, gap=True)
                    table = MarkdownTable()
                case "tr_open":
                    table.rows.append([])
                case "th_open" | "td_open":
                    names = "strong" if kind == "th_open" else ""
                    if len(table.rows) == 1:
                        table.alignments.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
                case "table_close":
                    self._add_table(table)
                    table, names = MarkdownTable(), ""

    def _note_end(self, token: Token, gap: bool = False) -> None:
        """Note the line after a block; with `add_gap` a blank row follows in any case."""
        self.line_end = source_lines(token)[1] + self.line_base - gap

    def _add_code_block(self, token: Token) -> None:
        code = self.add_code_head(token.info)
        for row in terminal_safe(token.content).removesuffix("\n").split("\n") if token.content else ():
            self.add_code_row(code, row)
            code.rows.append(row)
        code.is_complete = True
        self._note_end(token, gap=True)

    def _add_table(self, table: MarkdownTable) -> None:
        if table.fits(self.available_cells()):
            for runs, text in table.screen_rows(self.available_cells()):
                self.add_row(runs, text)
            return
        for number, record in enumerate(table.record_paragraphs()):
            if number:
                self.add_blank_row()
            self.add_wrapped(_without_last_newline(record))


def _without_last_newline(runs: list[Run]) -> list[Run]:
    return runs[:-1] if runs and runs[-1][0] == "\n" else runs


def source_lines(token: Token) -> tuple[int, int]:
    """First source line of a block and the one after its last."""
    assert token.map is not None, f"{token.type} is a block and knows its lines"
    return token.map[0], token.map[1]


@dataclass(frozen=True, slots=True)
class _StableState:
    """How much of the page belongs to settled source."""

    rows: int = 0
    texts: int = 0
    codes: int = 0
    line_end: int = 0


class MarkdownSection(BlockSection):
    """A page of Markdown. Any way of cutting a text into pieces gives the rows of the whole.

    Two things need the whole text at once, so a finished message is laid out once more: definitions such as
    `[a]: http://b`, which change text above them, and items such as `- | -` that could begin a table.
    """

    def __init__(self, width: int, first_logical: int, prefix: Prefix = (), copy_label: str = "") -> None:
        super().__init__(width, first_logical, prefix)
        self.copy_label = copy_label
        self._source = ""
        self._stable_offset = 0  # the source before it is settled
        self._stable_state = _StableState()
        self._fence: re.Pattern[str] | None = None  # closes the open fence, if one is open at top level
        self._fence_row = 0

    def feed(self, text: str) -> None:
        """Append Markdown."""
        self.first_changed_row = self._stable_state.rows
        self._source += terminal_safe(text)
        self._add_open_code()
        if self._fence is None:
            self._parse()

    def _rewind(self) -> None:
        mark = self._stable_state
        del (
            self.rows[mark.rows :],
            self.logical_texts[mark.texts :],
            self.code_blocks[mark.codes :],
            self._container_prefixes[:],
        )
        self.line_end = mark.line_end

    def _mark_stable(self, offset: int) -> None:
        self.line_base += self._source.count("\n", self._stable_offset, offset)
        self._stable_offset = offset
        self._stable_state = _StableState(
            len(self.rows), len(self.logical_texts), len(self.code_blocks), self.line_end
        )

    def _parse(self) -> None:
        self._rewind()
        tail = self._source[self._stable_offset :]
        tokens: Sequence[Token] = PARSER.parse(tail)
        last = _last_block(tokens, tail.count("\n"))
        if not tokens:
            return
        opener = tokens[last]
        if last and (line := source_lines(opener)[0]):
            self.add_blocks(tokens[:last])
            del self._container_prefixes[:]
            tail = tail.split("\n", line)[-1]
            self._mark_stable(len(self._source) - len(tail))
            head, tokens = tokens[:last], tokens[last:]
            for token in tokens:
                token.map = token.map and [token.map[0] - line, token.map[1] - line]
            if opener.level:  # in the middle of a list: open it again
                lists = [token for token in head if token.level == 0 and token.nesting == 1]
                tokens = [*lists[-1:], *tokens]
        if (closer := _open_fence(opener, tail)) is not None:
            self.add_gap(opener, True)
            self._fence_row = len(self.rows)
            self.add_code_head(opener.info)
            self._mark_stable(self._stable_offset + tail.index("\n") + 1)
            self._fence = closer
            self._add_open_code()
        else:
            self.add_blocks(tokens)

    def _add_open_code(self) -> None:
        while self._fence is not None and self._add_open_code_row():
            pass

    def _add_open_code_row(self) -> bool:
        """Take one more row of the open fence; tell whether there may be another."""
        assert self._fence is not None, "a fence is open"
        self._rewind()
        code, end = self.code_blocks[-1], self._source.find("\n", self._stable_offset)
        row = self._source[self._stable_offset : end if end >= 0 else None]
        self.line_end = self.line_base
        if end < 0:  # incomplete: shown, unless it may become the closing line
            if row and not row.lstrip().startswith(("```", "~~~")):
                self.add_code_row(code, row)
            return False
        if self._fence.match(row):
            self._fence, code.is_complete = None, True
            self.first_changed_row = min(
                self.first_changed_row, self._fence_row
            )  # some lexers can colour it only now
        else:
            self.add_code_row(code, row)
            code.rows.append(row)
        self._mark_stable(end + 1)
        return self._fence is not None


def _last_block(tokens: Sequence[Token], complete_lines: int) -> int:
    """Index of the last top-level block or item of a top-level list that begins on a complete line.

    A block that begins on an incomplete line may still turn out to belong to the one before: `***` after an
    item looks like a rule until it becomes `***bold***`.
    """
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        outer = token.level == 0 or (token.level == 1 and token.type == "list_item_open")
        if outer and token.nesting >= 0 and token.map is not None and token.map[0] < complete_lines:
            return index
    return 0


def _open_fence(token: Token, tail: str) -> re.Pattern[str] | None:
    """Pattern of the closing line, if the tail is a fence without one."""
    if token.type != "fence" or token.level or not tail.startswith(token.markup) or "\n" not in tail:
        return None
    closer = re.compile(rf" {{0,3}}{re.escape(token.markup[0])}{{{len(token.markup)},}}[ \t]*$")
    return None if any(map(closer.match, tail.split("\n")[1:])) else closer
