"""The Markdown section: block tokens as rows, in a text that grows.

Of a growing text, only the last open block is laid out again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it.token import Token

from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, hard_wrap
from qwen3_chat.transcript.inline_runs import inline_runs
from qwen3_chat.transcript.markdown_parser import PARSER
from qwen3_chat.transcript.markdown_table import MarkdownTable
from qwen3_chat.transcript.section import Prefix, Section
from qwen3_chat.transcript.styled_rows import CopyCode, PositionedRun, Run, skip_characters, slice_runs

_TASK = re.compile(r"\[([ xX])\][ \t]")
_BULLETS = "•◦▪"


@dataclass(slots=True)
class _BlockState:
    """The state between the block tokens of a text."""

    style: str = ""
    table: MarkdownTable = field(default_factory=MarkdownTable)
    bullet_depth: int = 0
    task_characters: int = 0
    """The length of a list item's task mark, which is cut off its text."""


@dataclass(frozen=True, slots=True)
class _StableState:
    """The counts of rows, texts and code blocks of the source that later text can't change."""

    rows: int = 0
    texts: int = 0
    code_blocks: int = 0
    line_end: int = 0


class BlockSection(Section):
    """A section of block tokens; the rows of a token never depend on the tokens after its block."""

    copy_label = ""
    """The label of the button in the head of a code block that copies the code."""

    def __init__(self, width: int, first_logical_row: int, prefix: Prefix = ()) -> None:
        super().__init__(width, first_logical_row, prefix)
        self.line_base = 0
        """The source line of the first token given to `add_blocks`."""
        self.line_end = 0
        """The source line after the last block drawn."""
        self.earlier_code: list[HighlightedCode] = []
        """The code blocks of an earlier layout of the same text, whose colours are used again."""

    def add_gap(self, token: Token, always: bool) -> None:
        """Add a blank row before a block if the source has a blank line there, or `always`."""
        first_line = _source_lines(token)[0] + self.line_base
        if self.rows and (always or first_line > self.line_end):
            self.add_blank_row()
        self.line_end = first_line

    def add_code_head(self, info: str, rows: Sequence[str]) -> HighlightedCode:
        """Draw the head of a code block; `rows` are those that will be drawn first."""
        code = HighlightedCode(next(iter(terminal_safe(info).split()), ""))
        for earlier in self.earlier_code[len(self.code_blocks) :][:1]:
            if earlier.may_become(code.language, rows):
                code = earlier
                code.begin_again()
        button = f"{self.copy_label} " if self.copy_label else ""
        label_cells = self.available_cells() - cell_width(button) - 1
        label = code.language[: max(0, label_cells - 1)]
        padding = " " * max(0, label_cells - cell_width(label))
        runs: list[PositionedRun] = [(f" {label}{padding}", "code-head", None, -1)]
        if button:
            runs.append((button, "code-head button", CopyCode(len(self.code_blocks)), -1))
        self.add_row(runs, "")
        self.code_blocks.append(code)
        return code

    def add_code_row(self, code: HighlightedCode, text: str) -> None:
        """Draw a row of code, broken where it is too long."""
        for number, (start, end) in enumerate(hard_wrap(text, 0, len(text), self.available_cells() - 2)):
            runs: list[PositionedRun] = [
                (" ", "code", None, -1),
                *slice_runs([(text, "code", None)], start, end),
            ]
            self.add_row(runs, None if number else text, code, len(code.rows))

    def add_blocks(self, tokens: Sequence[Token], open_row: str | None = None) -> None:
        """Draw block tokens.

        If text may follow, `open_row` is the last line of the source as far as it is there, or empty.
        """
        state = _BlockState()
        last_leaf = max((index for index, token in enumerate(tokens) if token.nesting == 0), default=-1)
        for index, token in enumerate(tokens):
            is_top_level = not self._container_prefixes
            match token.type:
                case "inline":
                    self._add_inline(token, state)
                case "paragraph_open":
                    self._begin_block(token, False)
                case "heading_open":
                    self._begin_block(token, is_top_level)
                    state.style = f"heading {token.tag}"
                case "heading_close":
                    state.style = ""
                case "hr":
                    self._begin_block(token, is_top_level)
                    self.add_row([("─" * self.available_cells(), "rule", None, -1)], "---")
                case "formula_block":
                    self._begin_block(token, False)
                    self.add_wrapped([(terminal_safe(token.content), "formula", None)])
                case "fence" | "code_block":
                    self.add_gap(token, is_top_level)
                    self._add_code_block(token, open_row if index == last_leaf else None)
                case "blockquote_open":
                    self.add_gap(token, is_top_level)
                    self._container_prefixes.append(((("▌ ", "bar", None, -1),),) * 2)
                case "bullet_list_open" | "bullet_list_close":
                    state.bullet_depth += token.nesting
                case "list_item_open":
                    self.add_gap(token, False)
                    first_text = tokens[index + 2].content if len(tokens) > index + 2 else ""
                    self._open_list_item(token, first_text, state)
                case "blockquote_close" | "list_item_close":
                    self._close_container(token)
                case "table_open":
                    self.add_gap(token, is_top_level)
                    self._note_end(token, gap=True)
                    state.table = MarkdownTable()
                case "tr_open":
                    state.table.rows.append([])
                case "th_open" | "td_open":
                    _open_cell(token, state)
                case "table_close":
                    self._add_table(state.table)
                    state.table, state.style = MarkdownTable(), ""

    def _begin_block(self, token: Token, always_gap: bool) -> None:
        self.add_gap(token, always_gap)
        self._note_end(token)

    def _note_end(self, token: Token, gap: bool = False) -> None:
        """Note the line after a block; with `gap` a blank row follows in any case."""
        self.line_end = _source_lines(token)[1] + self.line_base - gap

    def _add_inline(self, token: Token, state: _BlockState) -> None:
        runs = inline_runs(token.children, state.style)
        if state.task_characters:
            runs, state.task_characters = skip_characters(runs, state.task_characters), 0
        if state.table.rows:
            state.table.rows[-1].append(runs)
        else:
            self.add_wrapped(runs)

    def _open_list_item(self, token: Token, first_text: str, state: _BlockState) -> None:
        if token.info:  # an item's number
            mark = f"{token.info}{token.markup} "
        else:
            mark = _BULLETS[(state.bullet_depth - 1) % len(_BULLETS)] + " "
        if match := _TASK.match(first_text):
            mark, state.task_characters = "☐ " if match[1] == " " else "☑ ", len(match[0])
        indent = (" " * len(mark), "", None, -1)
        self._container_prefixes.append((((mark, "bullet", None, -1),), (indent,)))

    def _close_container(self, token: Token) -> None:
        first, others = self._container_prefixes.pop()
        if first is not others and token.type == "list_item_close":  # an item without any text
            self._container_prefixes.append((first, others))
            self.add_row([], "")
            self._container_prefixes.pop()
            self.line_end += 1

    def _add_code_block(self, token: Token, open_row: str | None) -> None:
        content = terminal_safe(token.content)
        rows = content.removesuffix("\n").split("\n") if content else []
        first_line, end_line = _source_lines(token)
        is_closed = token.type == "fence" and end_line - first_line > 1 + len(rows)
        is_open = open_row is not None and not is_closed
        last_row = rows.pop() if is_open and open_row and rows else None
        code = self.add_code_head(token.info, rows)
        for row in rows:
            self.add_code_row(code, row)
            code.rows.append(row)
        if last_row is not None:
            self.add_code_row(code, last_row)
        code.is_complete = not is_open
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


