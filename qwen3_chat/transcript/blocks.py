"""Block Markdown tokens to rows: headings, lists, quotes, tables, code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token

from qwen3_chat.plain import plain
from qwen3_chat.transcript.cells import cells, fold
from qwen3_chat.transcript.code import Code
from qwen3_chat.transcript.inline import inline, skip
from qwen3_chat.transcript.page import Lead, Page
from qwen3_chat.transcript.rows import CopyCode, Placed, Run, cut
from qwen3_chat.transcript.table import Table

_TASK = re.compile(r"\[([ xX])\][ \t]")
_BULLETS = "•◦▪"


class BlockPage(Page):
    """A page that lays out block tokens. What a token draws never depends on the tokens after its block."""

    copy_label = ""
    """Shown at the head of a code block, clicked to copy it."""

    def __init__(self, width: int, first: int, lead: Lead = ()) -> None:
        super().__init__(width, first, lead)
        self.line_base = 0
        """Source line of the first token given to `walk`."""
        self.line_end = 0
        """Source line after the last block drawn."""

    def gap(self, token: Token, always: bool) -> None:
        """Leave a blank row where the source has one, or always."""
        begin = source_lines(token)[0] + self.line_base
        if self.rows and (always or begin > self.line_end):
            self.blank()
        self.line_end = begin

    def open_code(self, info: str) -> Code:
        """Draw the head of a code block."""
        code = Code(plain(info))
        room = self.room()
        button = f"{self.copy_label} " if self.copy_label else ""
        label = code.language[: max(0, room - cells(button) - 2)]
        pad = " " * max(0, room - cells(button) - cells(label) - 1)
        runs: list[Placed] = [(f" {label}{pad}", "code-head", None, -1)]
        if button:
            runs.append((button, "code-head button", CopyCode(len(self.codes)), -1))
        self.add(runs, "")
        self.codes.append(code)
        return code

    def code_row(self, code: Code, text: str) -> None:
        """Draw a row of code, folded where it is too long."""
        for number, (start, end) in enumerate(fold(text, 0, len(text), self.room() - 2)):
            runs: list[Placed] = [(" ", "code", None, -1), *cut([(text, "code", None)], start, end)]
            self.add(runs, None if number else text, code, len(code.rows))

    def walk(self, tokens: Sequence[Token]) -> None:
        """Draw blocks."""
        names, table, bullets, task = "", Table(), 0, 0
        for index, token in enumerate(tokens):
            kind, top = token.type, not self._prefixes
            match kind:
                case "inline":
                    runs = inline(token.children, names)
                    if task:
                        runs, task = skip(runs, task), 0
                    if table.rows:
                        table.rows[-1].append(runs)
                    else:
                        self.flow(runs)
                case "paragraph_open":
                    self.gap(token, False)
                    self._ends(token)
                case "heading_open":
                    self.gap(token, top)
                    self._ends(token)
                    names = f"heading {token.tag}"
                case "heading_close":
                    names = ""
                case "hr":
                    self.gap(token, top)
                    self._ends(token)
                    self.add([("─" * self.room(), "rule", None, -1)], "---")
                case "formula_block":
                    self.gap(token, False)
                    self._ends(token)
                    self.flow([(plain(token.content), "formula", None)])
                case "fence" | "code_block":
                    self.gap(token, top)
                    self._code_block(token)
                case "blockquote_open":
                    self.gap(token, top)
                    self._prefixes.append(((("▌ ", "bar", None, -1),),) * 2)
                case "bullet_list_open" | "bullet_list_close":
                    bullets += token.nesting
                case "list_item_open":
                    self.gap(token, False)
                    mark = f"{token.info}{token.markup} " if token.info else _BULLETS[(bullets - 1) % 3] + " "
                    if found := _TASK.match(tokens[index + 2].content if len(tokens) > index + 2 else ""):
                        mark, task = "☐ " if found[1] == " " else "☑ ", len(found[0])
                    indent = (" " * len(mark), "", None, -1)
                    self._prefixes.append((((mark, "bullet", None, -1),), (indent,)))
                case "blockquote_close" | "list_item_close":
                    first, others = self._prefixes.pop()
                    if first is not others and kind == "list_item_close":  # an item without any text
                        self._prefixes.append((first, others))
                        self.add([], "")
                        self._prefixes.pop()
                        self.line_end += 1
                case "table_open":
                    self.gap(token, top)
                    self._ends(token, gap=True)
                    table = Table()
                case "tr_open":
                    table.rows.append([])
                case "th_open" | "td_open":
                    names = "strong" if kind == "th_open" else ""
                    if len(table.rows) == 1:
                        table.alignments.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
                case "table_close":
                    self._table(table)
                    table, names = Table(), ""

    def _ends(self, token: Token, gap: bool = False) -> None:
        """Note the line after a block; with `gap` a blank row follows in any case."""
        self.line_end = source_lines(token)[1] + self.line_base - gap

    def _code_block(self, token: Token) -> None:
        code = self.open_code(token.info)
        for row in plain(token.content).removesuffix("\n").split("\n") if token.content else ():
            self.code_row(code, row)
            code.rows.append(row)
        code.closed = True
        self._ends(token, gap=True)

    def _table(self, table: Table) -> None:
        if table.fits(self.room()):
            for runs, text in table.lines(self.room()):
                self.add(runs, text)
            return
        for number, record in enumerate(table.records()):
            if number:
                self.blank()
            self.flow(_without_last_newline(record))


def _without_last_newline(runs: list[Run]) -> list[Run]:
    return runs[:-1] if runs and runs[-1][0] == "\n" else runs


def source_lines(token: Token) -> tuple[int, int]:
    """First source line of a block and the one after its last."""
    assert token.map is not None, f"{token.type} is a block and knows its lines"
    return token.map[0], token.map[1]
