"""The Markdown parser: CommonMark, tables, strikethrough, emphasis beside CJK text, formulas."""

from __future__ import annotations

from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline import StateInline, emphasis, image, link, strikethrough
from markdown_it.rules_inline.state_inline import Scanned

from qwen3_chat.transcript.cells import is_cjk
from qwen3_chat.transcript.formula_rules import add_formula_rules
from qwen3_chat.transcript.table_rule import use_table_rule

MAX_NESTING_LEVELS = 100  # of quotes in lists in quotes; deeper levels are not drawn
MAX_BRACKETS = 500  # in one paragraph with links: each may be tried against all that follow


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


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING_LEVELS}).enable(
        ["strikethrough"]
    )
    use_table_rule(parser)
    inline = parser.inline.ruler
    inline.at("emphasis", _cjk_aware(emphasis.tokenize))
    inline.at("strikethrough", _cjk_aware(strikethrough.tokenize))
    inline.at("link", _bounded(link))
    inline.at("image", _bounded(image))
    add_formula_rules(parser)
    return parser


PARSER = _make_parser()