class MarkdownSection(BlockSection):
    """A section of Markdown; any way of cutting a text into pieces gives the rows of the whole.

    Two things need the whole text at once, so a finished message is laid out once more: definitions such as
    `[a]: http://b`, which change text above them, and items such as `- | -` that could begin a table.
    """

    def __init__(self, width: int, first_logical_row: int, prefix: Prefix = (), copy_label: str = "") -> None:
        super().__init__(width, first_logical_row, prefix)
        self.copy_label = copy_label
        self._source = ""
        self._stable_offset = 0  # the source before it can't change any more
        self._stable_state = _StableState()
        self._fence: re.Pattern[str] | None = None  # matches the end of the fence that is open at top level
        self._fence_row = 0

    def end(self) -> None:
        """Note that no text follows: the last row of a code block that is still open is complete."""
        for code in self.code_blocks[-1:]:
            if (
                not code.is_complete
                and self.rows[-1].code is code
                and self.rows[-1].code_row == len(code.rows)
            ):
                code.rows.append(self.logical_texts[-1])
            code.is_complete = True

    def feed(self, text: str) -> None:
        """Append Markdown."""
        self.first_changed_row = self._stable_state.rows
        self._source += terminal_safe(text)
        self._add_open_code()
        if self._fence is None:
            self._parse()

    def _rewind(self) -> None:
        stable = self._stable_state
        self.earlier_code[stable.code_blocks :] = (
            self.code_blocks[stable.code_blocks :] or (self.earlier_code[stable.code_blocks :])
        )
        del (
            self.rows[stable.rows :],
            self.logical_texts[stable.texts :],
            self.code_blocks[stable.code_blocks :],
            self._container_prefixes[:],
        )
        self.line_end = stable.line_end

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
        if last and (line := _source_lines(opener)[0]):
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
            self.add_code_head(opener.info, opener.content.split("\n")[:-1])
            self._mark_stable(self._stable_offset + tail.index("\n") + 1)
            self._fence = closer
            self._add_open_code()
        else:
            self.add_blocks(tokens, tail.rpartition("\n")[2])

    def _add_open_code(self) -> None:
        while self._fence is not None and self._add_open_code_row():
            pass

    def _add_open_code_row(self) -> bool:
        """Add the next row of the open fence; return True if there may be another."""
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
            # Some lexers can colour the block only now.
            self.first_changed_row = min(self.first_changed_row, self._fence_row)
        else:
            self.add_code_row(code, row)
            code.rows.append(row)
        self._mark_stable(end + 1)
        return self._fence is not None


