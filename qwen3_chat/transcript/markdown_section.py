"""The Markdown section: block tokens as rows, in a text that grows.

Of a growing text, only the last open block is laid out again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it.token import Token

from qwen3_chat.highlighting.highlighted_code import HighlightedCode
from qwen3_chat.maths.formula_text import display_formula
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import cell_width, hard_wrap, wrap
from qwen3_chat.transcript.fence_rule import FenceNesting
from qwen3_chat.transcript.formula_rules import is_closed_formula
from qwen3_chat.transcript.inline_runs import inline_runs
from qwen3_chat.transcript.markdown_parser import PARSER
from qwen3_chat.transcript.markdown_table import MarkdownTable, TableShape
from qwen3_chat.transcript.open_blocks import OpenBlocks, find_open_blocks, is_independent, last_break
from qwen3_chat.transcript.section import OpenLine, Prefix, Section
from qwen3_chat.transcript.styled_rows import (
    CopyCode,
    FormulaSource,
    PositionedRun,
    Run,
    runs_text,
    skip_characters,
    slice_runs,
)

STEP_CHARACTERS = 256
"""The characters after each of which a block that has become long may be cut."""

LONG_CHARACTERS = 768
"""The characters of a block that is cut where nothing reaches over the cut, such as emphasis or a table."""

MAX_OPEN_CHARACTERS = 2_048
"""The characters of a block that is cut anyway: emphasis and links end there."""

MAX_TABLE_CHARACTERS = 4_096
"""The characters of a table whose columns fit all that is in it; the rows after them keep the columns."""

_BLOCK_START = re.compile(r"\n\n(?=\S)")  # of a block outside of all others, or the text of an open fence
_MAY_CLOSE = re.compile(r" {0,3}(?:`{3,}|~{3,})[ \t]*")
_TASK = re.compile(r"\[([ xX])\][ \t]")
_BULLETS = "•◦▪"
_FORMULA_INDENT = "  "


_BAR: Prefix = (("▌ ", "bar", None, -1),)
_BLOCKS_IN_ROWS = ("table_open", "fence", "code_block", "hr", "formula_block")
_LEAVES = ("paragraph_open", "heading_open", "fence", "code_block", "formula_block", "table_open")
NO_BLOCKS = OpenBlocks()


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of the rows before a cut in the middle of a block, as far as the rest depends on it."""

    open_line: OpenLine | None = None
    """The row in which the text goes on; it is drawn again with what follows."""
    table_shape: TableShape | None = None
    code_rows: int = -1
    """The rows of the code block that goes on; -1 if none does."""


NO_CUT = Cut()


@dataclass(slots=True)
class _BlockState:
    """The state between the block tokens of a text."""

    context: OpenBlocks
    cut: Cut
    open_line: OpenLine | None
    """The row in which the text was cut, until it is drawn."""
    style: str = ""
    goes_on_in_table: bool = False
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
    cut: Cut = NO_CUT


