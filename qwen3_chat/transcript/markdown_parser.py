"""The Markdown parser: CommonMark, tables, strikethrough, emphasis beside CJK text, formulas untouched."""

from __future__ import annotations

import re
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline, emphasis, image, link, strikethrough
from markdown_it.rules_inline.state_inline import Scanned

from qwen3_chat.transcript.cells import is_cjk

MAX_NESTING_LEVELS = 100  # of quotes in lists in quotes; deeper levels are not drawn
MAX_BRACKETS = 500  # in one paragraph with links: each may be tried against all that follow

_FORMULA = re.compile(
    r"\$\$.{1,2000}?\$\$|\$(?![\s$])(?:[^$\n\\]|\\.){1,500}?(?<![\s\\])\$(?![\d$])"
    r"|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]",
    re.DOTALL,
)
_CLOSERS = {"$$": "$$", r"\[": r"\]"}


class _CjkInline(StateInline):
    """CommonMark's flanking rules, except beside CJK text, which has no spaces between words.

    Its punctuation counts as letters, its characters as white space next to other punctuation.
    """

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 (markdown-it's names)
        source, end = self.src, start
        while end < self.posMax and source[end] == source[start]:
            end += 1
        before = source[start - 1] if start else " "
        after = source[end] if end < self.posMax else " "
        space_before, space_after = isWhiteSpace(ord(before)), isWhiteSpace(ord(after))
        mark_before, mark_after = (isMdAsciiPunct(ord(c)) or isPunctChar(c) for c in (before, after))
        cjk_before, cjk_after = bool(is_cjk(before)), bool(is_cjk(after))
        left = not space_after and (not mark_after or cjk_after or space_before or mark_before or cjk_before)
        right = not space_before and (not mark_before or cjk_before or space_after or mark_after or cjk_after)
        return Scanned(
            left and (canSplitWord or not right or mark_before),
            right and (canSplitWord or not left or mark_after),
            end - start,
        )


_Rule = Callable[[StateInline, bool], bool]


def _cjk_aware(rule: _Rule) -> _Rule:
    def tokenize(state: StateInline, silent: bool) -> bool:
        state.__class__ = _CjkInline  # for this parse only; the library itself stays as it is
        return rule(state, silent)

    return tokenize


def _bounded(rule: _Rule) -> _Rule:
    def tokenize(state: StateInline, silent: bool) -> bool:
        return state.src.count("[") <= MAX_BRACKETS and rule(state, silent)

    return tokenize


def _formula(state: StateInline, silent: bool) -> bool:
    """Keep emphasis and escapes out of `$x_1$`, `$$…$$`, `\\(…\\)` and `\\[…\\]`."""
    if state.src[state.pos] not in "$\\":
        return False
    match = _FORMULA.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("formula", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _formula_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Parse the lines from `$$` or `\\[` to its end, at the latest to a blank line, as a formula."""
    if state.is_code_block(first):
        return False
    row = _line(state, first)
    if (closer := _CLOSERS.get(row[:2])) is None or (closer in row[2:] and not row.endswith(closer)):
        return False
    if silent:
        return True
    end = first + 1
    if closer not in row[2:]:
        while end < last and not state.isEmpty(end) and state.sCount[end] >= state.blkIndent:
            end += 1
            if _line(state, end - 1).endswith(closer):
                break
    token = state.push("formula_block", "", 0)
    token.content = "\n".join(_line(state, line) for line in range(first, end))
    token.map = [first, end]
    state.line = end
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING_LEVELS}).enable(
        ["table", "strikethrough"]
    )
    inline, block = parser.inline.ruler, parser.block.ruler
    inline.at("emphasis", _cjk_aware(emphasis.tokenize))
    inline.at("strikethrough", _cjk_aware(strikethrough.tokenize))
    inline.at("link", _bounded(link))
    inline.at("image", _bounded(image))
    inline.before("escape", "formula", _formula)
    block.before(
        "fence", "formula_block", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    return parser


PARSER = _make_parser()