def _last_block(tokens: Sequence[Token], complete_lines: int) -> int:
    """Return the index of the last top-level block or list item that begins on a complete line.

    A block that begins on an incomplete line may still turn out to belong to the one before: `***` after an
    item looks like a rule until it becomes `***bold***`.
    """
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        is_outer = token.level == 0 or (token.level == 1 and token.type == "list_item_open")
        if is_outer and token.nesting >= 0 and token.map is not None and token.map[0] < complete_lines:
            return index
    return 0


def _open_fence(token: Token, tail: str) -> re.Pattern[str] | None:
    """Return the pattern of the closing line if the tail is a fence without it; None otherwise."""
    if token.type != "fence" or token.level or not tail.startswith(token.markup) or "\n" not in tail:
        return None
    closer = re.compile(rf" {{0,3}}{re.escape(token.markup[0])}{{{len(token.markup)},}}[ \t]*$")
    return None if any(map(closer.match, tail.split("\n")[1:])) else closer


def _open_cell(token: Token, state: _BlockState) -> None:
    state.style = "strong" if token.type == "th_open" else ""
    if len(state.table.rows) == 1:
        state.table.alignments.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))


def _without_last_newline(runs: list[Run]) -> list[Run]:
    return runs[:-1] if runs and runs[-1][0] == "\n" else runs


def _source_lines(token: Token) -> tuple[int, int]:
    """Return the first source line of a block and the line after its last."""
    assert token.map is not None, f"{token.type} is a block and knows its lines"
    return token.map[0], token.map[1]