class BlockSection(Section):
    """A section of block tokens; the rows of a token never depend on the tokens after its block."""

    copy_label = ""
    """The label of the button in the head of a code block that copies the code."""
    draws_formulas = True
    """True if formulas are drawn, False if their source is shown."""

    def __init__(self, width: int, first_logical_row: int, prefix: Prefix = ()) -> None:
        super().__init__(width, first_logical_row, prefix)
        self.line_base = 0
        """The source line of the first token given to `add_blocks`."""
        self.line_end = 0
        """The source line after the last block drawn."""
        self.table_shape: TableShape | None = None
        """The shape of the table drawn last."""
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

    def add_code_row(self, code: HighlightedCode, text: str, offset: int = 0) -> int:
        """Draw a row of code from an offset on, wrapped; return the offset at which its last row begins."""
        spans = hard_wrap(text, offset, len(text), self.available_cells() - 2)
        for start, end in spans:
            runs: list[PositionedRun] = [
                (" ", "code", None, -1),
                *slice_runs([(text, "code", None)], start, end),
            ]
            self.add_row(runs, None if start else text, code, len(code.rows))
        self.logical_texts[-1] = text
        return spans[-1][0]

    def add_blocks(
        self,
        tokens: Sequence[Token],
        context: OpenBlocks = NO_BLOCKS,
        cut: Cut = NO_CUT,
        open_row: str | None = None,
    ) -> None:
        """Draw block tokens, of which those that begin in `context` were drawn before the `cut`.

        If text may follow, `open_row` is the last line of the source as far as it is there, or empty.
        """
        state = _BlockState(context, cut, cut.open_line)
        last_leaf = max((index for index, token in enumerate(tokens) if token.nesting == 0), default=-1)
        for index, token in enumerate(tokens):
            is_top_level = not self._container_prefixes
            if token.type in _BLOCKS_IN_ROWS:
                self._go_on_in_row([], state)
            if context.contains(token):
                self._open_again(token, tokens, index, state, open_row if index == last_leaf else None)
                continue
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
                    self._add_formula(terminal_safe(token.content))
                case "fence" | "code_block":
                    self.add_gap(token, is_top_level)
                    self._add_code_block(token, open_row if index == last_leaf else None)
                case "blockquote_open":
                    self.add_gap(token, is_top_level)
                    self._container_prefixes.append((_BAR, _BAR))
                case "bullet_list_open" | "bullet_list_close":
                    state.bullet_depth += token.nesting
                case "list_item_open":
                    self.add_gap(token, False)
                    self._open_list_item(token, tokens[index + 1 : index + 3], state)
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
                    self._add_table(state)
                    state.table, state.style = MarkdownTable(), ""
        self._go_on_in_row([], state)

    def _open_again(
        self, token: Token, tokens: Sequence[Token], index: int, state: _BlockState, open_row: str | None
    ) -> None:
        """Draw what a block that began before the cut adds: its containers' prefixes, and what follows."""
        match token.type:
            case "inline" if state.table.rows:
                self._add_inline(token, state)
            case "inline":
                runs = inline_runs(token.children, state.style, draws_formulas=self.draws_formulas)
                runs = skip_characters(runs, state.context.skipped_characters)
                if _source_lines(token)[0] + 1 == state.context.n_lines and state.open_line is not None:
                    self._go_on_in_row(runs, state)
                elif runs:
                    self.add_wrapped(runs)
            case "blockquote_open":
                self._container_prefixes.append((_BAR, _BAR))
            case "bullet_list_open":
                state.bullet_depth += 1
            case "list_item_open":
                self._open_list_item(token, tokens[index + 1 : index + 3], state)
                _, others = self._container_prefixes.pop()
                self._container_prefixes.append((others, others))
            case "heading_open":
                state.style = f"heading {token.tag}"
            case "fence" | "code_block":
                goes_on = token.type == "fence"
                self._add_code_block(token, open_row, goes_on, state.context.inner_fences)
            case "formula_block":
                if formula := token.content.partition("\n")[2]:
                    self.add_wrapped([(terminal_safe(formula), "formula", None)])
            case "table_open":
                state.table = MarkdownTable()
                state.goes_on_in_table = state.context.leaf == "table_open"
            case "tr_open":
                state.table.rows.append([])
            case "th_open" | "td_open":
                _open_cell(token, state)
        if token.type in _LEAVES and _source_lines(token)[1] > state.context.n_lines:
            self._note_end(token, gap=token.type in ("fence", "code_block", "table_open"))

    def _go_on_in_row(self, runs: list[Run], state: _BlockState) -> None:
        """Draw the row in which the text was cut, once, with what follows in it."""
        if state.open_line is not None:
            line, state.open_line = state.open_line, None
            self.add_wrapped(runs, line)

    def _begin_block(self, token: Token, always_gap: bool) -> None:
        self.add_gap(token, always_gap)
        self._note_end(token)

    def _note_end(self, token: Token, gap: bool = False) -> None:
        """Note the line after a block; with `gap` a blank row follows in any case."""
        self.line_end = _source_lines(token)[1] + self.line_base - gap

    def _add_inline(self, token: Token, state: _BlockState) -> None:
        runs = inline_runs(token.children, state.style, draws_formulas=self.draws_formulas)
        if state.task_characters:
            runs, state.task_characters = skip_characters(runs, state.task_characters), 0
        if state.table.rows:
            state.table.rows[-1].append(runs)
        else:
            self.add_wrapped(runs)

    def _add_formula(self, source: str) -> None:
        """Draw a formula that stands alone, in one logical row; before its end, its source is shown."""
        cells = self.available_cells()
        drawn = None
        if self.draws_formulas and is_closed_formula(source):
            drawn = display_formula(source, cells - len(_FORMULA_INDENT))
        if drawn is None:
            self.add_wrapped([(source, "formula", None)])
            return
        text = "\n".join(row or " " for row in drawn)
        action, offset = FormulaSource(source), 0
        for row in text.split("\n"):
            for start, end in wrap(row, cells - len(_FORMULA_INDENT)):
                runs: list[PositionedRun] = [
                    (_FORMULA_INDENT, "", None, -1),
                    (row[start:end], "formula", action, offset + start),
                ]
                self.add_row(runs, None if offset + start else text)
            offset += len(row) + 1

    def _open_list_item(self, token: Token, content: Sequence[Token], state: _BlockState) -> None:
        first_text = content[-1].content if len(content) == 2 else ""
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

    def _add_code_block(
        self, token: Token, open_row: str | None, goes_on: bool = False, n_drawn: int = 0
    ) -> None:
        """Draw a code block; one that `goes_on` gets more rows, after those that were drawn before."""
        content = terminal_safe(token.content)
        rows = content.removesuffix("\n").split("\n") if content else []
        first_line, end_line = _source_lines(token)
        is_closed = token.type == "fence" and end_line - first_line > 1 + len(rows)
        is_open = open_row is not None and not is_closed
        del rows[:n_drawn]
        last_row = rows.pop() if is_open and open_row and rows else None
        code = self.code_blocks[-1] if goes_on else self.add_code_head(token.info, rows)
        for row in rows:
            self.add_code_row(code, row)
            code.rows.append(row)
        if last_row is not None:
            self.add_code_row(code, last_row)
        code.is_complete = not is_open
        self._note_end(token, gap=True)

    def _add_table(self, state: _BlockState) -> None:
        table, has_head = state.table, not state.goes_on_in_table
        state.goes_on_in_table = False
        if table.fits(self.available_cells()):
            shape = state.cut.table_shape if not has_head else None
            self.table_shape = shape or table.shape(self.available_cells())
            for runs, text in table.screen_rows(self.table_shape, has_head):
                self.add_row(runs, text)
            return
        records = table.record_paragraphs() if has_head or len(table.rows) > 1 else []
        for number, record in enumerate(records):
            if number or not has_head:
                self.add_blank_row()
            self.add_wrapped(_without_last_newline(record))


