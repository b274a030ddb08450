"""Markdown that grows: only its last open block, or the last item of a list, is laid out again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from qwen3_chat.plain import plain
from qwen3_chat.transcript.blocks import BlockPage, source_lines
from qwen3_chat.transcript.page import Lead
from qwen3_chat.transcript.parser import PARSER


@dataclass(frozen=True, slots=True)
class _Mark:
    """How much of the page belongs to settled source."""

    rows: int = 0
    texts: int = 0
    codes: int = 0
    line_end: int = 0


class Document(BlockPage):
    """A page of Markdown. Any way of cutting a text into pieces gives the rows of the whole.

    Two things need the whole text at once, so a finished message is laid out once more: definitions such as
    `[a]: http://b`, which change text above them, and items such as `- | -` that could begin a table.
    """

    def __init__(self, width: int, first: int, lead: Lead = (), copy_label: str = "") -> None:
        super().__init__(width, first, lead)
        self.copy_label = copy_label
        self._source = ""
        self._cut = 0  # the source before it is settled
        self._mark = _Mark()
        self._fence: re.Pattern[str] | None = None  # closes the open fence, if one is open at top level
        self._fence_row = 0

    def feed(self, text: str) -> None:
        """Append Markdown."""
        self.settled = self._mark.rows
        self._source += plain(text)
        self._take_code()
        if self._fence is None:
            self._parse()

    def _rewind(self) -> None:
        mark = self._mark
        del self.rows[mark.rows :], self.texts[mark.texts :], self.codes[mark.codes :], self._prefixes[:]
        self.line_end = mark.line_end

    def _settle(self, offset: int) -> None:
        self.line_base += self._source.count("\n", self._cut, offset)
        self._cut = offset
        self._mark = _Mark(len(self.rows), len(self.texts), len(self.codes), self.line_end)

    def _parse(self) -> None:
        self._rewind()
        tail = self._source[self._cut :]
        tokens: Sequence[Token] = PARSER.parse(tail)
        last = _last_block(tokens, tail.count("\n"))
        if not tokens:
            return
        opener = tokens[last]
        if last and (line := source_lines(opener)[0]):
            self.walk(tokens[:last])
            del self._prefixes[:]
            tail = tail.split("\n", line)[-1]
            self._settle(len(self._source) - len(tail))
            head, tokens = tokens[:last], tokens[last:]
            for token in tokens:
                token.map = token.map and [token.map[0] - line, token.map[1] - line]
            if opener.level:  # in the middle of a list: open it again
                lists = [token for token in head if token.level == 0 and token.nesting == 1]
                tokens = [*lists[-1:], *tokens]
        if (closer := _open_fence(opener, tail)) is not None:
            self.gap(opener, True)
            self._fence_row = len(self.rows)
            self.open_code(opener.info)
            self._settle(self._cut + tail.index("\n") + 1)
            self._fence = closer
            self._take_code()
        else:
            self.walk(tokens)

    def _take_code(self) -> None:
        while self._fence is not None and self._take_code_row():
            pass

    def _take_code_row(self) -> bool:
        """Take one more row of the open fence; tell whether there may be another."""
        assert self._fence is not None, "a fence is open"
        self._rewind()
        code, end = self.codes[-1], self._source.find("\n", self._cut)
        row = self._source[self._cut : end if end >= 0 else None]
        self.line_end = self.line_base
        if end < 0:  # incomplete: shown, unless it may become the closing line
            if row and not row.lstrip().startswith(("```", "~~~")):
                self.code_row(code, row)
            return False
        if self._fence.match(row):
            self._fence, code.closed = None, True
            self.settled = min(self.settled, self._fence_row)  # some lexers can colour it only now
        else:
            self.code_row(code, row)
            code.rows.append(row)
        self._settle(end + 1)
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