class MarkdownSection(BlockSection):
    """A section of Markdown; any way of cutting a text into pieces gives the rows of the whole.

    A block that becomes long is cut and drawn for good up to there, at places that only the text decides, so
    that a piece costs the same however long the block is; `open_blocks` opens the block again for the rest.
    Two things need the whole text at once, so a finished message that is not very long is laid out once more:
    definitions such as `[a]: http://b`, which change text above them, and items such as `- | -` that could
    begin a table.
    """

    def __init__(
        self,
        width: int,
        first_logical_row: int,
        prefix: Prefix = (),
        copy_label: str = "",
        *,
        draws_formulas: bool = True,
    ) -> None:
        super().__init__(width, first_logical_row, prefix)
        self.copy_label, self.draws_formulas = copy_label, draws_formulas
        self._length = 0
        self._tail = ""  # the source from the first line on that may still change
        self._tail_line = 0
        self._context = NO_BLOCKS
        self._stable_state = _StableState()
        self._references: dict[str, object] = {}
        self._fence: FenceNesting | None = None  # of the fence that is open at top level
        self._code_offset = 0  # of the row that is open in it: what comes before is stable

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
        text = terminal_safe(text)
        if len(text) > STEP_CHARACTERS and "]:" in text:
            self._find_references(text)
        while text:
            # However the text arrives, it is cut at the same places.
            n_characters = self._characters_to_next_cut(text)
            piece, text = text[:n_characters], text[n_characters:]
            self._tail += piece
            self._length += len(piece)
            self._add_open_code()
            if self._fence is None:
                self._parse()
                if self._length % STEP_CHARACTERS == 0 and len(self._tail) > LONG_CHARACTERS:
                    self._cut()

    def _characters_to_next_cut(self, text: str) -> int:
        """Return the characters after which there may be a cut: not where a block begins shortly before."""
        end = STEP_CHARACTERS - self._length % STEP_CHARACTERS
        while end < len(text) and any(_BLOCK_START.finditer(text, max(0, end - LONG_CHARACTERS), end)):
            end += STEP_CHARACTERS
        return end

    def _find_references(self, text: str) -> None:
        environment: dict[str, Any] = {}
        PARSER.parse(text, environment)
        self._references = {**environment.get("references", {}), **self._references}

    def _tokens(self, source: str) -> list[Token]:
        return PARSER.parse(source, {"references": dict(self._references)})

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
        if (line := stable.cut.open_line) is not None:
            self.logical_texts[-1] = line.text_before + runs_text(line.runs)
        if stable.cut.code_rows >= 0:
            code = self.code_blocks[-1]
            del code.rows[stable.cut.code_rows :]
            code.is_complete = False
        self.line_end = stable.line_end

    def _mark_stable(self, n_characters: int, context: OpenBlocks = NO_BLOCKS, cut: Cut = NO_CUT) -> None:
        """Note that what is drawn so far can't change, and that it shows so many characters of the tail."""
        self._tail_line += self._tail.count("\n", 0, n_characters)
        self._tail = self._tail[n_characters:]
        self._context = context
        self.line_base = self._tail_line - context.text.count("\n")
        n_rows = len(self.rows) - (cut.open_line is not None)
        self._stable_state = _StableState(
            n_rows, len(self.logical_texts), len(self.code_blocks), self.line_end, cut
        )

    def _parse(self) -> None:
        self._rewind()
        context, cut = self._context, self._stable_state.cut
        source = context.text + self._tail
        tokens: Sequence[Token] = self._tokens(source)
        if not tokens:
            self._skip_blank_lines()
            return
        last = _last_block(tokens, context.n_lines, source.count("\n"))
        opener = tokens[last]
        if last and (line := _source_lines(opener)[0]):
            self.add_blocks(tokens[:last], context, cut)
            del self._container_prefixes[:]
            rest = source.split("\n", line)[-1]
            self._mark_stable(len(self._tail) - len(rest))
            context, cut = NO_BLOCKS, NO_CUT
            head, tokens = tokens[:last], tokens[last:]
            for token in tokens:
                token.map = token.map and [token.map[0] - line, token.map[1] - line]
            if opener.level:  # in the middle of a list: open it again
                lists = [token for token in head if token.level == 0 and token.nesting == 1]
                tokens = [*lists[-1:], *tokens]
        if context is NO_BLOCKS and (nesting := _open_fence(opener, self._tail)) is not None:
            self.add_gap(opener, True)
            self.add_code_head(opener.info, opener.content.split("\n")[:-1])
            self._mark_stable(self._tail.index("\n") + 1)
            self._fence, self._code_offset = nesting, 0
            self._add_open_code()
        else:
            self.add_blocks(tokens, context, cut, self._tail.rpartition("\n")[2])

    def _skip_blank_lines(self) -> None:
        """Leave blank lines behind: they are no part of a block, and there may be a million of them."""
        if self._context is NO_BLOCKS and self._tail.isspace():
            self._mark_stable(self._tail.rfind("\n") + 1)

    def _cut(self) -> None:
        """Draw a block that has become long for good, up to its last line, or to a word of that.

        If the rest might change what is drawn, wait until the block has become too long.
        """
        context, before = self._context, self._stable_state.cut
        source = context.text + self._tail
        end = source.rfind("\n") + 1
        if end <= len(context.text) or len(source) - end > LONG_CHARACTERS // 2:
            end = last_break(source, max(end, len(context.text)))
        tokens = self._tokens(source[:end])
        blocks = find_open_blocks(source[:end], tokens)
        max_characters = MAX_TABLE_CHARACTERS if blocks.leaf == "table_open" else MAX_OPEN_CHARACTERS
        if len(self._tail) <= max_characters and not is_independent(blocks, tokens):
            return
        self._rewind()
        self.add_blocks(tokens, context, before, "")
        del self._container_prefixes[:]
        cut = Cut(
            self.last_line if blocks.goes_on_in_row else None,
            self.table_shape if blocks.leaf == "table_open" else None,
            len(self.code_blocks[-1].rows) if blocks.leaf == "fence" else -1,
        )
        if self.code_blocks and blocks.leaf != "fence":
            self.code_blocks[-1].is_complete = True
        self._mark_stable(end - len(context.text), blocks, cut)
        self._parse()

    def _add_open_code(self) -> None:
        while self._fence is not None and self._add_open_code_row():
            pass

    def _add_open_code_row(self) -> bool:
        """Add the next row of the open fence; return True if there may be another."""
        assert self._fence is not None, "a fence is open"
        self._rewind()
        code, end = self.code_blocks[-1], self._tail.find("\n")
        row = self._tail[: end if end >= 0 else None]
        self.line_end = self.line_base
        if end < 0:  # incomplete: shown, unless it may become the closing line
            if row and not _MAY_CLOSE.fullmatch(row):
                self._code_offset = self.add_code_row(code, row, self._code_offset)
                self._stable_state = replace(
                    self._stable_state,
                    rows=len(self.rows) - 1,
                    texts=len(self.logical_texts) - (not self._code_offset),
                )
            return False
        after = self._tail[end + 1 :]
        if self._fence.is_undecided(row) and not after.strip() and "\n" not in after:
            return False
        if self._fence.closes(row, after.partition("\n")[0]):
            self._fence, code.is_complete = None, True
        else:
            self.add_code_row(code, row, self._code_offset)
            code.rows.append(row)
        self._code_offset = 0
        self._mark_stable(end + 1)
        return self._fence is not None


def _last_block(tokens: Sequence[Token], first_line: int, complete_lines: int) -> int:
    """Return the index of the last top-level block or list item that begins on a complete line.

    Those before `first_line` have been drawn.
    A block that begins on an incomplete line may still turn out to belong to the one before: `***` after an
    item looks like a rule until it becomes `***bold***`.
    """
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        is_outer = token.level == 0 or (token.level == 1 and token.type == "list_item_open")
        begins = token.map is not None and first_line <= token.map[0] < complete_lines
        if is_outer and token.nesting >= 0 and begins:
            return index
    return 0


def _open_fence(token: Token, tail: str) -> FenceNesting | None:
    """Return the fences that the tail opens and does not close, as they are before its first row."""
    if token.type != "fence" or token.level or not tail.startswith(token.markup) or "\n" not in tail:
        return None
    opening, *rows = tail.split("\n")
    nesting = FenceNesting(opening)
    is_closed = any(nesting.closes(row, after) for row, after in zip(rows, [*rows[1:], ""], strict=True))
    return None if is_closed else FenceNesting(opening)


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
